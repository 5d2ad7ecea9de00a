"""Items: what a response is made from and what it gives, and what a conversation holds.

One model an item type, in both directions: `id` and `status` are there on what the stack gives, and may be left out
where a caller gives it. Shapes: OpenAI 2.3.0 (Responses and Conversations), Llama Stack 0.3.5.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from stack_core.apis._by_type import ByType, Maybe
from stack_core.apis._containers import ContainerReference, LocalEnvironment
from stack_core.apis._item_actions import (
    CodeOutput,
    ComputerAction,
    FileSearchResult,
    LocalShellAction,
    MCPListedTool,
    PatchOperation,
    SafetyCheck,
    ShellAction,
    ShellOutput,
    WebAction,
)
from stack_core.apis._parts import ComputerScreenshot, InputPart, MessagePart, OutputPart, ReasoningText, SummaryText
from stack_core.apis._response_tools import ShownTool
from stack_core.apis._shapes import Open

Status = Literal["in_progress", "completed", "incomplete"]
Role = Literal["user", "assistant", "system", "developer", "tool", "critic", "discriminator", "unknown"]


class Item(Open):
    """What all items have."""

    id: Maybe[str] = None
    created_by: Maybe[str] = Field(None, description="Who made the item.")


class Message(Item):
    """What somebody said: a text, or parts of it."""

    type: Literal["message"] = "message"
    role: Role
    content: str | list[MessagePart]
    status: Maybe[Status] = None
    phase: Maybe[Literal["commentary", "final_answer"]] = Field(
        None, description="Whether the model was still at work, or done."
    )


class OutputMessage(Item):
    """What the model said."""

    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    content: list[OutputPart]
    status: Status = "completed"
    phase: Maybe[Literal["commentary", "final_answer"]] = None


class ItemReference(Open):
    """An item that is there already, by its id."""

    type: Literal["item_reference"] = "item_reference"
    id: str


class Reasoning(Item):
    """What the model thought: a summary, the text where it is shown, or the text for the service's eyes only."""

    type: Literal["reasoning"] = "reasoning"
    summary: list[SummaryText] = []
    content: Maybe[list[ReasoningText]] = None
    encrypted_content: Maybe[str] = None
    status: Maybe[Status] = None


class Compaction(Item):
    """What a long conversation was pressed into, for the model's eyes only."""

    type: Literal["compaction"] = "compaction"
    encrypted_content: str


# ---- functions and custom tools ---------------------------------------------------------------------------------


class FunctionCall(Item):
    """A call of the caller's function; `arguments` is JSON text as the model wrote it."""

    type: Literal["function_call"] = "function_call"
    call_id: str
    name: str
    arguments: str
    namespace: Maybe[str] = None
    status: Maybe[Status] = None


class FunctionCallOutput(Item):
    """What the function gave."""

    type: Literal["function_call_output"] = "function_call_output"
    call_id: str
    output: str | list[InputPart]
    status: Maybe[Status] = None


class CustomToolCall(Item):
    """A call of the caller's custom tool with a text."""

    type: Literal["custom_tool_call"] = "custom_tool_call"
    call_id: str
    name: str
    input: str
    namespace: Maybe[str] = None
    status: Maybe[Status] = None


class CustomToolCallOutput(Item):
    """What the custom tool gave."""

    type: Literal["custom_tool_call_output"] = "custom_tool_call_output"
    call_id: str
    output: str | list[InputPart]
    status: Maybe[Status] = None


class ToolSearchCall(Item):
    """A search for tools whose loading was put off."""

    type: Literal["tool_search_call"] = "tool_search_call"
    call_id: str | None = None
    execution: Maybe[Literal["server", "client"]] = None
    arguments: Any = None
    status: Maybe[Status] = None


class ToolSearchOutput(Item):
    """The tools that were found."""

    type: Literal["tool_search_output"] = "tool_search_output"
    call_id: str | None = None
    execution: Maybe[Literal["server", "client"]] = None
    tools: list[ShownTool]
    status: Maybe[Status] = None


# ---- searches ---------------------------------------------------------------------------------------------------


class FileSearchCall(Item):
    """A search in vector stores, with what it found where that was asked for."""

    type: Literal["file_search_call"] = "file_search_call"
    queries: list[str]
    results: list[FileSearchResult] | None = None
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"] = "completed"


class WebSearchCall(Item):
    """A search of the web."""

    type: Literal["web_search_call"] = "web_search_call"
    action: Maybe[WebAction] = None
    status: Literal["in_progress", "searching", "completed", "failed"] = "completed"


# ---- MCP --------------------------------------------------------------------------------------------------------


class MCPListTools(Item):
    """The tools that an MCP server offers, or why it said nothing."""

    type: Literal["mcp_list_tools"] = "mcp_list_tools"
    server_label: str
    tools: list[MCPListedTool]
    error: Maybe[Any] = None


class MCPCall(Item):
    """A call of an MCP server's tool, and what it gave."""

    type: Literal["mcp_call"] = "mcp_call"
    server_label: str
    name: str
    arguments: str
    output: str | None = None
    error: str | dict[str, Any] | None = None
    status: Maybe[Literal["in_progress", "completed", "incomplete", "calling", "failed"]] = None
    approval_request_id: Maybe[str] = None


