"""The OpenAPI document."""

from __future__ import annotations

from typing import Any

import pytest

from stack_core.apis import APIS, all_routes
from stack_core.wire.table import openapi_path
from tests.documents import served_document


def _schema(place: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    schema: dict[str, Any] = place["content"][kind]["schema"]
    name = schema.get("$ref", "").rpartition("/")[2]
    return served_document()["components"]["schemas"][name] if name else schema


@pytest.mark.slow
def test_it_is_valid() -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(served_document())


def test_every_declared_route_stands_in_it_with_its_api() -> None:
    for route in all_routes():
        operation = served_document()["paths"][openapi_path(route.url)][route.verb.lower()]
        assert operation["operationId"] == f"{route.api}_{route.name}"
        assert operation["tags"] == [route.api]
        assert operation["summary"]
        assert {"400", "404", "default"} <= operation["responses"].keys()
        assert not operation.get("deprecated")
    assert [tag["name"] for tag in served_document()["tags"]] == list(APIS)


def test_an_item_of_an_unknown_type_does_not_make_the_known_ones_ambiguous() -> None:
    """Its schema takes what theirs take, so that "one of them" would be false of every answer."""
    items = served_document()["components"]["schemas"]["ItemList"]["properties"]["data"]["items"]
    assert "oneOf" not in items
    assert {"$ref": "#/components/schemas/OtherItem"} in items["anyOf"]
    request = served_document()["components"]["schemas"]["ChatCompletionRequest"]
    assert "discriminator" in request["properties"]["messages"]["items"]


def test_operation_ids_are_unique_and_other_spellings_are_deprecated() -> None:
    operations = [operation for path in served_document()["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert served_document()["paths"]["/v1/openai/v1/chat/completions"]["post"]["deprecated"]


def test_a_chat_completion_has_its_request_its_result_and_its_events() -> None:
    operation = served_document()["paths"]["/v1/chat/completions"]["post"]
    assert {"model", "messages", "tools"} <= _schema(operation["requestBody"])["properties"].keys()
    good = operation["responses"]["200"]
    assert "choices" in _schema(good)["properties"]
    assert _schema(good, "text/event-stream")["title"] == "ChatCompletionChunk"


def test_a_query_is_a_list_of_parameters() -> None:
    parameters = served_document()["paths"]["/v1/chat/completions"]["get"]["parameters"]
    assert {row["name"]: row["in"] for row in parameters} == dict.fromkeys(
        ("after", "limit", "model", "metadata", "order"), "query"
    )
    assert [row["name"] for row in parameters if row.get("style") == "deepObject"] == ["metadata"]


def test_no_result_is_204_and_a_path_argument_is_a_string() -> None:
    operation = served_document()["paths"]["/v1/shields/{identifier}"]["delete"]
    assert "204" in operation["responses"]
    assert operation["parameters"] == [
        {"name": "identifier", "in": "path", "required": True, "schema": {"type": "string"}}
    ]


def test_a_file_goes_in_by_a_form_and_comes_back_as_bytes() -> None:
    found = served_document()
    for url in ("/v1/files", "/v1/openai/v1/files"):
        content = found["paths"][url]["post"]["requestBody"]["content"]
        assert list(content) == ["multipart/form-data"]
        model = found["components"]["schemas"][content["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]]
        assert (model["properties"]["file"]["type"], model["properties"]["file"]["format"]) == ("string", "binary")
    answer = found["paths"]["/v1/files/{file_id}/content"]["get"]["responses"]["200"]["content"]
    assert answer == {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
