"""What every provider of agents must do, whatever makes them. A new one joins by one entry in `PROVIDERS`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.context import User
from stack_core.errors import NotFound
from tests.stack_core.providers.responses.speaking import Speaking, run_file

PROVIDERS: dict[str, dict[str, Any]] = {"inline::meta-reference": {}}
"""Type → config."""
CONFIG = {"model": "up/m", "instructions": "Be brief."}
HI = [{"role": "user", "content": "hi"}]


@pytest.fixture(params=PROVIDERS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The run file of a stack that has the provider, and a model that says what it is told to."""
    Speaking.say(["Hel", "lo"])
    entry = {"provider_id": "it", "provider_type": request.param, "config": PROVIDERS[request.param]}
    return run_file(tmp_path, providers={"agents": [entry]})


async def test_agents(file: Any) -> None:
    async with Stack.open(file) as stack:
        made = [(await stack.agents.create_agent(agent_config={**CONFIG, "name": str(n)})).agent_id for n in range(3)]
        found = await stack.agents.get_agent(made[0])
        assert (found.agent_config.model, found.agent_config.name) == ("up/m", "0")
        page = await stack.agents.list_agents(start_index=1, limit=1)
        assert ([agent.agent_id for agent in page.data], page.has_more) == ([made[1]], True)
        assert not (await stack.agents.list_agents(start_index=2)).has_more
        await stack.agents.delete_agent(made[0])
        with pytest.raises(NotFound, match="agent"):
            await stack.agents.get_agent(made[0])


async def test_a_session_survives_a_restart(file: Any) -> None:
    async with Stack.open(file) as stack:
        agent = (await stack.agents.create_agent(agent_config=CONFIG)).agent_id
        session = (await stack.agents.create_agent_session(agent, session_name="s")).session_id
        first = await stack.agents.create_agent_turn(session, agent, messages=HI)
    async with Stack.open(file) as stack:
        second = await stack.agents.create_agent_turn(session, agent, messages=HI)
        assert [message.content for message in Speaking.asked[-1].messages] == ["Be brief.", "hi", "Hello", "hi"]
        found = await stack.agents.get_agents_session(session, agent)
        assert (found.session_name, found.turns) == ("s", [first, second])
        some = await stack.agents.get_agents_session(session, agent, turn_ids=[second.turn_id])
        assert some.turns == [second]
        with pytest.raises(NotFound, match="turn"):
            await stack.agents.get_agents_session(session, agent, turn_ids=["x"])


async def test_sessions(file: Any) -> None:
    async with Stack.open(file) as stack:
        agent = (await stack.agents.create_agent(agent_config=CONFIG)).agent_id
        made = [(await stack.agents.create_agent_session(agent, session_name=str(n))).session_id for n in range(3)]
        turn = await stack.agents.create_agent_turn(made[0], agent, messages=HI)
        page = await stack.agents.list_agent_sessions(agent, limit=2)
        assert ([one.session_id for one in page.data], page.has_more) == (made[:2], True)
        assert page.data[0].turns == [turn]
        await stack.agents.delete_agents_session(made[0], agent)
        with pytest.raises(NotFound, match="session"):
            await stack.agents.get_agents_turn(turn.turn_id, agent, made[0])
        await stack.agents.delete_agent(agent)
        with pytest.raises(NotFound, match="agent"):
            await stack.agents.get_agents_session(made[1], agent)


async def test_the_last_event_repeats_what_was_streamed(file: Any) -> None:
    async with Stack.open(file) as stack:
        agent = (await stack.agents.create_agent(agent_config=CONFIG)).agent_id
        session = (await stack.agents.create_agent_session(agent, session_name="s")).session_id
        stream = await stack.agents.create_agent_turn(session, agent, messages=HI, stream=True)
        payloads = [chunk.event.payload async for chunk in stream]
        assert (payloads[0].event_type, payloads[-1].event_type) == ("turn_start", "turn_complete")
        deltas = [one.delta.text for one in payloads if one.event_type == "step_progress"]
        assert (deltas, payloads[-1].turn.output_message.content) == (["Hel", "lo"], "Hello")


async def test_owners(file: Any) -> None:
    async with Stack.open(file) as stack:
        with context.request_scope(caller=User("ann")):
            agent = (await stack.agents.create_agent(agent_config=CONFIG)).agent_id
            session = (await stack.agents.create_agent_session(agent, session_name="s")).session_id
        with context.request_scope(caller=User("bob")):
            assert (await stack.agents.list_agents()).data == []
            for ask in (
                lambda: stack.agents.get_agent(agent),
                lambda: stack.agents.delete_agent(agent),
                lambda: stack.agents.get_agents_session(session, agent),
                lambda: stack.agents.create_agent_turn(session, agent, messages=HI),
            ):
                with pytest.raises(NotFound):
                    await ask()
        with context.request_scope(caller=User("ann")):
            assert (await stack.agents.get_agents_session(session, agent)).turns == []
