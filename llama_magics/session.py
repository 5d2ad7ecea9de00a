"""What a kernel's session holds: open stacks, the current one, chats, keys, totals; and the way onto the one loop."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from llama_magics.keys import Keys, notebook_path
from llama_magics.opened import Opened, enter
from llama_magics.results import Usage
from stack_core import context
from stack_core.errors import ConfigError, NotFound, ProviderUnavailable
from stack_core.loop import Emit, Loop, Work

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from stack_core.config import RunConfig

T = TypeVar("T")


class Settings(Protocol):
    """What the session reads of `%config StackMagics`."""

    distribution: str
    model: str
    system: str
    tracebacks: bool


@dataclass
class Defaults:
    """The settings where no notebook is."""

    distribution: str = "notebook"
    model: str = ""
    system: str = ""
    tracebacks: bool = False


@dataclass
class Chat:
    """A named conversation: its instructions and its messages, as the next question will send them."""

    system: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def turns(self) -> int:
        """How many questions were asked."""
        return sum(message["role"] == "user" for message in self.messages)


@dataclass
class Totals:
    """What this session has used. `cost` is of the answers whose price is known."""

    calls: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None

    def add(self, usage: Usage | None, cost: float | None) -> None:
        """Count one answer."""
        self.calls += 1
        self.usage += usage or Usage()
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost


class Session:
    """The state of one kernel (or of one plain Python process: then `shell` is None)."""

    def __init__(self, shell: InteractiveShell | None = None, settings: Settings | None = None) -> None:
        self.shell = shell
        self.settings: Settings = settings or Defaults()
        self.stacks: dict[str, Opened] = {}
        self.current: str | None = None
        self.chats: dict[str, Chat] = {}
        self.totals = Totals()
        self.twins: dict[int, list[str]] = {}
        """Cell number → the Python twins of its magics, in order."""
        self._run: Any = None
        self.keys = Keys(self.folder)
        self._loop: Loop | None = None

    @property
    def folder(self) -> Path:
        """The notebook's folder, to which paths in cells are relative."""
        path = self._path
        return path.parent if path.is_file() else path

    @property
    def _path(self) -> Path:
        return notebook_path(self.shell.user_ns if self.shell else {})

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's names; a script's are those of its main module."""
        if self.shell is not None:
            return dict(self.shell.user_ns)
        import __main__

        return dict(vars(__main__))

    @property
    def cell_number(self) -> int:
        """The number of the running cell; 0 outside a notebook."""
        return int(self.shell.displayhook.prompt_count) if self.shell else 0

    def remember(self, code: str) -> None:
        """Note the Python twin of a magic of the running cell. Cells that a program runs without a history all have
        one number; then the last one's twins count."""
        run = self.shell.displayhook.exec_result if self.shell else None
        if run is not self._run:
            self.twins.pop(self.cell_number, None)
            self._run = run
        self.twins.setdefault(self.cell_number, []).append(code)

    def run(self, work: Work[T], receive: Emit | None = None) -> T:
        """Do work on the background loop and wait for it (see `Loop.run`); spans know the cell."""

        async def scoped(emit: Emit) -> T:
            context.cell.set(where)
            return await work(emit)

        where: dict[str, str | int] = {}
        if self.shell is not None:
            where = {"notebook": self._path.name, "execution_count": self.cell_number}
        if self._loop is None or not self._loop.alive:
            self._begin()
        assert self._loop is not None
        return self._loop.run(scoped, receive)

    def opened(self) -> Opened:
        """The current stack; without one the default distribution is opened."""
        self._forked()
        if self.current is None:
            self.open(self.settings.distribution)
        assert self.current is not None
        return self.stacks[self.current]

    def load(self, source: str | Path | Mapping[str, Any]) -> RunConfig:
        """A run configuration with this session's keys; its secrets are scrubbed from now on."""
        from stack_core.config import load_config

        config = load_config(source, self.keys.mapping())
        self.keys.extra |= config.secrets()
        self.keys.refresh()
        return config

    def open(self, source: str | Path | Mapping[str, Any], written: Any = None) -> Opened:
        """Open a stack and make it the current one. Only then is an earlier one of its name closed, so that the one
        that ran before keeps running where this one fails.

        Args:
            written: what the Python twin shows in the source's place.
        """
        from stack_core import Stack

        config = self.load(source)
        manager = Stack.open(source, env=self.keys.mapping())
        opened = self._enter(config.name, manager, source if written is None else written)
        opened.config = config
        if (fault := opened.fault() or self.run(lambda _: opened.default_fault())) is not None:
            self.run(lambda _: opened.close())
            raise fault
        opened.names = {*config.aliases, *([config.default_model] if config.default_model else [])}
        return self._replace(opened)

    def connect(self, url: str) -> Opened:
        """Use a running server. Its URL may end in `/` or `/v1`: it is one and the same."""
        from stack_core import AsyncStackClient

        url = url.rstrip("/").removesuffix("/v1")
        opened = self._enter(url, AsyncStackClient(url), url)
        opened.location = url
        try:
            self.run(lambda _: opened.stack.inspect.health())
        except NotFound as error:
            self.run(lambda _: opened.close())
            raise ProviderUnavailable(
                f"what answers at {url} is no stack", "start one with `stack-core run notebook`"
            ) from error
        except BaseException:
            self.run(lambda _: opened.close())
            raise
        return self._replace(opened)

    def switch(self, name: str) -> Opened:
        """Make an open stack the current one."""
        if name not in self.stacks:
            raise NotFound("stack", name, self.stacks)
        self.current = name
        return self.stacks[name]

    def close(self) -> None:
        """Close every stack and end the loop."""
        loop, self._loop = self._loop, None
        stacks, self.stacks, self.current = list(self.stacks.values()), {}, None
        if loop is None or not loop.alive:
            return
        loop.run(lambda _: _close_all(stacks))
        loop.stop()

    def model(self, opened: Opened) -> str:
        """The model to ask where a cell names none.

        Raises:
            ConfigError: the stack has no language model.
        """
        name = self.settings.model or self.run(lambda _: opened.default_model())
        if not name:
            raise ConfigError(
                f"the stack {opened.name} has no language model to ask",
                "name one with `default: ALIAS` in the stack or -m; `%stack help models` says how to get one",
            )
        return name

    def _enter(self, name: str, manager: AbstractAsyncContextManager[Any], source: Any) -> Opened:
        return self.run(lambda _: enter(name, manager, source))

    def _replace(self, opened: Opened) -> Opened:
        before = self.stacks.pop(opened.name, None)
        self.stacks[opened.name] = opened
        self.current = opened.name
        if before is not None:
            self.run(lambda _: before.close())
        return opened

    def _begin(self) -> None:
        self._forked()
        self._loop = Loop()

    def _forked(self) -> None:
        """A forked child has the parent's stacks in its memory and nothing behind them: it starts afresh."""
        if self._loop is not None and not self._loop.alive:
            self.stacks, self.current, self._loop = {}, None, None


_session: Session | None = globals().get("_session")  # a reload of this module keeps the kernel's session


def session(shell: InteractiveShell | None = None, settings: Settings | None = None) -> Session:
    """The one session of this process; the first caller with a notebook's shell gives it to the session."""
    global _session  # noqa: PLW0603 - one kernel, one session
    if _session is None:
        _session = Session(shell, settings)
        _at_exit(_close)
    if shell is not None and _session.shell is not shell:
        _session.shell, _session.settings = shell, settings or _session.settings
        _session.keys.folder = _session.folder
    return _session


async def _close_all(stacks: list[Opened]) -> None:
    for opened in reversed(stacks):
        await opened.close()


def _at_exit(close: Callable[[], None]) -> None:
    """Have `close` called when the interpreter ends, while threads can still be used: `atexit` comes after executors
    have shut down, and closing a stack writes its last spans through one. The callbacks run in reverse order, so that
    the executors' own must be registered first, which its import does."""
    import concurrent.futures.thread  # noqa: F401 - see above

    getattr(threading, "_register_atexit", atexit.register)(close)


def _close() -> None:
    if _session is not None:
        _session.close()