class MCPApprovalRequest(Item):
    """A call that waits for the caller's word."""

    type: Literal["mcp_approval_request"] = "mcp_approval_request"
    server_label: str
    name: str
    arguments: str


class MCPApprovalResponse(Item):
    """The caller's word."""

    type: Literal["mcp_approval_response"] = "mcp_approval_response"
    approval_request_id: str
    approve: bool
    reason: Maybe[str] = None


# ---- code, shells and files -------------------------------------------------------------------------------------


class CodeInterpreterCall(Item):
    """Python that the model wrote, and what came of it where that was asked for."""

    type: Literal["code_interpreter_call"] = "code_interpreter_call"
    container_id: str
    code: str | None = None
    outputs: list[CodeOutput] | None = None
    status: Literal["in_progress", "completed", "incomplete", "interpreting", "failed"] = "completed"


class LocalShellCall(Item):
    """A command for the caller's shell."""

    type: Literal["local_shell_call"] = "local_shell_call"
    call_id: str
    action: LocalShellAction
    status: Status = "completed"


class LocalShellCallOutput(Item):
    """What the command wrote, as JSON text."""

    type: Literal["local_shell_call_output"] = "local_shell_call_output"
    call_id: Maybe[str] = None
    output: str
    status: Maybe[Status] = None


class ShellCall(Item):
    """Commands for a shell."""

    type: Literal["shell_call"] = "shell_call"
    call_id: str
    action: ShellAction
    environment: Maybe[Annotated[LocalEnvironment | ContainerReference, Field(discriminator="type")]] = None
    status: Maybe[Status] = None


class ShellCallOutput(Item):
    """What the commands wrote."""

    type: Literal["shell_call_output"] = "shell_call_output"
    call_id: str
    output: list[ShellOutput]
    max_output_length: Maybe[int] = None
    status: Maybe[Status] = None


class ApplyPatchCall(Item):
    """A change of a file."""

    type: Literal["apply_patch_call"] = "apply_patch_call"
    call_id: str
    operation: PatchOperation
    status: Literal["in_progress", "completed"] = "completed"


class ApplyPatchCallOutput(Item):
    """Whether the change was made."""

    type: Literal["apply_patch_call_output"] = "apply_patch_call_output"
    call_id: str
    output: Maybe[str] = None
    status: Literal["completed", "failed"] = "completed"


# ---- screens and images -----------------------------------------------------------------------------------------


class ComputerCall(Item):
    """What the model does on a screen."""

    type: Literal["computer_call"] = "computer_call"
    call_id: str
    action: Maybe[ComputerAction] = None
    actions: Maybe[list[ComputerAction]] = None
    pending_safety_checks: list[SafetyCheck] = []
    status: Status = "completed"


class ComputerCallOutput(Item):
    """What the screen shows then."""

    type: Literal["computer_call_output"] = "computer_call_output"
    call_id: str
    output: ComputerScreenshot
    acknowledged_safety_checks: Maybe[list[SafetyCheck]] = None
    status: Maybe[Literal["in_progress", "completed", "incomplete", "failed"]] = None


class ImageGenerationCall(Item):
    """An image that the model made, in base64."""

    type: Literal["image_generation_call"] = "image_generation_call"
    result: str | None = None
    status: Literal["in_progress", "completed", "generating", "failed"] = "completed"


class OtherItem(Item):
    """An item of a type that is not known here, as a later service may give it."""

    type: str


_Acts = (
    Reasoning
    | Compaction
    | FunctionCall
    | FunctionCallOutput
    | CustomToolCall
    | CustomToolCallOutput
    | ToolSearchCall
    | ToolSearchOutput
    | FileSearchCall
    | WebSearchCall
    | MCPListTools
    | MCPCall
    | MCPApprovalRequest
    | MCPApprovalResponse
    | CodeInterpreterCall
    | LocalShellCall
    | LocalShellCallOutput
    | ShellCall
    | ShellCallOutput
    | ApplyPatchCall
    | ApplyPatchCallOutput
    | ComputerCall
    | ComputerCallOutput
    | ImageGenerationCall
)

InputItem = Annotated[
    Message | ItemReference | _Acts, ByType("item", untyped={"role": "message", "id": "item_reference"})
]
"""An item that a caller gives. A message may be given without its type, and so may a reference."""

OutputItem = Annotated[OutputMessage | _Acts | OtherItem, ByType("item", otherwise=OtherItem)]
"""An item that a response gives."""

StoredItem = Annotated[Message | _Acts | OtherItem, ByType("item", otherwise=OtherItem, untyped={"role": "message"})]
"""An item of a list: of a conversation, or of a response's input."""

Include = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
"""What is left out of items unless it is asked for."""

Includes = Annotated[
    list[Include],
    BeforeValidator(lambda value: [name for name in [value] if name] if isinstance(value, str) else value),
]
"""In a URL, one may stand alone, and an empty list is an empty text."""
