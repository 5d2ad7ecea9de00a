"""Results and tools of the MCP SDK in the stack's shapes."""

from __future__ import annotations

from typing import Any

from mcp.types import (
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    Tool,
)
from pydantic_core import to_json

from stack_core.apis._interleaved import TextItem
from stack_core.apis._tools import ToolDef
from stack_core.apis.tool_runtime import ToolInvocationResult
from stack_core.providers.tool_runtime._results import Gathering


def tool_def(tool: Tool, place: str) -> ToolDef:
    """A tool as the stack describes one; `metadata.endpoint` is its server."""
    metadata: dict[str, Any] = {"endpoint": place}
    if tool.title:
        metadata["title"] = tool.title
    if tool.annotations is not None:
        metadata["annotations"] = tool.annotations.model_dump(by_alias=True, exclude_none=True, mode="json")
    return ToolDef(
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        metadata=metadata,
    )


def result_of(answer: CallToolResult) -> ToolInvocationResult:
    """Texts and images in their order; resources by their text or their address; structured content in `metadata`."""
    kept = Gathering()
    for block in answer.content:
        _add(kept, block)
    metadata: dict[str, Any] = {}
    if answer.structured_content is not None:
        if not answer.content:
            kept.text(to_json(answer.structured_content).decode())
        if kept.fits(answer.structured_content):
            metadata["structured_content"] = answer.structured_content
    if kept.cut:
        metadata["truncated"] = True
    if not answer.is_error:
        return ToolInvocationResult(content=kept.items, metadata=metadata or None)
    message = "\n".join(item.text for item in kept.items if isinstance(item, TextItem)) or "the tool failed"
    return ToolInvocationResult(content=kept.items, error_message=message, error_code=1, metadata=metadata or None)


def _add(kept: Gathering, block: Any) -> None:
    if isinstance(block, TextContent):
        kept.text(block.text)
    elif isinstance(block, ImageContent):
        kept.image(block.data, block.mime_type)
    elif isinstance(block, EmbeddedResource):
        inner = block.resource
        if isinstance(inner, TextResourceContents):
            kept.text(inner.text)
        elif (inner.mime_type or "").startswith("image/"):
            kept.image(inner.blob, inner.mime_type or "")
        else:
            kept.text(f"[a resource that is no text: {inner.uri} ({inner.mime_type or 'of unknown type'})]")
    elif isinstance(block, ResourceLink):
        kept.text(f"[a resource: {block.name} at {block.uri}]")
    else:
        kept.text(f"[content of the type {block.type}, which cannot be shown]")
