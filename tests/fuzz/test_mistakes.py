"""The mistakes of a caller, generated from the declarations: each is told with its place, all at once."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from stack_core.apis import all_routes
from stack_core.apis._declare import Route
from stack_core.errors import InvalidRequest
from stack_core.wire.requests import arguments

IN_BODY = {
    route.id: route
    for route in all_routes()
    if route.request is not None and route.verb in ("POST", "PUT") and not route.upload
}
WRONG: tuple[Any, ...] = ({"?": {}}, [[{}]], "?", -7.5, 3, True)


@cache
def mistakes(model: type[BaseModel]) -> dict[str, Any]:
    """Field → a value that it does not take, for each field that does not take all."""
    found = {}
    for name, field in model.model_fields.items():
        adapter = TypeAdapter(field.annotation)
        wrong = [value for value in WRONG if not _takes(adapter, value)]
        if wrong:
            found[field.alias or name] = wrong[0]
    return found


def _takes(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True


def faults(route: Route, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What a call with this body is told."""
    path = dict.fromkeys(route.path_params, "x")
    with pytest.raises(InvalidRequest) as caught:
        arguments(route, path, "", json.dumps(body).encode())
    return caught.value.errors


@pytest.mark.parametrize("name", sorted(IN_BODY))
def test_every_wrong_field_of_a_body_is_named_at_once(name: str) -> None:
    route = IN_BODY[name]
    assert route.request is not None
    wrong = mistakes(route.request)
    if not wrong:
        pytest.skip("every field of it takes everything")

    @seed(3)
    @settings(max_examples=12, database=None, deadline=None)
    @given(st.sets(st.sampled_from(sorted(wrong)), min_size=1))
    def told(chosen: set[str]) -> None:
        found = faults(route, {field: wrong[field] for field in chosen})
        assert chosen <= {fault["loc"][0] for fault in found}
        assert all(fault["msg"] and fault["type"] for fault in found)

    told()


@pytest.mark.parametrize("name", sorted(IN_BODY))
def test_a_body_that_is_no_object_has_one_fault(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        arguments(IN_BODY[name], dict.fromkeys(IN_BODY[name].path_params, "x"), "", b"[1]")
    assert len(caught.value.errors) == 1
