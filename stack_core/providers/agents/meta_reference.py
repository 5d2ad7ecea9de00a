"""`inline::meta-reference`: agents, their sessions and turns, made by the stack itself from the models it has.

The loop is that of responses (`stack_core.turns`); `_making` turns its steps into those of a turn, `_store` keeps them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from stack_core.apis._agent_config import AgentConfig
from stack_core.apis._messages import ToolUse
from stack_core.apis._steps import ToolExecutionStep, ToolResponse
from stack_core.apis._tools import AgentTool, ToolConfig
from stack_core.apis._turns import Turn, TurnChunk
from stack_core.apis.agents import (
    Agent,
    AgentCreated,
    AgentPage,
    Agents,
    AgentStep,
    CreateAgentRequest,
    CreateSessionRequest,
    CreateTurnRequest,
    ResumeTurnRequest,
    Session,
    SessionCreated,
    SessionPage,
)
from stack_core.apis.file_processors import FileProcessors
from stack_core.apis.inference import Inference, Message, SystemMessage, ToolMessage
from stack_core.apis.providers import Providers
from stack_core.apis.safety import Safety
from stack_core.apis.tool_groups import ToolGroups
from stack_core.apis.tool_runtime import ToolRuntime
from stack_core.apis.vector_stores import VectorStores
from stack_core.errors import Conflict, InvalidRequest, NotFound, Unsupported
from stack_core.providers import provider
from stack_core.providers.agents._asking import ask, check, check_tool_config
from stack_core.providers.agents._config import AgentsConfig
from stack_core.providers.agents._guards import Guards
from stack_core.providers.agents._input import Inputs, content, dumped, joined, loaded
from stack_core.providers.agents._making import Begin, Making, Shields
from stack_core.providers.agents._store import AgentStore, Row, cut, ids
from stack_core.providers.agents._tools import Toolbox
from stack_core.storage.kv import KeyValue
from stack_core.turns.loop import Ask, Loop


@provider("inline::meta-reference")
class ReferenceAgents(Agents):
    """Agents by this stack: the loop of models and tools with shields on both ends, kept in its key-value store.

    The turns of one session come one after another in this process; any number of sessions go on at once.
    """

    Config = AgentsConfig

    def __init__(
        self,
        config: AgentsConfig,
        *,
        inference: Inference | None,
        safety: Safety | None,
        tool_groups: ToolGroups,
        tool_runtime: ToolRuntime | None,
        vector_stores: VectorStores,
        file_processors: FileProcessors | None,
        providers: Providers,
        agent_state: KeyValue,
    ) -> None:
        self._inference = inference
        self._guards = Guards(safety, providers)
        self._toolbox = Toolbox(tool_groups, tool_runtime, vector_stores, providers)
        self._inputs = Inputs(file_processors)
        self._store = AgentStore(agent_state)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    # ---- agents

    async def create_agent(self, request: CreateAgentRequest) -> AgentCreated:
        """Make an agent.

        Raises:
            InvalidRequest: fields that do not go together.
            Unsupported: fields that this version does not serve, or shields where nothing runs them.
        """
        config = request.agent_config
        check(config)
        await self._guards.check("input_shields", config.input_shields)
        await self._guards.check("output_shields", config.output_shields)
        return AgentCreated(agent_id=await self._store.add(config))

    async def list_agents(self, start_index: int | None = None, limit: int | None = None) -> AgentPage:
        """Agents, oldest first."""
        data, more = cut(await self._store.agents(), start_index, limit)
        return AgentPage(data=data, has_more=more)

    async def get_agent(self, agent_id: str) -> Agent:
        """One agent."""
        return await self._store.agent(agent_id)

    async def delete_agent(self, agent_id: str) -> None:
        """Forget an agent with its sessions."""
        await self._store.remove(agent_id)

    # ---- sessions

    async def create_agent_session(self, agent_id: str, request: CreateSessionRequest) -> SessionCreated:
        """Begin a session."""
        return SessionCreated(session_id=await self._store.add_session(agent_id, request.session_name))

    async def list_agent_sessions(
        self, agent_id: str, start_index: int | None = None, limit: int | None = None
    ) -> SessionPage:
        """The sessions of an agent, oldest first, each with its turns."""
        page, more = cut(await self._store.sessions(agent_id), start_index, limit)
        return SessionPage(data=[await self._with_turns(agent_id, one, None) for one in page], has_more=more)

    async def get_agents_session(self, session_id: str, agent_id: str, turn_ids: list[str] | None = None) -> Session:
        """A session with its turns, or with those of `turn_ids`.

        Raises:
            NotFound: there is no such agent, session or turn; names the nearest.
        """
        return await self._with_turns(agent_id, await self._store.session(agent_id, session_id), turn_ids)

    async def delete_agents_session(self, session_id: str, agent_id: str) -> None:
        """Forget a session with its turns."""
        await self._store.remove_session(agent_id, session_id)

    async def _with_turns(self, agent_id: str, session: Session, turn_ids: list[str] | None) -> Session:
        rows = [row for _, row in await self._store.turns(agent_id, session.session_id)]
        if turn_ids is not None:
            there = ids(rows)
            for wanted in turn_ids:
                if wanted not in there:
                    raise NotFound("turn", wanted, there)
        kept = [row["turn"] for row in rows if turn_ids is None or row["turn"]["turn_id"] in turn_ids]
        return session.model_copy(update={"turns": [Turn.model_validate(turn) for turn in kept]})

    # ---- turns

    async def create_agent_turn(
        self, session_id: str, agent_id: str, request: CreateTurnRequest
    ) -> Turn | AsyncIterator[TurnChunk]:
        """Say something to an agent. A turn that breaks off is not kept: the session goes on as it was.

        Raises:
            NotFound: there is no such agent, session, model or tool group.
            InvalidRequest: a document that cannot be read, tools that do not go together.
            Unsupported: a tool group without a provider, a document by an address.
            ProviderError: the model's service or a shield failed.
        """
        agent = await self._store.agent(agent_id)
        await self._store.session(agent_id, session_id)
        asked = await self._ask(agent.agent_config, request.toolgroups, request.tool_config, 0)
        said = await self._inputs.said(request.messages, request.documents)
        events = self._created(agent, session_id, request, asked, said)
        return events if request.stream else await _last(events)

    async def get_agents_turn(self, turn_id: str, agent_id: str, session_id: str) -> Turn:
        """One turn."""
        _, row = await self._store.turn(agent_id, session_id, turn_id)
        return Turn.model_validate(row["turn"])

    async def resume_agent_turn(
        self, turn_id: str, agent_id: str, session_id: str, request: ResumeTurnRequest
    ) -> Turn | AsyncIterator[TurnChunk]:
        """Carry on a turn that waits for the caller's own tools.

        Raises:
            NotFound: there is no such agent, session or turn.
            Conflict: the turn does not wait.
            InvalidRequest: results that are not those of the calls it waits for.
        """
        agent = await self._store.agent(agent_id)
        await self._store.turn(agent_id, session_id, turn_id)
        events = self._resumed(agent, session_id, turn_id, request)
        return events if request.stream else await _last(events)

    async def get_agents_step(self, step_id: str, agent_id: str, session_id: str, turn_id: str) -> AgentStep:
        """One step of a turn."""
        turn = await self.get_agents_turn(turn_id, agent_id, session_id)
        for step in turn.steps:
            if step.step_id == step_id:
                return AgentStep(step=step)
        raise NotFound("step", step_id, [step.step_id for step in turn.steps])

    # ---- making

    async def _created(
        self, agent: Agent, session_id: str, request: CreateTurnRequest, asked: Ask, said: list[Message]
    ) -> AsyncGenerator[TurnChunk, None]:
        async with self._lock(session_id):
            await self._store.session(agent.agent_id, session_id)
            rows = await self._store.turns(agent.agent_id, session_id)
            before = loaded([message for _, row in rows for message in row["messages"]])
            begin = Begin(str(uuid4()), session_id, request.messages, _now(), before, joined(before, said))
            kept = {
                "toolgroups": request.model_dump(mode="json")["toolgroups"],
                "tool_config": request.tool_config.model_dump(mode="json") if request.tool_config else None,
            }
            making = self._making(agent, begin, asked, None, kept)
            async with aclosing(making.events()) as events:
                async for event in events:
                    yield event

    async def _resumed(
        self, agent: Agent, session_id: str, turn_id: str, request: ResumeTurnRequest
    ) -> AsyncGenerator[TurnChunk, None]:
        async with self._lock(session_id):
            place, row = await self._store.turn(agent.agent_id, session_id, turn_id)
            rows = await self._store.turns(agent.agent_id, session_id)
            turn, kept = Turn.model_validate(row["turn"]), row["request"]
            step = _executed(row, request.tool_responses, newest=rows[-1][0] == place)
            before = loaded([message for key, one in rows if key < place for message in one["messages"]])
            results = [
                ToolMessage.model_validate({"tool_call_id": one.call_id, "content": content(one.content)})
                for one in request.tool_responses
            ]
            begin = Begin(
                turn_id, session_id, turn.input_messages, turn.started_at, before,
                [*loaded(row["messages"]), *results], [*turn.steps, step], resumed=True,
            )  # fmt: skip
            done = sum(one.step_type == "inference" for one in turn.steps)
            tool_config = ToolConfig.model_validate(kept["tool_config"]) if kept["tool_config"] else None
            groups = CreateTurnRequest(messages=[], toolgroups=kept["toolgroups"]).toolgroups
            asked = await self._ask(agent.agent_config, groups, tool_config, done)
            making = self._making(agent, begin, asked, place, kept)
            async with aclosing(making.events()) as events:
                async for event in events:
                    yield event

    def _making(self, agent: Agent, begin: Begin, asked: Ask, place: str | None, kept: Row) -> Making:
        config = agent.agent_config
        if self._inference is None:
            raise Unsupported("no provider of inference is configured", "add one under providers.inference")
        first: list[Message] = [SystemMessage(content=config.instructions)] if config.instructions else []
        loop = Loop(self._inference, asked, [*first, *begin.before, *begin.said])
        # What was said is looked at once: a turn that goes on has only results of tools to add.
        watched = () if begin.resumed else config.input_shields or ()
        shields = Shields(self._guards, watched, config.output_shields or ())

        async def keep(making: Making) -> None:
            assert making.turn is not None
            row = {
                "turn": making.turn.model_dump(mode="json"),
                "messages": dumped(making.messages()),
                "pending": making.pending,
                "request": kept,
            }
            await self._store.put(agent.agent_id, begin.session_id, place, row)

        return Making(begin, loop, len(first) + len(begin.before), shields, keep)

    async def _ask(
        self, config: AgentConfig, groups: list[AgentTool] | None, tool_config: ToolConfig | None, asked: int
    ) -> Ask:
        if tool_config is not None:
            check_tool_config(tool_config)
        tools = await self._toolbox.tools(config.toolgroups or () if groups is None else groups)
        return ask(config, tool_config, tools, asked)

    def _lock(self, session_id: str) -> asyncio.Lock:
        return self._locks.setdefault(session_id, asyncio.Lock())


def _executed(row: Row, responses: list[ToolResponse], *, newest: bool) -> ToolExecutionStep:
    """The step of the caller's tools, with what they answered.

    Raises:
        Conflict: the turn does not wait, or the session has gone on without it.
        InvalidRequest: results that are not those of the calls.
    """
    turn_id, pending = row["turn"]["turn_id"], row["pending"]
    if pending is None:
        raise Conflict(f"turn {turn_id} does not wait for results of tools", "begin a new turn")
    if not newest:
        raise Conflict(f"the session has gone on since turn {turn_id}", "begin a new turn")
    calls = [ToolUse.model_validate(call) for call in pending["calls"]]
    wanted, given = sorted(call.call_id for call in calls), sorted(one.call_id for one in responses)
    if wanted != given:
        raise InvalidRequest(
            f"tool_responses: the turn waits for {', '.join(wanted)}, not for {', '.join(given) or 'none'}",
            "give one result for each call",
        )
    return ToolExecutionStep(
        turn_id=turn_id,
        step_id=pending["step_id"],
        started_at=pending["started_at"],
        completed_at=_now(),
        tool_calls=calls,
        tool_responses=responses,
    )


async def _last(events: AsyncGenerator[TurnChunk, None]) -> Turn:
    """The turn when it is over or waits."""
    last: Any = None
    async with aclosing(events) as chunks:
        async for chunk in chunks:
            last = chunk.event.payload
    turn: Turn = last.turn
    return turn


def _now() -> datetime:
    return datetime.now(UTC)
