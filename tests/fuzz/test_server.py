"""Any call to any operation of the served OpenAPI document: no answer is a fault of the server, all keep their shape.

`FUZZ_CALLS` (about 1,000 unless it is set) is how many calls are made; `make fuzz` makes 20,000. The calls are the same
in each run, but for the ids of what the server made; `FUZZ_SEED` gives others.
"""

from __future__ import annotations

import json
import os
import warnings
from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis")

import requests  # noqa: E402 - schemathesis brings it
from hypothesis import HealthCheck, Phase, given, reject, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from schemathesis.checks import load_all_checks  # noqa: E402
from schemathesis.core.errors import InvalidSchema  # noqa: E402
from schemathesis.core.transport import Response  # noqa: E402
from schemathesis.specs.openapi.checks import response_schema_conformance  # noqa: E402

from tests.documents import served_document  # noqa: E402
from tests.fuzz.pool import Pool, key_of  # noqa: E402
from tests.fuzz.served import Served  # noqa: E402
from tests.fuzz.spoil import NASTY_TEXTS, NO_JSON, spoiled, with_ids, written  # noqa: E402

pytestmark = pytest.mark.slow

load_all_checks()
DOCUMENT = served_document()
OPERATIONS = {
    operation.label: operation
    for operation in (found.ok() for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations())
}
SHARE = max(2, int(os.environ.get("FUZZ_CALLS", "1000")) // len(OPERATIONS))
SEED = int(os.environ.get("FUZZ_SEED", "20"))
SECONDS = 20
FORM = "multipart/form-data"
NO_FAULT = (501, 503)
"""Statuses over 499 that are no fault of the server: what it does not have, and what is away for a while."""


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_no_call_is_answered_with_a_fault_of_the_server(label: str, server: Served, pool: Pool) -> None:
    strategy = calls(OPERATIONS[label])
    session = requests.Session()

    @seed(SEED)
    @settings(
        max_examples=SHARE,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def call(data: st.DataObject) -> None:
        try:
            case = data.draw(strategy, "call")
        except InvalidSchema:  # it does not always find how to break an array's rules
            reject()
        response = send(case, data, session, server, pool)
        judge(case, response, server, pool)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call()


def calls(operation: Any) -> st.SearchStrategy[Any]:
    """Calls as the document has them, and some that break its rules where it has any."""
    good = operation.as_strategy()
    if operation.body or operation.query:
        return st.one_of(good, good, operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    return good


def send(case: Any, data: st.DataObject, session: requests.Session, server: Served, pool: Pool) -> requests.Response:
    """Make the call, three in four with real ids, one in three with a spoiled body or query."""
    number = data.draw(st.integers(0, 31))
    spoil = data.draw(st.integers(0, 2)) == 0
    if number % 4 and case.path_parameters:
        path = case.operation.path
        known = {name: pool.pick(key_of(path, name), number) for name in case.path_parameters}
        case.path_parameters.update({name: found for name, found in known.items() if found is not None})
    is_json = case.body is not None and case.media_type == "application/json"
    if is_json and number % 4:
        case.body = with_ids(case.body, pool, number)
    sent = case.as_transport_kwargs(base_url=server.url)
    if is_json and (spoil or "json" in sent):
        sent.pop("data", None)
        sent.pop("json", None)
        whole = spoil and data.draw(st.integers(0, 5)) == 0
        sent["data"] = data.draw(st.sampled_from(NO_JSON)) if whole else written(_body(case, data, spoil=spoil))
    elif spoil and case.media_type == FORM:
        content = data.draw(st.sampled_from(NASTY_TEXTS))
        sent.pop("headers", None)
        purpose = data.draw(st.sampled_from(("assistants", "batch", content)))
        sent |= {"files": {"file": (content[:40].decode("utf-8", "replace"), content)}, "data": {"purpose": purpose}}
    elif spoil and case.query:
        name = data.draw(st.sampled_from(sorted(map(str, case.query))))
        sent["params"] = [(name, data.draw(st.sampled_from(NASTY_TEXTS))) for _ in range(data.draw(st.integers(1, 3)))]
    return session.request(**sent, timeout=SECONDS)


def _body(case: Any, data: st.DataObject, *, spoil: bool) -> Any:
    return data.draw(spoiled(case.body)) if spoil else case.body


def judge(case: Any, response: requests.Response, server: Served, pool: Pool) -> None:
    """Fail where the answer is not one that the document promises."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    said = f"{case.operation.label}: {response.status_code} {response.text[:1000]}"
    if response.status_code >= 400:
        assert kind == "application/json", said
        content = response.json()
        assert content["detail"], said
        assert content["error"]["message"], said
        if response.status_code >= 500:
            assert response.status_code in NO_FAULT, f"{said}\n{server.tracebacks()}"
            assert content["error"]["code"] != "internal_error", said
    elif kind == "text/event-stream":
        for line in response.content.splitlines():
            if line.startswith(b"data: ") and line != b"data: [DONE]":
                assert json.loads(line[6:]).get("error", {}).get("code") != "internal_error", said
    elif kind == "application/json":
        case.validate_response(Response.from_requests(response, verify=True), checks=[response_schema_conformance])
        if case.method == "POST" and response.status_code == 200:
            pool.note(case.operation.path, response.json())
    elif response.status_code == 204 and case.method == "POST":
        pool.note(case.operation.path, case.body)
