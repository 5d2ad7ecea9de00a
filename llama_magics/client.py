"""`stack.client`: the current stack with the names of Llama Stack's client, each method a plain call, no `await`.

Names are those of `llama-stack-client` 0.3.5 (`client.chat.completions.create`, `client.vector_stores.files.create`);
beside them every method of every API has its own (`client.inference.chat_completion`). Both go through the same door.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from llama_magics import faults
from stack_core.names import Names
from stack_core.sync_client import Blocking

if TYPE_CHECKING:
    from llama_magics.session import Session
    from stack_core.apis import Route


class Client(Names):
    """The names, on whichever stack of the session is the current one when a method is called."""

    def __init__(self, state: Session) -> None:
        self._session = state
        super().__init__(self._carry_out)

    def _carry_out(self, route: Route, args: tuple[Any, ...], kwargs: dict[str, Any], shaped: bool) -> Any:
        session = self._session
        blocking = Blocking(_Briefly(session), session.opened().stack.call)
        return blocking.invoke(route, args, kwargs, shaped)


class _Briefly:
    """The session's loop; what is raised looks as it does in a cell."""

    alive = True  # the session begins a new loop where it has none

    def __init__(self, state: Session) -> None:
        self._session = state

    @property
    def pid(self) -> int:
        """The process that the loop is of: this one, also after a fork."""
        return os.getpid()

    def run(self, work: Any) -> Any:
        """Do `work` on the loop and wait."""
        with faults.briefly(self._session):
            return self._session.run(work)
