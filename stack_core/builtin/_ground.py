"""What the stack gives its own parts to stand on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from stack_core.errors import StackError
from stack_core.storage.kv import KeyValue
from stack_core.storage.sql import Sql


class Serving(Protocol):
    """A configured provider, as the resolver keeps it: its instance, or why there is none."""

    api: str
    provider_id: str
    provider_type: str
    instance: Any
    error: StackError | None

    def required(self) -> Any:
        """The instance.

        Raises:
            StackError: why it did not start.
        """
        ...


@dataclass(frozen=True)
class Ground:
    """The stack, as its own parts see it.

    `bound("files")` is another API through the door, `providers("vector_io")` the configured providers of an API by
    id, `registered("datasets")` the run file's rows of `registered_resources`, `section("vector_stores")` a section of
    the run file. `kv` and `sql` give the store that `storage.stores` names so, else a part of the first backend;
    `traces` the spans that are kept longest. What is given to `on_close` runs when the stack closes.
    """

    bound: Callable[[str], Any]
    providers: Callable[[str], Mapping[str, Serving]]
    registered: Callable[[str], list[dict[str, Any]]]
    section: Callable[[str], Mapping[str, Any]]
    kv: Callable[[str], KeyValue]
    sql: Callable[[str], Sql]
    traces: Callable[[], Any]
    on_close: Callable[[Callable[[], Awaitable[None]]], None]
