"""The tools that a response may use, and the choice among them.

Shapes: OpenAI 2.3.0 (Responses), with what Llama Stack 0.3.5 and OGX 0.8.0 add to file search.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from stack_core.apis._by_type import ByType, Maybe
from stack_core.apis._containers import AutoContainer, ContainerReference, LocalEnvironment, ShellContainer
from stack_core.apis._shapes import Open

# ---- functions --------------------------------------------------------------------------------------------------


class FunctionTool(Open):
    """A function of the caller's; `parameters` is a JSON Schema."""

    type: Literal["function"] = "function"
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: Maybe[bool] = None


class TextFormat(Open):
    """Any text."""

    type: Literal["text"] = "text"


class GrammarFormat(Open):
    """Text of a grammar."""

    type: Literal["grammar"] = "grammar"
    syntax: Literal["lark", "regex"]
    definition: str


class CustomTool(Open):
    """A tool of the caller's that takes text rather than JSON."""

    type: Literal["custom"] = "custom"
    name: str
    description: Maybe[str] = None
    format: Maybe[Annotated[TextFormat | GrammarFormat, Field(discriminator="type")]] = None
    defer_loading: Maybe[bool] = None


class NamespaceTool(Open):
    """Tools under one name."""

    type: Literal["namespace"] = "namespace"
    name: str
    description: str
    tools: list[Annotated[FunctionTool | CustomTool, Field(discriminator="type")]]


class ToolSearchTool(Open):
    """The model looks for tools whose loading was put off."""

    type: Literal["tool_search"] = "tool_search"
    execution: Maybe[Literal["server", "client"]] = None
    description: Maybe[str] = None
    parameters: Maybe[dict[str, Any]] = None


# ---- searches ---------------------------------------------------------------------------------------------------


class ComparisonFilter(Open):
    """An attribute compared with a value."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: str | float | bool | list[str | float]


class CompoundFilter(Open):
    """Filters that hold all (`and`), or at least one (`or`)."""

    type: Literal["and", "or"]
    filters: list[Annotated[ComparisonFilter | CompoundFilter, Field(discriminator="type")]]


class HybridWeights(Open):
    """How much vectors and words count beside each other."""

    embedding_weight: float
    text_weight: float


class FileRanking(Open):
    """How found passages are ordered. `alpha`, `impact_factor`, `weights` and `model` are OGX 0.8.0's."""

    ranker: Maybe[str] = None
    score_threshold: Maybe[float] = None
    hybrid_search: Maybe[HybridWeights] = None
    alpha: Maybe[float] = None
    impact_factor: Maybe[float] = None
    weights: Maybe[dict[str, float]] = None
    model: Maybe[str] = None


class FileSearchTool(Open):
    """A search in vector stores."""

    type: Literal["file_search"] = "file_search"
    vector_store_ids: list[str]
    max_num_results: Maybe[int] = Field(None, ge=1, le=50)
    ranking_options: Maybe[FileRanking] = None
    filters: Maybe[Annotated[ComparisonFilter | CompoundFilter, Field(discriminator="type")]] = None


class UserLocation(Open):
    """About where the asker is: two-letter country, region, city, IANA time zone."""

    type: Literal["approximate"] = "approximate"
    country: Maybe[str] = None
    region: Maybe[str] = None
    city: Maybe[str] = None
    timezone: Maybe[str] = None


class WebFilters(Open):
    """Which sites a search may use."""

    allowed_domains: Maybe[list[str]] = None


class WebSearchTool(Open):
    """A search of the web. The `preview` types are its older names."""

    type: Literal["web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"] = (
        "web_search"
    )
    filters: Maybe[WebFilters] = None
    user_location: Maybe[UserLocation] = None
    search_context_size: Maybe[Literal["low", "medium", "high"]] = None
    search_content_types: Maybe[list[Literal["text", "image"]]] = None


# ---- MCP --------------------------------------------------------------------------------------------------------


class MCPToolFilter(Open):
    """Some of a server's tools: by name, or those that only read."""

    tool_names: Maybe[list[str]] = None
    read_only: Maybe[bool] = None


class MCPApproval(Open):
    """Which tools run only when the caller agrees, and which without asking."""

    always: Maybe[MCPToolFilter | list[str]] = None
    never: Maybe[MCPToolFilter | list[str]] = None


