"""`stack.client`: the current stack with the names of Llama Stack's client, each method a plain call, no `await`.

Names are those of `llama-stack-client` 0.3.5 (`client.chat.completions.create`, `client.models.list`); beside them
every method of every API has its own (`client.inference.chat_completion`). Both go through the same door.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from llama_magics import faults
from stack_core.apis import APIS
from stack_core.errors import nearest

if TYPE_CHECKING:
    from llama_magics.session import Session

NAMES: dict[str, tuple[str, str]] = {
    "chat.completions.create": ("inference", "chat_completion"),
    "chat.completions.list": ("inference", "list_chat_completions"),
    "chat.completions.retrieve": ("inference", "get_chat_completion"),
    "completions.create": ("inference", "completion"),
    "embeddings.create": ("inference", "embeddings"),
    "alpha.inference.rerank": ("inference", "rerank"),
    "models.list": ("models", "list_models"),
    "models.retrieve": ("models", "get_model"),
    "models.register": ("models", "register_model"),
    "models.unregister": ("models", "unregister_model"),
    "providers.list": ("providers", "list_providers"),
    "providers.retrieve": ("providers", "inspect_provider"),
    "inspect.health": ("inspect", "health"),
    "inspect.version": ("inspect", "version"),
    "routes.list": ("inspect", "list_routes"),
}
"""A method of Llama Stack's client → (API, method)."""

UNWRAPPED = frozenset({"models.list", "providers.list", "routes.list", "alpha.inference.rerank"})
"""Methods whose result is the list itself, without the object around it."""


class Client:
    """A point in the client's names; what is called at its end is one method of one API."""

    def __init__(self, state: Session, path: str = "") -> None:
        self._session, self._path = state, path

    def __getattr__(self, name: str) -> Any:
        path = f"{self._path}.{name}" if self._path else name
        if path in NAMES:
            return self._method(*NAMES[path], bare=path in UNWRAPPED)
        if name in self._below():
            return Client(self._session, path)
        if self._path in APIS and name in self._own():
            return self._method(self._path, name, bare=False)
        close = nearest(name, dir(self))
        raise AttributeError(f"no {path!r}" + (f"; did you mean {close[0]!r}?" if close else ""))

    def __dir__(self) -> list[str]:
        return sorted({*self._below(), *(self._own() if self._path in APIS else ())})

    def __repr__(self) -> str:
        return f"client{'.' if self._path else ''}{self._path} ({', '.join(dir(self))})"

    def _below(self) -> set[str]:
        """The names that may follow here."""
        start = f"{self._path}." if self._path else ""
        following = {path[len(start) :].split(".", 1)[0] for path in NAMES if path.startswith(start)}
        return following if self._path else following | set(APIS)

    def _own(self) -> list[str]:
        return dir(getattr(self._session.opened().stack, self._path))

    def _method(self, api: str, name: str, *, bare: bool) -> Any:
        session = self._session
        method = getattr(getattr(session.opened().stack, api), name)

        def call(*args: Any, **kwargs: Any) -> Any:
            async def work(_: Any) -> Any:
                return await method(*args, **kwargs)

            with faults.briefly(session):
                found = session.run(work)
            if hasattr(found, "__aiter__"):
                return _items(session, found)
            return found.data if bare else found

        call.__name__, call.__doc__ = name, method.__doc__
        vars(call)["__signature__"] = method.__signature__
        return call


def _items(session: Session, stream: Any) -> Iterator[Any]:
    """The items of a stream as they come; leaving the loop early closes it."""

    async def following(_: Any) -> Any:
        return await anext(stream, None)

    async def close(_: Any) -> None:
        await stream.aclose()

    try:
        with faults.briefly(session):
            while (item := session.run(following)) is not None:
                yield item
    finally:
        session.run(close)
