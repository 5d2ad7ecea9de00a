"""What makes up an agent. Shape: Llama Stack 0.3.5."""

from __future__ import annotations

from pydantic import Field

from stack_core.apis._sampling import AnswerFormat, SamplingParams
from stack_core.apis._shapes import Strict
from stack_core.apis._tools import AgentTool, ToolChoice, ToolConfig, ToolDef, ToolPromptFormat


class AgentConfig(Strict):
    """An agent: its model, its instructions, its tools and its guards."""

    model: str
    instructions: str
    name: str | None = None
    sampling_params: SamplingParams | None = None
    input_shields: list[str] | None = Field(None, description="Shields that see what goes to the model.")
    output_shields: list[str] | None = Field(None, description="Shields that see what comes from it.")
    toolgroups: list[AgentTool] | None = None
    client_tools: list[ToolDef] | None = Field(None, description="Tools that the caller runs; a turn waits for them.")
    tool_choice: ToolChoice | None = Field(None, description="Deprecated: `tool_config` says it.")
    tool_prompt_format: ToolPromptFormat | None = Field(None, description="Deprecated: `tool_config` says it.")
    tool_config: ToolConfig | None = None
    max_infer_iters: int | None = Field(10, ge=1, description="Most calls of the model in a turn.")
    enable_session_persistence: bool | None = Field(
        False, description="Sessions are kept either way, as with Llama Stack 0.3.5."
    )
    response_format: AnswerFormat | None = None
