"""Agents with sessions, turns and steps (Llama Stack 0.3.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, Field

from stack_core.apis._agent_config import AgentConfig
from stack_core.apis._declare import route
from stack_core.apis._shapes import Open, Strict
from stack_core.apis._steps import Step, ToolResponse
from stack_core.apis._tools import AgentTool, ToolConfig
from stack_core.apis._turns import Attachment, Turn, TurnChunk, TurnInput


def _split(value: Any) -> Any:
    """Llama Stack's client writes a list in a URL as one text with commas."""
    return value.split(",") if isinstance(value, str) else value


TurnIds = Annotated[list[str] | None, BeforeValidator(_split)]
Start = Annotated[int | None, Field(ge=0, description="How many to leave out.")]
Most = Annotated[int | None, Field(ge=1, description="Most entries to give.")]


class CreateAgentRequest(Strict):
    """Arguments of `create_agent`."""

    agent_config: AgentConfig


class AgentCreated(Open):
    """The id of a new agent."""

    agent_id: str


class Agent(Open):
    """An agent."""

    agent_id: str
    agent_config: AgentConfig
    created_at: datetime


class AgentPage(Open):
    """Some agents. Shape: Llama Stack's `PaginatedResponse`."""

    data: list[Agent]
    has_more: bool
    url: str | None = None


class CreateSessionRequest(Strict):
    """Arguments of `create_agent_session`."""

    session_name: str


class SessionCreated(Open):
    """The id of a new session."""

    session_id: str


class Session(Open):
    """A conversation with an agent: its turns in their order."""

    session_id: str
    session_name: str
    turns: list[Turn]
    started_at: datetime


class SessionPage(Open):
    """Some sessions. Shape: Llama Stack's `PaginatedResponse`."""

    data: list[Session]
    has_more: bool
    url: str | None = None


class CreateTurnRequest(Strict):
    """Arguments of `create_agent_turn`, besides the session."""

    messages: list[TurnInput]
    stream: bool | None = False
    documents: list[Attachment] | None = None
    toolgroups: list[AgentTool] | None = Field(None, description="In this turn, in place of the agent's own.")
    tool_config: ToolConfig | None = Field(None, description="In this turn, in place of the agent's own.")


class ResumeTurnRequest(Strict):
    """Arguments of `resume_agent_turn`, besides the turn."""

    tool_responses: list[ToolResponse] = Field(description="What the caller's own tools answered.")
    stream: bool | None = False


class AgentStep(Open):
    """One step of a turn."""

    step: Step


class Agents(Protocol):
    """Agents that remember their sessions."""

    @route("POST", "/agents", level="v1alpha", sdk="alpha.agents.create")
    async def create_agent(self, request: CreateAgentRequest) -> AgentCreated:
        """Make an agent."""
        ...

    @route("GET", "/agents", level="v1alpha", sdk="alpha.agents.list")
    async def list_agents(self, start_index: Start = None, limit: Most = None) -> AgentPage:
        """Agents, some at a time."""
        ...

    @route("GET", "/agents/{agent_id}", level="v1alpha", sdk="alpha.agents.retrieve")
    async def get_agent(self, agent_id: str) -> Agent:
        """One agent."""
        ...

    @route("DELETE", "/agents/{agent_id}", level="v1alpha", sdk="alpha.agents.delete")
    async def delete_agent(self, agent_id: str) -> None:
        """Forget an agent with its sessions."""
        ...

    @route("POST", "/agents/{agent_id}/session", level="v1alpha", sdk="alpha.agents.session.create")
    async def create_agent_session(self, agent_id: str, request: CreateSessionRequest) -> SessionCreated:
        """Begin a session."""
        ...

    @route("GET", "/agents/{agent_id}/sessions", level="v1alpha", sdk="alpha.agents.session.list")
    async def list_agent_sessions(self, agent_id: str, start_index: Start = None, limit: Most = None) -> SessionPage:
        """The sessions of an agent, some at a time."""
        ...

    @route("GET", "/agents/{agent_id}/session/{session_id}", level="v1alpha", sdk="alpha.agents.session.retrieve")
    async def get_agents_session(self, session_id: str, agent_id: str, turn_ids: TurnIds = None) -> Session:
        """A session with its turns, or with those of `turn_ids`."""
        ...

    @route("DELETE", "/agents/{agent_id}/session/{session_id}", level="v1alpha", sdk="alpha.agents.session.delete")
    async def delete_agents_session(self, session_id: str, agent_id: str) -> None:
        """Forget a session with its turns."""
        ...

    @route("POST", "/agents/{agent_id}/session/{session_id}/turn", level="v1alpha", sdk="alpha.agents.turn.create")
    async def create_agent_turn(
        self, session_id: str, agent_id: str, request: CreateTurnRequest
    ) -> Turn | AsyncIterator[TurnChunk]:
        """Say something to an agent; with `stream=True` its steps come as they happen."""
        ...

    @route(
        "GET",
        "/agents/{agent_id}/session/{session_id}/turn/{turn_id}",
        level="v1alpha",
        sdk="alpha.agents.turn.retrieve",
    )
    async def get_agents_turn(self, turn_id: str, agent_id: str, session_id: str) -> Turn:
        """One turn."""
        ...

    @route(
        "POST",
        "/agents/{agent_id}/session/{session_id}/turn/{turn_id}/resume",
        level="v1alpha",
        sdk="alpha.agents.turn.resume",
    )
    async def resume_agent_turn(
        self, turn_id: str, agent_id: str, session_id: str, request: ResumeTurnRequest
    ) -> Turn | AsyncIterator[TurnChunk]:
        """Carry on a turn that waits for the caller's own tools."""
        ...

    @route(
        "GET",
        "/agents/{agent_id}/session/{session_id}/turn/{turn_id}/step/{step_id}",
        level="v1alpha",
        sdk="alpha.agents.steps.retrieve",
    )
    async def get_agents_step(self, step_id: str, agent_id: str, session_id: str, turn_id: str) -> AgentStep:
        """One step of a turn."""
        ...
