"""The real `llama-stack-client` and our own clients, over HTTP and in process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from stack_core import StackClient
from stack_core.transport import in_process_transport
from tests.stack_core.running import HI, WORDS, Running, running_stack

pytestmark = pytest.mark.slow
WEATHER = {"name": "weather", "description": "The weather.", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for all tests of this file."""
    agents = {"provider_id": "it", "provider_type": "inline::meta-reference", "config": {}}
    with running_stack(tmp_path_factory.mktemp("stack"), {"agents": [agents]}) as found:
        yield found


@pytest.fixture(params=["http", "in process"])
def client(request: pytest.FixtureRequest, running: Running) -> Iterator[Any]:
    """Llama Stack's, of the version that has agents."""
    package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
    transport = in_process_transport(running.stack, httpx) if request.param == "in process" else None
    with httpx.Client(transport=transport) as http:
        found = package.LlamaStackClient(base_url=running.url, max_retries=0, http_client=http)
        if not hasattr(found.alpha, "agents"):
            pytest.skip("this llama-stack-client has no agents")
        yield found


def _session(client: Any, **config: Any) -> dict[str, str]:
    agent = client.alpha.agents.create(agent_config={"model": "up/tiny", "instructions": "Be brief.", **config})
    session = client.alpha.agents.session.create(agent.agent_id, session_name="s")
    return {"agent_id": agent.agent_id, "session_id": session.session_id}


def test_a_turn(client: Any) -> None:
    agents = client.alpha.agents
    place = _session(client)
    chunks = list(agents.turn.create(**place, messages=HI, stream=True))
    kinds = [chunk.event.payload.event_type for chunk in chunks]
    assert (kinds[:2], kinds[-2:]) == (["turn_start", "step_start"], ["step_complete", "turn_complete"])
    said = "".join(c.event.payload.delta.text for c in chunks if c.event.payload.event_type == "step_progress")
    turn = chunks[-1].event.payload.turn
    assert said == turn.output_message.content == WORDS
    whole = agents.turn.create(**place, messages=HI, stream=False)
    assert whole.output_message.content == WORDS
    assert agents.turn.retrieve(turn.turn_id, **place).turn_id == turn.turn_id
    step = agents.steps.retrieve(turn.steps[0].step_id, turn_id=turn.turn_id, **place).step
    assert (step.step_type, step.api_model_response.content) == ("inference", WORDS)
    session = agents.session.retrieve(**place, turn_ids=[whole.turn_id])
    assert [one.turn_id for one in session.turns] == [whole.turn_id]


def test_a_tool_of_the_caller(client: Any) -> None:
    agents = client.alpha.agents
    place = _session(client, client_tools=[WEATHER])
    last = list(agents.turn.create(**place, messages=HI, stream=True))[-1].event.payload
    assert last.event_type == "turn_awaiting_input"
    (call,) = last.turn.output_message.tool_calls
    results = [{"call_id": call.call_id, "tool_name": call.tool_name, "content": "sun"}]
    on = agents.turn.resume(last.turn.turn_id, **place, tool_responses=results, stream=True)
    payloads = [chunk.event.payload for chunk in on]
    assert (payloads[0].step_type, payloads[-1].event_type) == ("tool_execution", "turn_complete")
    assert [step.step_type for step in payloads[-1].turn.steps] == ["inference", "tool_execution", "inference"]


def test_lists_and_deletes(client: Any) -> None:
    agents = client.alpha.agents
    place = _session(client)
    assert place["agent_id"] in [agent["agent_id"] for agent in agents.list().data]
    assert agents.retrieve(place["agent_id"]).agent_config.model == "up/tiny"
    assert [one["session_id"] for one in agents.session.list(place["agent_id"], limit=1).data] == [place["session_id"]]
    agents.session.delete(**place)
    agents.delete(place["agent_id"])
    with pytest.raises(Exception, match="not found") as caught:
        agents.retrieve(place["agent_id"])
    assert getattr(caught.value, "status_code", None) == 404


def test_a_model_that_is_not_there_has_its_status(client: Any) -> None:
    place = _session(client, model="up/nope")
    with pytest.raises(Exception, match="up/nope") as caught:
        list(client.alpha.agents.turn.create(**place, messages=HI, stream=True))
    assert getattr(caught.value, "status_code", None) == 404


def test_our_client(running: Running) -> None:
    with StackClient(running.url) as client:
        place = _session(client)
        chunks = list(client.alpha.agents.turn.create(**place, messages=HI, stream=True))
        assert chunks[-1].event.payload.turn.output_message.content == WORDS
