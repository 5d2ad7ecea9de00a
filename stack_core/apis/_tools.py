"""Tools as agents and tool providers describe them, and how a model is to use them. Shapes: Llama Stack 0.3.5."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from stack_core.apis._shapes import Open, Shape, Strict

ToolChoice = Literal["auto", "required", "none"]
ToolPromptFormat = Literal["json", "function_tag", "python_list"]


class ToolDef(Open):
    """A tool: its name, what it does, and what it takes."""

    toolgroup_id: str | None = Field(None, description="The group that it belongs to.")
    name: str
    description: str | None = None
    input_schema: dict[str, Any] | None = Field(None, description="JSON schema of its arguments.")
    output_schema: dict[str, Any] | None = Field(None, description="JSON schema of what it answers.")
    metadata: dict[str, Any] | None = None


class ToolDefList(Shape):
    """Tools in the order of their groups."""

    data: list[ToolDef]


class ToolConfig(Strict):
    """How a model is to use its tools."""

    tool_choice: ToolChoice | str | None = Field("auto", description="Or the name of the one tool to call.")
    tool_prompt_format: ToolPromptFormat | None = Field(None, description="Null: what the model was trained on.")
    system_message_behavior: Literal["append", "replace"] = Field(
        "append", description="Whether the system message follows the tools' own, or stands in its place."
    )


class ToolGroupArgs(Strict):
    """A group of tools with arguments that every call of them gets."""

    name: str
    args: dict[str, Any]


AgentTool = str | ToolGroupArgs
"""A group of tools by its id, with or without arguments."""
