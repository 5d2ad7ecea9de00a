"""Unions whose members are told apart by their field `type`."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from stack_core.apis._shapes import absent

T = TypeVar("T")

Maybe = Annotated[T | None, Field(exclude_if=absent)]
"""A field that is not sent where it is not there, rather than as null."""


class ByType:
    """Says of a union of models that `type` tells them apart: `Annotated[A | B, ByType("item")]`.

    Args:
        kind: how errors call one.
        otherwise: the member that takes every type which no other has. Without it such a value is refused.
        untyped: field → the type of a value that has this field and no `type`; the first that fits.
    """

    def __init__(
        self, kind: str, *, otherwise: type[BaseModel] | None = None, untyped: Mapping[str, str] | None = None
    ) -> None:
        self._kind, self._otherwise, self._untyped = kind, otherwise, untyped or {}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {
            name: handler.generate_schema(member)
            for member in typing.get_args(source)
            if member is not self._otherwise
            for name in typing.get_args(member.model_fields["type"].annotation)
        }
        names = frozenset(choices)
        if self._otherwise is not None:
            choices[""] = handler.generate_schema(self._otherwise)
        return core_schema.tagged_union_schema(
            choices,
            discriminator=lambda value: self._tag(value, names),
            custom_error_type="unknown_type",
            custom_error_message="the type of this {kind} is not known: it is one of {names}",
            custom_error_context={"kind": self._kind, "names": ", ".join(sorted(names))},
        )

    def _tag(self, value: Any, names: frozenset[str]) -> str | None:
        """The type of a value, which is a mapping or one of the models; None where it has none."""
        found = _field(value, "type")
        if found is None:
            found = next((name for field, name in self._untyped.items() if _field(value, field) is not None), None)
        if not isinstance(found, str):
            return None
        return "" if self._otherwise is not None and found not in names else found


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)
