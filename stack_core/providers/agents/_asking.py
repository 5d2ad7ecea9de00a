"""From an agent's config to what the loop is asked for; what cannot be honoured is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stack_core.apis._agent_config import AgentConfig
from stack_core.apis._sampling import BnfFormat, SamplingParams, TopKSampling, TopPSampling
from stack_core.apis._tools import ToolConfig, ToolDef
from stack_core.apis.inference import FunctionSpec, JSONSchemaSpec, ResponseFormat, ToolName
from stack_core.apis.inference import ToolChoice as ChatToolChoice
from stack_core.errors import InvalidRequest, Unsupported, nearest
from stack_core.turns.loop import MOST_TURNS, Ask, StackTool


def check(config: AgentConfig) -> None:
    """Raises:
    InvalidRequest: fields that do not go together.
    Unsupported: what this version does not serve.
    """
    if isinstance(config.response_format, BnfFormat):
        raise Unsupported("response_format: grammar is not available in this version", "use json_schema")
    if config.tool_prompt_format is not None:
        raise Unsupported("tool_prompt_format: each model's service writes calls in the form it was trained on", _OUT)
    tools = config.tool_config
    if tools is None:
        return
    check_tool_config(tools)
    if config.tool_choice is not None and tools.tool_choice not in (None, "auto", config.tool_choice):
        raise InvalidRequest("tool_choice and tool_config.tool_choice say different things", "give the second only")


def check_tool_config(tools: ToolConfig) -> None:
    """Raises:
    Unsupported: what this version does not serve.
    """
    if tools.tool_prompt_format is not None:
        raise Unsupported(
            "tool_config.tool_prompt_format: each model's service writes calls in the form it was trained on", _OUT
        )
    if tools.system_message_behavior == "replace":
        raise Unsupported("tool_config.system_message_behavior: the tools' own message is the service's", _OUT)


_OUT = "leave it out"


def ask(config: AgentConfig, tool_config: ToolConfig | None, tools: Mapping[str, StackTool], asked: int) -> Ask:
    """What the loop does in a turn. `asked` is how often the model was asked in it before: a turn that goes on keeps
    its limit, and is not made to call its tool again.

    Raises:
        InvalidRequest: a tool choice that names no tool, or two tools of one name.
    """
    functions = [spec_of(tool) for tool in config.client_tools or ()]
    names = [*tools, *(function.name for function in functions)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidRequest(f"client_tools: there are several tools named {', '.join(twice)}", "rename the client's")
    return Ask(
        model=config.model,
        settings=_sampling(config.sampling_params) | _form(config),
        functions=functions,
        tools=tools,
        choice=_choice(config, tool_config, names, again=asked > 0),
        most_turns=max(0, (config.max_infer_iters or MOST_TURNS) - asked),
    )


def spec_of(tool: ToolDef, hidden: Mapping[str, Any] | None = None) -> FunctionSpec:
    """A tool as a model sees it, without the arguments that are `hidden`: those every call gets anyway."""
    schema = dict(tool.input_schema or {"type": "object", "properties": {}})
    if hidden and isinstance(schema.get("properties"), dict):
        schema["properties"] = {name: value for name, value in schema["properties"].items() if name not in hidden}
        schema["required"] = [name for name in schema.get("required") or () if name not in hidden]
    given = {"description": tool.description} if tool.description is not None else {}
    return FunctionSpec(name=tool.name, parameters=schema, **given)


def _choice(config: AgentConfig, of_turn: ToolConfig | None, names: list[str], *, again: bool) -> Any:
    choice: str | None = config.tool_choice
    if of_turn is not None:
        choice = of_turn.tool_choice
    elif config.tool_config is not None and config.tool_config.tool_choice not in (None, "auto"):
        choice = config.tool_config.tool_choice
    if choice in (None, "auto", "none"):
        return choice
    if choice == "required":
        if not names:
            raise InvalidRequest("tool_choice: required, and there are no tools", "give tools, or leave it out")
        return None if again else choice
    if choice not in names:
        close = nearest(str(choice), names)
        hint = f"did you mean {close[0]!r}?" if close else f"the tools are: {', '.join(sorted(names)) or 'none'}"
        raise InvalidRequest(f"tool_choice: there is no tool {choice!r}", hint)
    return None if again else ChatToolChoice(type="function", function=ToolName(name=str(choice)))


def _sampling(params: SamplingParams | None) -> dict[str, Any]:
    if params is None:
        return {}
    strategy = params.strategy
    settings: dict[str, Any] = {"stop": params.stop, "max_completion_tokens": params.max_tokens or None}
    if isinstance(strategy, TopPSampling):
        settings |= {"temperature": strategy.temperature, "top_p": strategy.top_p}
    elif isinstance(strategy, TopKSampling):
        settings["top_k"] = strategy.top_k
    else:
        settings["temperature"] = 0.0
    if params.repetition_penalty not in (None, 1.0):
        settings["repetition_penalty"] = params.repetition_penalty
    return settings


def _form(config: AgentConfig) -> dict[str, Any]:
    form = config.response_format
    if form is None or isinstance(form, BnfFormat):
        return {}
    spec = JSONSchemaSpec.model_validate({"schema": form.json_schema})
    return {"response_format": ResponseFormat(type="json_schema", json_schema=spec)}
