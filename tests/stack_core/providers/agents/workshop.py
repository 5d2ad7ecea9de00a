"""A provider of tools and a guard, small enough to say what a test wants, and the run file of these tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from stack_core.apis._tools import ToolDef
from stack_core.apis._violations import SafetyViolation
from stack_core.apis.safety import RunShieldRequest, RunShieldResponse, Safety
from stack_core.apis.tool_groups import ToolGroup
from stack_core.apis.tool_runtime import InvokeToolRequest, ToolInvocationResult, ToolRuntime
from stack_core.errors import ProviderUnavailable
from stack_core.providers._registry import provider
from tests.stack_core.providers.responses import speaking

ADD = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]}


class NoConfig(BaseModel):
    """Nothing to say."""


@provider("inline::workshop")
class Workshop(ToolRuntime):
    """Adds, and breaks."""

    Config = NoConfig
    called: ClassVar[list[InvokeToolRequest]] = []

    def __init__(self, config: NoConfig) -> None:
        self.called.clear()

    async def tools(self, group: ToolGroup) -> list[ToolDef]:
        """The same in every group."""
        return [ToolDef(name="add", description="Adds.", input_schema=ADD), ToolDef(name="break")]

    async def invoke_tool(self, request: InvokeToolRequest) -> ToolInvocationResult:
        """Call one."""
        self.called.append(request)
        if request.tool_name == "break":
            raise ProviderUnavailable("the hammer is gone")
        return ToolInvocationResult(content=str(sum(request.kwargs.values())), metadata={"exact": True})


@provider("inline::watch")
class Watch(Safety):
    """Blocks what says `secret`, warns of `rude`, and is away where something says `down`."""

    Config = NoConfig

    def __init__(self, config: NoConfig) -> None:
        pass

    async def run_shield(self, request: RunShieldRequest) -> RunShieldResponse:
        """Look at the last message."""
        said = str(request.messages[-1].content)
        if "down" in said:
            raise ProviderUnavailable("the watch is asleep")
        for word, level in (("secret", "error"), ("rude", "warn")):
            if word in said:
                given = {"violation_level": level, "user_message": f"no {word}s"}
                return RunShieldResponse(violation=SafetyViolation.model_validate(given))
        return RunShieldResponse()


def run_file(folder: Path, *, bare: bool = False) -> dict[str, Any]:
    """A stack with agents; unless it is `bare`, also with tools and a guard."""
    persistence = {
        "agent_state": {"namespace": "agents", "backend": "kv"},
        "responses": {"table_name": "responses", "backend": "sql"},
    }
    agents = {"provider_id": "it", "provider_type": "inline::meta-reference", "config": {"persistence": persistence}}
    providers: dict[str, Any] = {"agents": [agents]}
    if bare:
        return speaking.run_file(folder, providers=providers)
    for api, name in (("tool_runtime", "workshop"), ("safety", "watch")):
        providers[api] = [{"provider_id": name, "provider_type": f"inline::{name}", "module": __name__, "config": {}}]
    found = speaking.run_file(folder, providers=providers)
    found["registered_resources"] |= {
        "tool_groups": [{"toolgroup_id": "maths", "provider_id": "workshop"}],
        "shields": [{"shield_id": "watch", "provider_id": "watch"}],
    }
    return found


async def session(stack: Any, **config: Any) -> dict[str, str]:
    """The ids of a new agent and of its session."""
    given = {"model": "up/m", "instructions": "Be brief.", **config}
    agent = await stack.agents.create_agent(agent_config=given)
    made = await stack.agents.create_agent_session(agent.agent_id, session_name="s")
    return {"agent_id": agent.agent_id, "session_id": made.session_id}


async def turn(stack: Any, place: dict[str, str], said: str = "hi", **more: Any) -> Any:
    """A turn that is not streamed."""
    messages = [{"role": "user", "content": said}]
    return await stack.agents.create_agent_turn(**place, **{"messages": messages, **more})


async def events(stack: Any, place: dict[str, str], said: str = "hi", **more: Any) -> list[Any]:
    """The payloads of a streamed turn."""
    return [chunk.event.payload async for chunk in await turn(stack, place, said, stream=True, **more)]


def shape(payloads: list[Any]) -> list[str]:
    """What kind each event is: `step_start inference`."""
    return [f"{one.event_type} {getattr(one, 'step_type', '')}".strip() for one in payloads]
