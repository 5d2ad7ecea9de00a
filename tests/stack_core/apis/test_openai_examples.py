"""OpenAI's own examples: every event, item, response and completion of its specification goes through the models and
comes out as it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from stack_core.apis import all_routes
from stack_core.apis._declare import Route
from stack_core.apis._response_events import OtherEvent, StreamEvent

SPEC = Path(__file__).parents[4] / "shared" / "spec" / "openai-2.3.0.yaml"
pytestmark = pytest.mark.skipif(not SPEC.is_file(), reason="../shared is not here: there is no specification to read")

SHORTENED = re.compile(r"^\s*\.\.\.|{ \.\.\. }|\.\.\.\.", re.M)
AGAINST_ITS_SCHEMA = {"ResponseQueuedEvent": "its response has a date where the schema says seconds, and no model"}
APIS = ("inference", "batches", "safety", "responses", "conversations")


@cache
def spec() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(SPEC.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


def event_examples() -> Iterator[tuple[str, Any]]:
    """Each event's example, by the name of its schema."""
    if not SPEC.is_file():
        return
    schemas = spec()["components"]["schemas"]
    for member in schemas["ResponseStreamEvent"]["anyOf"]:
        name = member["$ref"].rpartition("/")[2]
        yield name, (schemas[name].get("x-oaiMeta") or {}).get("example")


def answers() -> Iterator[tuple[str, Route, str]]:
    """The documented answers of operations that we have."""
    routes = {(route.verb, _shape(route.url)): route for route in all_routes()}
    for url, verbs in spec()["paths"].items() if SPEC.is_file() else ():
        for verb, operation in verbs.items():
            route = routes.get((verb.upper(), _shape(f"/v1{url}")))
            if route is None or route.api not in APIS:
                continue
            examples = (operation.get("x-oaiMeta") or {}).get("examples") or []
            for number, example in enumerate(examples if isinstance(examples, list) else [examples]):
                if isinstance(example.get("response"), str):
                    yield f"{verb} {url} {number}", route, example["response"]


def _shape(url: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in url.split("/"))


def _content(text: str) -> Any:
    """What an example says. Some have commas that JSON does not allow, which YAML does."""
    if text.startswith("event:") or "}\n{" in text or "}\n\n{" in text:
        pytest.skip("a stream, not one answer")
    if SHORTENED.search(text):
        pytest.skip("OpenAI's example is shortened with dots")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        pytest.skip("OpenAI's example lacks a comma")


def _said(value: Any) -> Any:
    """Without what is null: OpenAI's examples have it or leave it out as it comes."""
    if isinstance(value, dict):
        return {name: _said(inner) for name, inner in value.items() if inner is not None}
    return [_said(inner) for inner in value] if isinstance(value, list) else value


def _again(kind: Any, data: Any) -> Any:
    adapter = TypeAdapter(kind)
    return adapter.dump_python(adapter.validate_python(data), mode="json", exclude_unset=True, by_alias=True)


@pytest.mark.parametrize(("name", "example"), [pytest.param(*row, id=row[0]) for row in event_examples()])
def test_event(name: str, example: str) -> None:
    if name in AGAINST_ITS_SCHEMA:
        pytest.skip(AGAINST_ITS_SCHEMA[name])
    data = _content(example)
    known = {"sequence_number": 1, **data}  # some examples forget it
    assert type(TypeAdapter(StreamEvent).validate_python(known)) is not OtherEvent
    assert _said(_again(StreamEvent, known)) == _said(known)


@pytest.mark.parametrize(("route", "text"), [pytest.param(*row[1:], id=row[0]) for row in answers()])
def test_answer(route: Route, text: str) -> None:
    data = _content(text)
    assert _said(_again(route.result, data)) == _said(data)


def test_a_streamed_response() -> None:
    stream = next(text for name, _, text in answers() if name == "post /responses 5")
    events = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: ")]
    assert len(events) > 5
    for number, data in enumerate(events):
        event = {"sequence_number": number, **data}
        assert _said(_again(StreamEvent, event)) == _said(event)