class MCPTool(Open):
    """The tools of an MCP server, named by its URL or by a connector. `authorization` and `headers` are secret."""

    type: Literal["mcp"] = "mcp"
    server_label: str
    server_url: Maybe[str] = None
    connector_id: Maybe[str] = None
    authorization: Maybe[str] = None
    server_description: Maybe[str] = None
    headers: Maybe[dict[str, Any]] = None
    allowed_tools: Maybe[list[str] | MCPToolFilter] = None
    require_approval: Maybe[Literal["always", "never"] | MCPApproval] = None
    defer_loading: Maybe[bool] = None


# ---- code and shells ----------------------------------------------------------------------------------------------


class CodeInterpreterTool(Open):
    """The model writes Python and a container runs it."""

    type: Literal["code_interpreter"] = "code_interpreter"
    container: str | AutoContainer


class ShellTool(Open):
    """The model writes shell commands."""

    type: Literal["shell"] = "shell"
    environment: Maybe[
        Annotated[ShellContainer | LocalEnvironment | ContainerReference, Field(discriminator="type")]
    ] = None


class LocalShellTool(Open):
    """The model writes commands for the caller's shell."""

    type: Literal["local_shell"] = "local_shell"


class ApplyPatchTool(Open):
    """The model changes the caller's files by diffs."""

    type: Literal["apply_patch"] = "apply_patch"


# ---- screens and images -----------------------------------------------------------------------------------------


class ComputerTool(Open):
    """The model works on a screen. The type `computer_use_preview` needs the environment and the size in pixels."""

    type: Literal["computer", "computer_use_preview"] = "computer"
    environment: Maybe[Literal["windows", "mac", "linux", "ubuntu", "browser"]] = None
    display_width: Maybe[int] = None
    display_height: Maybe[int] = None


class ImageMask(Open):
    """The part of an image that may change."""

    image_url: Maybe[str] = None
    file_id: Maybe[str] = None


class ImageGenerationTool(Open):
    """The model makes images."""

    type: Literal["image_generation"] = "image_generation"
    model: Maybe[str] = None
    quality: Maybe[Literal["low", "medium", "high", "auto"]] = None
    size: Maybe[str] = None
    output_format: Maybe[Literal["png", "webp", "jpeg"]] = None
    output_compression: Maybe[int] = None
    moderation: Maybe[Literal["auto", "low"]] = None
    background: Maybe[Literal["transparent", "opaque", "auto"]] = None
    input_fidelity: Maybe[Literal["high", "low"]] = None
    input_image_mask: Maybe[ImageMask] = None
    partial_images: Maybe[int] = None
    action: Maybe[Literal["generate", "edit", "auto"]] = None


class OtherTool(Open):
    """A tool of a type that is not known here."""

    type: str


_Known = (
    FunctionTool
    | FileSearchTool
    | WebSearchTool
    | MCPTool
    | CodeInterpreterTool
    | ImageGenerationTool
    | ComputerTool
    | LocalShellTool
    | ShellTool
    | ApplyPatchTool
    | CustomTool
    | NamespaceTool
    | ToolSearchTool
)

Tool = Annotated[_Known, ByType("tool")]
"""A tool of a request."""

ShownTool = Annotated[_Known | OtherTool, ByType("tool", otherwise=OtherTool)]
"""A tool of a response: also one that is not known here."""

# ---- the choice -------------------------------------------------------------------------------------------------


class AllowedTools(Open):
    """The model may use these tools only, and with `required` must use one."""

    type: Literal["allowed_tools"] = "allowed_tools"
    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class HostedToolChoice(Open):
    """The model must use this tool."""

    type: Literal[
        "file_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "computer",
        "computer_use_preview",
        "computer_use",
        "image_generation",
        "code_interpreter",
        "apply_patch",
        "shell",
    ]


class NamedToolChoice(Open):
    """The model must use this function or custom tool."""

    type: Literal["function", "custom"] = "function"
    name: str


class MCPToolChoice(Open):
    """The model must use this server, or this tool of it."""

    type: Literal["mcp"] = "mcp"
    server_label: str
    name: Maybe[str] = None


ToolChoice = (
    Literal["none", "auto", "required"]
    | Annotated[AllowedTools | HostedToolChoice | NamedToolChoice | MCPToolChoice, ByType("tool choice")]
)
