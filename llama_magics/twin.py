"""`from llama_magics import stack`: the session of this kernel as a Python object.

Its methods are the twins of the cells and give the same results. They show nothing by themselves; as the last
expression of a cell a result displays like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from llama_magics import faults, showing, template
from llama_magics.results import Answer, Code, Comparison, Declared, Help, Listing, Report, Shown, Status
from llama_magics.session import Session, session
from stack_core.errors import InvalidRequest, MissingPackage, Unsupported

if TYPE_CHECKING:
    from llama_magics.client import Client


P = ParamSpec("P")
T = TypeVar("T")


def _briefly(method: Callable[P, T]) -> Callable[P, T]:
    """A verb whose errors are as short as those of its cell."""

    @wraps(method)
    def verb(*args: P.args, **kwargs: P.kwargs) -> T:
        with faults.briefly(session(_shell())):
            return method(*args, **kwargs)

    return verb


class Twin:
    """The verbs as methods, and two clients: `client` (Llama Stack's APIs) and `openai` (OpenAI's SDK)."""

    @property
    def _session(self) -> Session:
        state = session(_shell())
        state.keys.refresh()
        showing.scrub_with(state.keys)
        return state

    @_briefly
    def up(self, source: str | Path | Mapping[str, Any]) -> Declared:
        """Declare a stack: YAML text (templates are filled in), a mapping, a file or a distribution's name."""
        from llama_magics.verbs.declare import declare, up

        if not isinstance(source, str | Path | Mapping):
            raise InvalidRequest(f"a stack is YAML, a mapping, a file or a name, not {type(source).__name__}")
        if isinstance(source, str) and "\n" in source:
            return declare(self._session, source, self._session.namespace)
        return up(self._session, source)

    @_briefly
    def use(self, name: str | Path | None = None) -> Shown:
        """Use an open stack, a distribution, a file or a server's URL."""
        from llama_magics.verbs.use import use

        return use(self._session, name)

    @_briefly
    def ask(
        self,
        text: str | None = None,
        model: str | Sequence[str] | None = None,
        *,
        system: str | None = None,
        schema: Any = None,
        chat: str | None = None,
        reset: bool = False,
        params: Mapping[str, Any] | None = None,
        attach: str | Path | Sequence[str | Path] | None = None,
    ) -> Answer | Comparison | Listing:
        """Ask a model, or several (`"a,b"` or a list). Nothing in the text is a template: see `render`.

        Raises:
            StackError: as the cell does; what had come is in the error's `answer`.
        """
        from llama_magics.verbs.ask import ask, forget

        if text is None and chat is not None and reset:
            return forget(self._session, chat)
        outcome = ask(
            self._session,
            text or "",
            model,
            system=system,
            schema=schema,
            chat=chat,
            reset=reset,
            params=params,
            attach=attach,
        )
        if outcome.error is not None:
            vars(outcome.error)["answer"] = outcome.result
            raise outcome.error
        return outcome.result

    @_briefly
    def render(self, text: str, **names: Any) -> str:
        """The text with its `{{ expr }}` filled in from the notebook's names and those given here."""
        return template.render(text, {**self._session.namespace, **names})

    @_briefly
    def status(self) -> Status:
        """The card of `%stack`."""
        from llama_magics.verbs.status import status

        return status(self._session)

    @_briefly
    def show(self, kind: str | None = None, name: str | None = None) -> Shown:
        """What there is: models, providers, chats, stacks, apis; or one thing."""
        from llama_magics.verbs.show import show

        return show(self._session, kind, name)

    @_briefly
    def call(self, method: str, /, **arguments: Any) -> Shown:
        """Call `api.method` with its arguments."""
        from llama_magics.verbs.call import call

        return call(self._session, method, arguments)

    @_briefly
    def key(self, name: str | None = None, *, reset: bool = False) -> Shown:
        """Ask for a key and store it; without a name list what is set."""
        from llama_magics.verbs.key import key

        return key(self._session, name, reset=reset)

    @_briefly
    def pull(self, name: str) -> Report:
        """Fetch a model's weights."""
        from llama_magics.verbs.pull import pull

        return pull(self._session, name)

    @_briefly
    def code(self, which: str | int = -1) -> Code:
        """The Python twin of a cell."""
        from llama_magics.verbs.code import code

        return code(self._session, which)

    @_briefly
    def trace(self, trace_id: str | None = None) -> Listing:
        """The last calls, or the spans of one."""
        from llama_magics.verbs.trace import trace

        return trace(self._session, trace_id)

    @_briefly
    def doctor(self) -> Report:
        """Check versions, packages, providers, keys, disk and ports."""
        from llama_magics.verbs.doctor import doctor

        return doctor(self._session)

    @_briefly
    def help(self, topic: str | None = None) -> Help:
        """A help page."""
        from llama_magics.verbs.help import page

        return page(topic)

    @property
    def client(self) -> Client:
        """The current stack with the names of Llama Stack's client, without `await`: `stack.client.models.list()`."""
        from llama_magics.client import Client

        return Client(self._session)

    @property
    @_briefly
    def openai(self) -> Any:
        """An `openai.OpenAI` whose transport is the current stack: no port, no key.

        Raises:
            MissingPackage: the openai package is not installed.
            Unsupported: the current stack is a server at a URL.
        """
        try:
            import openai
        except ModuleNotFoundError as error:
            raise MissingPackage("openai", needed_by="stack.openai", extra="openai") from error
        from stack_core.transport import in_process_transport

        opened = self._session.opened()
        if opened.location is not None:
            raise Unsupported(f"{opened.name} is a server", f"openai.OpenAI(base_url='{opened.location}/v1')")
        http = _http_of(openai)
        return openai.OpenAI(
            base_url="http://stack/v1",
            api_key="none",
            http_client=http.Client(transport=in_process_transport(opened.stack, http)),
        )

    def close(self) -> None:
        """Close every open stack."""
        self._session.close()

    def __repr__(self) -> str:
        state = self._session
        return f"stack {state.current}" if state.current else "stack (none is open)"


_twin = Twin()


def twin() -> Twin:
    """The one object behind `from llama_magics import stack`."""
    return _twin


def _shell() -> Any:
    """The running IPython shell, or None in a plain Python process."""
    from IPython.core.getipython import get_ipython

    return get_ipython()  # type: ignore[no-untyped-call,unused-ignore]  # untyped in IPython


def _http_of(openai: Any) -> Any:
    """The HTTP package that the SDK was built on, whichever of `httpx` and `httpx2` that is."""
    from importlib import import_module

    base = openai.DefaultHttpxClient.__mro__
    names = [cls.__module__.partition(".")[0] for cls in base]
    return import_module(next(name for name in names if name.startswith("httpx")))
