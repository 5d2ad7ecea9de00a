"""The events of a streamed response that tell of tools at work.

Shapes: OpenAI 2.3.0 (Responses).
"""

from __future__ import annotations

from typing import Literal

from stack_core.apis._by_type import Maybe
from stack_core.apis._shapes import Open


class Event(Open):
    """What all events have."""

    sequence_number: int


class ItemEvent(Event):
    """An event of the item `item_id`, which is at `output_index` of the output."""

    item_id: str
    output_index: int


# ---- functions and custom tools ----------------------------------------------------------------------------------


class ArgumentsDelta(ItemEvent):
    """More of the arguments, as JSON text."""

    type: Literal["response.function_call_arguments.delta"] = "response.function_call_arguments.delta"
    delta: str


class ArgumentsDone(ItemEvent):
    """The whole arguments."""

    type: Literal["response.function_call_arguments.done"] = "response.function_call_arguments.done"
    arguments: str
    name: Maybe[str] = None


class CustomInputDelta(ItemEvent):
    """More of a custom tool's input."""

    type: Literal["response.custom_tool_call_input.delta"] = "response.custom_tool_call_input.delta"
    delta: str


class CustomInputDone(ItemEvent):
    """The whole input of a custom tool."""

    type: Literal["response.custom_tool_call_input.done"] = "response.custom_tool_call_input.done"
    input: str


# ---- MCP ---------------------------------------------------------------------------------------------------------


class MCPArgumentsDelta(ItemEvent):
    """More of the arguments, as JSON text."""

    type: Literal["response.mcp_call_arguments.delta"] = "response.mcp_call_arguments.delta"
    delta: str


class MCPArgumentsDone(ItemEvent):
    """The whole arguments."""

    type: Literal["response.mcp_call_arguments.done"] = "response.mcp_call_arguments.done"
    arguments: str


class MCPCallInProgress(ItemEvent):
    """The server is called."""

    type: Literal["response.mcp_call.in_progress"] = "response.mcp_call.in_progress"


class MCPCallCompleted(ItemEvent):
    """The server has answered."""

    type: Literal["response.mcp_call.completed"] = "response.mcp_call.completed"


class MCPCallFailed(ItemEvent):
    """The call failed."""

    type: Literal["response.mcp_call.failed"] = "response.mcp_call.failed"


class MCPListInProgress(ItemEvent):
    """The server is asked for its tools."""

    type: Literal["response.mcp_list_tools.in_progress"] = "response.mcp_list_tools.in_progress"


class MCPListCompleted(ItemEvent):
    """The server has listed its tools."""

    type: Literal["response.mcp_list_tools.completed"] = "response.mcp_list_tools.completed"


class MCPListFailed(ItemEvent):
    """The server has not listed its tools."""

    type: Literal["response.mcp_list_tools.failed"] = "response.mcp_list_tools.failed"


# ---- searches ----------------------------------------------------------------------------------------------------


class FileSearchInProgress(ItemEvent):
    """A search in vector stores has begun."""

    type: Literal["response.file_search_call.in_progress"] = "response.file_search_call.in_progress"


class FileSearchSearching(ItemEvent):
    """The vector stores are searched."""

    type: Literal["response.file_search_call.searching"] = "response.file_search_call.searching"


class FileSearchCompleted(ItemEvent):
    """The search is complete."""

    type: Literal["response.file_search_call.completed"] = "response.file_search_call.completed"


class WebSearchInProgress(ItemEvent):
    """A search of the web has begun."""

    type: Literal["response.web_search_call.in_progress"] = "response.web_search_call.in_progress"


class WebSearchSearching(ItemEvent):
    """The web is searched."""

    type: Literal["response.web_search_call.searching"] = "response.web_search_call.searching"


class WebSearchCompleted(ItemEvent):
    """The search is complete."""

    type: Literal["response.web_search_call.completed"] = "response.web_search_call.completed"


# ---- code and images ---------------------------------------------------------------------------------------------


class CodeDelta(ItemEvent):
    """More code."""

    type: Literal["response.code_interpreter_call_code.delta"] = "response.code_interpreter_call_code.delta"
    delta: str


class CodeDone(ItemEvent):
    """The whole code."""

    type: Literal["response.code_interpreter_call_code.done"] = "response.code_interpreter_call_code.done"
    code: str


class CodeInProgress(ItemEvent):
    """The model writes code."""

    type: Literal["response.code_interpreter_call.in_progress"] = "response.code_interpreter_call.in_progress"


class CodeInterpreting(ItemEvent):
    """The code runs."""

    type: Literal["response.code_interpreter_call.interpreting"] = "response.code_interpreter_call.interpreting"


class CodeCompleted(ItemEvent):
    """The code has run."""

    type: Literal["response.code_interpreter_call.completed"] = "response.code_interpreter_call.completed"


class ImageInProgress(ItemEvent):
    """An image has begun."""

    type: Literal["response.image_generation_call.in_progress"] = "response.image_generation_call.in_progress"


class ImageGenerating(ItemEvent):
    """The image is being made."""

    type: Literal["response.image_generation_call.generating"] = "response.image_generation_call.generating"


class ImagePartial(ItemEvent):
    """The image so far, in base64."""

    type: Literal["response.image_generation_call.partial_image"] = "response.image_generation_call.partial_image"
    partial_image_index: int
    partial_image_b64: str


class ImageCompleted(ItemEvent):
    """The image is complete."""

    type: Literal["response.image_generation_call.completed"] = "response.image_generation_call.completed"
