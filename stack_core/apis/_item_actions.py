"""What tool calls do: clicks on a screen, searches, shell commands, changes of files, and what comes of them.

Shapes: OpenAI 2.3.0 (Responses and Conversations).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from stack_core.apis._by_type import ByType, Maybe
from stack_core.apis._shapes import Open

# ---- a computer's screen ----------------------------------------------------------------------------------------


class Point(Open):
    """A place on the screen in pixels."""

    x: int
    y: int


class Click(Point):
    """A click."""

    type: Literal["click"] = "click"
    button: Literal["left", "right", "wheel", "back", "forward"]
    keys: Maybe[list[str]] = None


class DoubleClick(Point):
    """A double click."""

    type: Literal["double_click"] = "double_click"
    keys: Maybe[list[str]] = None


class Drag(Open):
    """A movement with the button held, along a path."""

    type: Literal["drag"] = "drag"
    path: list[Point]
    keys: Maybe[list[str]] = None


class KeyPress(Open):
    """Keys pressed together."""

    type: Literal["keypress"] = "keypress"
    keys: list[str]


class Move(Point):
    """A movement of the pointer."""

    type: Literal["move"] = "move"
    keys: Maybe[list[str]] = None


class Screenshot(Open):
    """A look at the screen."""

    type: Literal["screenshot"] = "screenshot"


class Scroll(Point):
    """A turn of the wheel, in pixels."""

    type: Literal["scroll"] = "scroll"
    scroll_x: int
    scroll_y: int
    keys: Maybe[list[str]] = None


class TypeText(Open):
    """A text typed."""

    type: Literal["type"] = "type"
    text: str


class Wait(Open):
    """A pause."""

    type: Literal["wait"] = "wait"


ComputerAction = Annotated[
    Click | DoubleClick | Drag | KeyPress | Move | Screenshot | Scroll | TypeText | Wait,
    Field(discriminator="type"),
]


class SafetyCheck(Open):
    """A warning about what a page asks of the model; the caller says that it has seen it."""

    id: str
    code: Maybe[str] = None
    message: Maybe[str] = None


# ---- searches ---------------------------------------------------------------------------------------------------


class WebSource(Open):
    """A page that a search looked at."""

    type: Literal["url"] = "url"
    url: str


class WebSearch(Open):
    """A search of the web."""

    type: Literal["search"] = "search"
    query: Maybe[str] = None
    queries: Maybe[list[str]] = None
    sources: Maybe[list[WebSource]] = None


class WebOpenPage(Open):
    """A page opened."""

    type: Literal["open_page"] = "open_page"
    url: Maybe[str] = None


class WebFindInPage(Open):
    """A text looked for in a page."""

    type: Literal["find_in_page"] = "find_in_page"
    url: str
    pattern: str


class OtherAction(Open):
    """An action of a type that is not known here."""

    type: str


WebAction = Annotated[
    WebSearch | WebOpenPage | WebFindInPage | OtherAction, ByType("web action", otherwise=OtherAction)
]


class FileSearchResult(Open):
    """A passage found in a vector store, with its file; a higher score is nearer to the query."""

    file_id: Maybe[str] = None
    text: Maybe[str] = None
    filename: Maybe[str] = None
    attributes: Maybe[dict[str, Any]] = None
    score: Maybe[float] = None


# ---- code and shells --------------------------------------------------------------------------------------------


class CodeLogs(Open):
    """What code printed."""

    type: Literal["logs"] = "logs"
    logs: str


class CodeImage(Open):
    """What code drew."""

    type: Literal["image"] = "image"
    url: str


CodeOutput = Annotated[CodeLogs | CodeImage, Field(discriminator="type")]


class LocalShellAction(Open):
    """A command for the caller's own shell."""

    type: Literal["exec"] = "exec"
    command: list[str]
    timeout_ms: Maybe[int] = None
    working_directory: Maybe[str] = None
    env: dict[str, str] = {}
    user: Maybe[str] = None


class ShellAction(Open):
    """Commands for a shell; `max_output_length` is in characters."""

    commands: list[str]
    timeout_ms: int | None = None
    max_output_length: int | None = None


class ShellTimedOut(Open):
    """The command took too long."""

    type: Literal["timeout"] = "timeout"


class ShellExit(Open):
    """The command ended."""

    type: Literal["exit"] = "exit"
    exit_code: int


class ShellOutput(Open):
    """What a command wrote and how it ended."""

    stdout: str
    stderr: str
    outcome: Annotated[ShellTimedOut | ShellExit, Field(discriminator="type")]
    created_by: Maybe[str] = None


# ---- files ------------------------------------------------------------------------------------------------------


class CreateFile(Open):
    """A file made by a diff."""

    type: Literal["create_file"] = "create_file"
    path: str
    diff: str


class DeleteFile(Open):
    """A file removed."""

    type: Literal["delete_file"] = "delete_file"
    path: str


class UpdateFile(Open):
    """A file changed by a diff."""

    type: Literal["update_file"] = "update_file"
    path: str
    diff: str


PatchOperation = Annotated[CreateFile | DeleteFile | UpdateFile, Field(discriminator="type")]


class MCPListedTool(Open):
    """A tool that an MCP server offers; `input_schema` is a JSON Schema."""

    name: str
    description: Maybe[str] = None
    input_schema: dict[str, Any] = {}
    annotations: Maybe[dict[str, Any]] = None
