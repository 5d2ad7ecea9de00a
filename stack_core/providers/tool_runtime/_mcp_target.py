"""Where an MCP server is, and what it is told with every request: from a tool group and the caller's own headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from stack_core import context
from stack_core.apis._shapes import Strict
from stack_core.apis.tool_groups import ToolGroup
from stack_core.errors import AccessDenied, InvalidRequest

LONGEST_WAIT = 3600.0


class GroupArgs(Strict):
    """What `args` of a tool group may say. With `command` the server is a program of this machine that is spoken to
    through its input and output; else it is at the group's `mcp_endpoint`."""

    transport: Literal["streamable_http", "sse", "stdio"] | None = Field(None, description="Found out where left out.")
    headers: dict[str, str] = Field(default_factory=dict, description="Sent with every request.")
    authorization: str | None = Field(None, description="A token, sent as Bearer.")
    timeout: float | None = Field(None, gt=0, le=LONGEST_WAIT, description="Seconds that a call may take.")
    command: str | None = Field(None, min_length=1, description="The program of a server on this machine.")
    args: list[str] = Field(default_factory=list, description="Its arguments.")
    env: dict[str, str] = Field(default_factory=dict, description="Its variables, besides the usual few.")
    cwd: str | None = Field(None, description="The folder that it starts in.")


@dataclass(frozen=True)
class Target:
    """One server as one caller reaches it. Equal ones share a session."""

    transport: str | None
    uri: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = None

    @property
    def name(self) -> str:
        """How errors call it: no query, no password."""
        if self.command:
            return self.command[0]
        parts = urlsplit(self.uri)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"

    def scrub(self, text: str) -> str:
        """A text of the server's without what only it should know."""
        for value in (*dict(self.headers).values(), *dict(self.env).values()):
            for secret in (value, value.partition(" ")[2]):
                if len(secret) >= 6:
                    text = text.replace(secret, "********")
        return text


def target_of(group: ToolGroup, stdio: bool) -> tuple[Target, float | None]:
    """The server of a group for the caller of now, and how long its calls may take.

    Args:
        stdio: whether groups may start programs.

    Raises:
        InvalidRequest: its args are wrong, or it names no server or two.
        AccessDenied: it would start a program, which is not allowed.
    """
    args = _args(group)
    uri = group.mcp_endpoint.uri if group.mcp_endpoint is not None else ""
    if bool(uri) == bool(args.command):
        raise InvalidRequest(
            f"tool group {group.identifier!r} names {'two servers' if uri else 'no server'}",
            "give mcp_endpoint.uri, or command in args",
        )
    if args.command:
        return _program(args, args.command, stdio), args.timeout
    if not uri.startswith(("http://", "https://")) or not _host(uri):
        raise InvalidRequest("mcp_endpoint.uri is no http address", "write it like https://host/mcp")
    if args.transport == "stdio":
        raise InvalidRequest("transport stdio has no address", "give command in args, and no mcp_endpoint")
    headers = {name.lower(): value for name, value in args.headers.items()}
    if args.authorization:
        headers["authorization"] = _bearer(args.authorization)
    headers |= _own_headers(uri)
    return Target(args.transport, uri, tuple(sorted(headers.items()))), args.timeout


def _args(group: ToolGroup) -> GroupArgs:
    try:
        return GroupArgs.model_validate(group.args or {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, ("args", *first["loc"])))
        raise InvalidRequest(
            f"tool group {group.identifier!r}: {path}: {first['msg']}",
            f"args may have {', '.join(GroupArgs.model_fields)}",
        ) from error


def _program(args: GroupArgs, command: str, stdio: bool) -> Target:
    if args.transport not in (None, "stdio"):
        raise InvalidRequest(f"transport {args.transport} does not start a command", "leave out transport or command")
    if args.headers or args.authorization:
        raise InvalidRequest("a command is sent no headers", "give it what it needs in env")
    if not stdio:
        raise AccessDenied(
            f"tool groups may not start programs here ({command})",
            "set stdio: true in the config of this provider: whoever may register tool groups can then run programs",
        )
    return Target("stdio", command=(command, *args.args), env=tuple(sorted(args.env.items())), cwd=args.cwd)


def _own_headers(uri: str) -> dict[str, str]:
    """What the caller sends this server: `mcp_headers` of the provider data, by address without its query."""
    given = context.provider_data.get().get("mcp_headers") or {}
    if not isinstance(given, Mapping):
        raise InvalidRequest("mcp_headers is no mapping", 'write it like {"https://host/mcp": {"Authorization": "…"}}')
    found: dict[str, str] = {}
    for address, headers in given.items():
        if _place(str(address)) != _place(uri):
            continue
        if not isinstance(headers, Mapping) or not all(isinstance(value, str) for value in headers.values()):
            raise InvalidRequest("mcp_headers: a server's headers are a mapping of texts", "name → value")
        found |= {str(name).lower(): value for name, value in headers.items()}
    if any("\n" in text or "\r" in text for pair in found.items() for text in pair):
        raise InvalidRequest("mcp_headers: a header has a line break")
    return found


def _place(uri: str) -> tuple[str, str, int | None, str]:
    try:
        parts = urlsplit(uri)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return (uri, "", None, "")
    return (parts.scheme, (parts.hostname or "").lower(), port, parts.path.rstrip("/"))


def _host(uri: str) -> str | None:
    try:
        return urlsplit(uri).hostname
    except ValueError:
        return None


def _bearer(token: str) -> str:
    return token if " " in token else f"Bearer {token}"
