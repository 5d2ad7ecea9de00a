"""What the stack says about itself: providers, health, version, routes and telemetry."""

from __future__ import annotations

import time
from typing import Any

import llama_stack_client
import pytest

from tests.stack_core.running import ECHO, HI, Running

pytestmark = pytest.mark.slow


def test_providers(llama: Any) -> None:
    rows = {(row.api, row.provider_id) for row in llama.providers.list()}
    assert rows >= {("inference", "up"), ("files", "meta-reference-files"), ("vector_io", "faiss")}
    found = llama.providers.retrieve("up")
    assert (found.provider_type, found.api) == ("remote::vllm", "inference")
    assert found.health["status"] == "OK"
    with pytest.raises(llama_stack_client.NotFoundError, match="not found"):
        llama.providers.retrieve("upp")


def test_inspect_and_routes(llama: Any, new: bool) -> None:
    assert llama.inspect.health().status == "OK"
    version = llama.inspect.version().version
    assert version
    rows = llama.routes.list()
    assert {"/v1/chat/completions", "/v1alpha/inference/rerank"} <= {row.route for row in rows}
    assert {row.method for row in rows} >= {"GET", "POST", "DELETE"}
    if new:
        admin = llama.alpha.admin
        assert (admin.health().status, admin.version().version) == ("OK", version)
        assert {row.provider_id for row in admin.list_providers()} >= {"up"}
        assert admin.inspect_provider("up").provider_type == "remote::vllm"
        beta = {row.route for row in admin.list_routes(api_filter="v1beta")}
        assert beta == {row.route for row in llama.routes.list(api_filter="v1beta")}
        assert all(route.startswith("/v1beta/") for route in beta)


def test_no_client_is_refused_for_its_version(llama: Any) -> None:
    for version in ("0.1.0", "99.0.0"):
        old = llama.with_options(default_headers={"X-LlamaStack-Client-Version": version})
        assert old.inspect.health().status == "OK"


def test_provider_keys_reach_the_service(llama: Any, running: Running) -> None:
    keyed = llama.with_options(default_headers={"X-LlamaStack-Provider-Data": '{"vllm_api_token": "mine-123456"}'})
    keyed.chat.completions.create(model="up/tiny", messages=HI)
    assert running.service.requests()[-1]["headers"].get("authorization") == "Bearer mine-123456"


def test_telemetry(llama: Any, new: bool) -> None:
    if new:
        pytest.skip("this version has no resource for telemetry")
    llama.chat.completions.create(model="up/tiny", messages=ECHO)
    asked = [{"key": "stack.model", "op": "eq", "value": "up/tiny"}]
    trace = llama.telemetry.query_traces(attribute_filters=asked, limit=1, offset=0, order_by=["-start_time"])[0]
    assert llama.telemetry.get_trace(trace.trace_id).root_span_id == trace.root_span_id
    span = llama.telemetry.get_span(trace.root_span_id, trace_id=trace.trace_id)
    assert (span.name, span.attributes["stack.model"]) == ("chat tiny", "up/tiny")
    tree = llama.telemetry.get_span_tree(trace.root_span_id, attributes_to_return=["stack.model"], max_depth=3)
    assert tree[trace.root_span_id].attributes == {"stack.model": "up/tiny"}
    spans = llama.telemetry.query_spans(attribute_filters=asked, attributes_to_return=["stack.model"], max_depth=1)
    assert {span.attributes["stack.model"] for span in spans} == {"up/tiny"}
    series = llama.telemetry.query_metrics(
        "total_tokens",
        query_type="instant",
        start_time=int(time.time()) - 3600,
        end_time=int(time.time()) + 60,
        granularity="1h",
        label_matchers=[{"name": "model_id", "operator": "!=", "value": "none"}],
    )
    assert sum(point.value for row in series for point in row.values) > 0
    llama.datasets.register(dataset_id="spans", purpose="eval/question-answer", source={"type": "rows", "rows": []})
    llama.telemetry.save_spans_to_dataset(
        attribute_filters=asked, attributes_to_save=["stack.model"], dataset_id="spans", max_depth=1
    )
    assert llama.datasets.iterrows("spans", limit=1).data[0]["stack.model"] == "up/tiny"
    llama.datasets.unregister("spans")
    with pytest.raises(llama_stack_client.NotFoundError, match="not found"):
        llama.telemetry.get_trace("0" * 32)
