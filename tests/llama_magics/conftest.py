"""A notebook's shell in this process, with a session of its own for each test."""

from __future__ import annotations

import contextlib
import gc
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import llama_magics.session as sessions
from tests.upstream import Upstream, upstream


@dataclass
class Notebook:
    """Runs cells as IPython does. `printed` is what the last one wrote, `error` what it raised."""

    shell: InteractiveShell
    printed: str = ""
    error: BaseException | None = None
    result: Any = None
    session: Any = field(default=None)

    def run(self, source: str) -> Any:
        """Run a cell that must not fail; gives what it gave."""
        self.run_any(source)
        if self.error is not None:
            raise self.error
        return self.result

    def run_any(self, source: str) -> Any:
        """Run a cell that may fail."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            ran = self.shell.run_cell(source, store_history=True)
        self.printed, self.error, self.result = out.getvalue(), ran.error_in_exec or ran.error_before_exec, ran.result
        self.session = sessions._session
        return self.result

    def fails(self, source: str, kind: type[BaseException]) -> Any:
        """Run a cell that must raise an error of this kind; gives the error."""
        self.run_any(source)
        assert isinstance(self.error, kind), self.error
        return self.error

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]


@pytest.fixture(scope="session")
def one_shell() -> Iterator[InteractiveShell]:
    memory = Config(HistoryManager={"hist_file": ":memory:"})
    shell = InteractiveShell.instance(colors="nocolor", config=memory)
    gc.collect()  # what other tests imported stays: the shell looks for garbage at each reset, but not in there
    gc.freeze()
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def notebook(one_shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A fresh notebook in an empty folder, with the extension loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("llama_magics.keys._ring", lambda: None)  # the tests' keys stay out of the user's keyring
    one_shell.reset(new_session=False)
    one_shell.run_line_magic("load_ext", "llama_magics")
    yield Notebook(one_shell)
    one_shell.run_line_magic("unload_ext", "llama_magics")
    sessions._session = None


@pytest.fixture(scope="session")
def service() -> Iterator[Upstream]:
    """An OpenAI-compatible service that answers `w0 w1 …`."""
    with upstream(chunks=4) as running:
        yield running


def stack_cell(url: str, name: str = "lab", extra: str = "") -> str:
    """A cell that declares a stack on the service."""
    return (
        f"%%stack\nname: {name}\nproviders:\n  inference:\n    - provider_id: up\n      provider_type: remote::openai\n"
        f"      config: {{base_url: '{url}', api_key: none}}\n"
        f"models: {{fast: up/tiny, smart: up/other}}\ndefault: fast\n{extra}"
    )
