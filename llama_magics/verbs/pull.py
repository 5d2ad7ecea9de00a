"""`pull`: fetch a model's weights: the embedding model by its name, a model of a running Ollama as `ollama/NAME`."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llama_magics import showing, source
from llama_magics.results import Check, Report
from llama_magics.session import Session
from stack_core import pull as fetch
from stack_core.errors import InvalidRequest, NotFound, ProviderError, ProviderUnavailable

if TYPE_CHECKING:
    from llama_magics.cell import Cell

Progress = Callable[[int, int | None], None]
OLLAMA = "http://localhost:11434"


def run(cell: Cell) -> Report:
    """Fetch what the word names, with its progress in one line."""
    words = cell.words()
    if not words:
        raise InvalidRequest("pull what?", "%stack pull minilm, or %stack pull ollama/llama3.2:3b")
    bar = None if cell.quiet or not showing.rich(cell.shell) else _Bar(words[0])
    code = source.call("pull", words[0], out=cell.line.options.get("out"))
    return pull(cell.session, words[0], bar.update if bar else None, code)


def pull(session: Session, name: str, progress: Progress | None = None, code: str = "") -> Report:
    """Fetch weights.

    Args:
        progress: called with the bytes that have come and the bytes in all, where that is known.

    Raises:
        NotFound: nothing of this name can be fetched.
        ProviderUnavailable: no Ollama answers.
    """
    provider, slash, model = name.partition("/")
    if slash and provider == "ollama":
        session.run(lambda emit: _ollama(session, model, emit), _receiver(progress))
        return _report(name, Check(name, "ok", "is in Ollama's store", f'%stack ask {name} "hi"'), code)
    if slash:
        raise NotFound(
            "weights", name, hint="pull fetches minilm and ollama/NAME; a GGUF file of your own: %stack help models"
        )
    path = session.run(lambda emit: asyncio.to_thread(fetch, name, lambda *at: emit(at)), _receiver(progress))
    return _report(name, Check(name, "ok", f"is in {path.name} of the cache"), code)


def _report(name: str, check: Check, code: str) -> Report:
    return Report([check], code, title=f"pull {name}", say="The weights are here.")


def _receiver(progress: Progress | None) -> Callable[[Any], None]:
    def receive(at: tuple[int, int | None]) -> None:
        if progress is not None:
            progress(*at)

    return receive


async def _ollama(session: Session, model: str, emit: Callable[[Any], None]) -> None:
    """Ollama's `/api/pull`: one JSON object a line, `total` and `completed` in bytes, or `error`."""
    from stack_core import http

    url = (os.environ.get("OLLAMA_URL") or session.keys.mapping().get("OLLAMA_URL") or OLLAMA).rstrip("/")
    url = url.removesuffix("/v1")
    try:
        async with http.open_client(url) as client:
            async with client.stream("POST", "/api/pull", json={"model": model}) as response:
                async for line in response.aiter_lines():
                    state = json.loads(line) if line.strip() else {}
                    if "error" in state:
                        raise ProviderError(f"Ollama: {state['error']}", "https://ollama.com/library lists its models")
                    if "completed" in state:
                        emit((state["completed"], state.get("total")))
    except http.TransportError as error:
        raise ProviderUnavailable(f"no Ollama answers at {url}", "start it with `ollama serve`") from error


class _Bar:
    """A line that says how much has come, a few times a second."""

    def __init__(self, name: str) -> None:
        self._name, self._at = name, 0.0
        self._handle: Any = None

    def update(self, done: int, total: int | None) -> None:
        """Show the state, unless it was shown a moment ago."""
        now = time.monotonic()
        if now - self._at < 0.2 and done != total:
            return
        self._at = now
        self._handle = self._handle or showing.growing(f"{self._name}: starting")
        share = f" of {total / 1e6:.0f} MB, {done / total:.0%}" if total else " MB"
        self._handle.update({"text/plain": f"{self._name}: {done / 1e6:.0f}{share}"}, raw=True)
