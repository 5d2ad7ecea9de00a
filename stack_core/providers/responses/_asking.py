"""From a request to what the loop is asked for: tools, their choice, and the fields that go to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stack_core.apis._response import JSONForm, JSONSchemaForm, TextSettings
from stack_core.apis._response_tools import AllowedTools, FunctionTool, HostedToolChoice, NamedToolChoice
from stack_core.apis.inference import FunctionSpec, JSONSchemaSpec, ResponseFormat, ToolName
from stack_core.apis.inference import ToolChoice as ChatToolChoice
from stack_core.apis.responses import CreateResponseRequest
from stack_core.errors import InvalidRequest, Unsupported, nearest
from stack_core.turns.loop import MOST_TURNS, Ask, StackTool

_PASSED = (
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
)
"""Fields that the model's service is given as they are."""


def ask(request: CreateResponseRequest, tools: Mapping[str, StackTool]) -> Ask:
    """What the loop does for a checked request.

    Raises:
        InvalidRequest: a tool choice that names no tool.
        Unsupported: a choice among tools that are not served.
    """
    functions = [_function(tool) for tool in request.tools or () if isinstance(tool, FunctionTool)]
    whole = Ask(
        model=request.model or "",
        settings=_settings(request),
        functions=functions,
        tools=tools,
        most_tokens=request.max_output_tokens,
        most_calls=request.max_tool_calls,
        most_turns=request.max_infer_iters or MOST_TURNS,
        shorten=request.truncation == "auto",
    )
    return _chosen(whole, request.tool_choice)


def _settings(request: CreateResponseRequest) -> dict[str, Any]:
    settings = {name: value for name in _PASSED if (value := getattr(request, name)) is not None}
    if request.reasoning is not None and request.reasoning.effort is not None:
        settings["reasoning_effort"] = request.reasoning.effort
    if "message.output_text.logprobs" in (request.include or ()) or request.top_logprobs:
        settings["logprobs"] = True
        settings["top_logprobs"] = request.top_logprobs or 0
    return settings | _form(request.text)


def _form(text: TextSettings | None) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if text is None:
        return settings
    if text.verbosity is not None:
        settings["verbosity"] = text.verbosity
    if isinstance(text.format, JSONForm):
        settings["response_format"] = ResponseFormat(type="json_object")
    elif isinstance(text.format, JSONSchemaForm):
        form = text.format
        given = {"name": form.name, "description": form.description, "schema": form.schema_, "strict": form.strict}
        spec = JSONSchemaSpec.model_validate({name: value for name, value in given.items() if value is not None})
        settings["response_format"] = ResponseFormat(type="json_schema", json_schema=spec)
    return settings


def _function(tool: FunctionTool) -> FunctionSpec:
    given = {"description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
    return FunctionSpec(name=tool.name, **{name: value for name, value in given.items() if value is not None})


def _chosen(whole: Ask, choice: Any) -> Ask:
    """The same with the caller's tool choice. Allowed tools are offered alone: not every service knows that form."""
    names = {*whole.tools, *(function.name for function in whole.functions)}
    if choice is None or isinstance(choice, str):
        if choice == "required" and not names:
            raise InvalidRequest("tool_choice: required, and there are no tools", "give tools, or leave it out")
        return replace(whole, choice=choice)
    if isinstance(choice, AllowedTools):
        allowed = [_named(tool.get("name") or tool.get("type"), names) for tool in choice.tools]
        functions: Sequence[FunctionSpec] = [spec for spec in whole.functions if spec.name in allowed]
        tools = {name: tool for name, tool in whole.tools.items() if name in allowed}
        return replace(whole, functions=functions, tools=tools, choice=choice.mode)
    if isinstance(choice, NamedToolChoice) and choice.type == "function":
        name = _named(choice.name, names)
    elif isinstance(choice, HostedToolChoice) and choice.type == "file_search":
        name = _named(choice.type, names)
    else:
        raise Unsupported(f"tool_choice: {choice.type} is not available in this version")
    return replace(whole, choice=ChatToolChoice(type="function", function=ToolName(name=name)))


def _named(name: Any, names: set[str]) -> str:
    if name in names:
        return str(name)
    close = nearest(str(name), names)
    hint = f"did you mean {close[0]!r}?" if close else f"the tools are: {', '.join(sorted(names)) or 'none'}"
    raise InvalidRequest(f"tool_choice: there is no tool {name!r}", hint)
