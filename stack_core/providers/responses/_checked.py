"""What of a request is not served here: refused by its name, never left out."""

from __future__ import annotations

from stack_core.apis._response_tools import FileSearchTool, FunctionTool
from stack_core.apis.responses import CreateResponseRequest
from stack_core.errors import InvalidRequest, Unsupported
from stack_core.providers.responses._search import NAME

SERVED = "function, file_search"


def check(request: CreateResponseRequest) -> None:
    """Raises:
    InvalidRequest: fields that do not go together, or are missing.
    Unsupported: a field or a tool that this version does not serve.
    """
    if not request.model:
        raise InvalidRequest("model: it is needed", "such as model='ollama/llama3.2:3b'")
    if request.input is None and request.prompt is None and request.conversation is None:
        raise InvalidRequest("input: it is needed", "a text, or a list of items")
    if request.conversation is not None and request.previous_response_id is not None:
        raise InvalidRequest("conversation and previous_response_id do not go together", "give one of the two")
    if request.background and request.store is False:
        raise InvalidRequest("background needs store: there is nothing to ask for later", "leave out store=False")
    _unserved(request)
    pairs = request.metadata or {}
    if len(pairs) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in pairs.items()):
        raise InvalidRequest("metadata: at most 16 pairs, keys of 64 and values of 512 characters")
    check_tools(request)


def _unserved(request: CreateResponseRequest) -> None:
    if request.guardrails:
        raise Unsupported("guardrails: responses do not pass shields in this version", "leave it out")
    if request.context_management:
        hint = "call responses.compact when the conversation is long, or give truncation='auto'"
        raise Unsupported("context_management: nothing is compacted unasked in this version", hint)
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        raise Unsupported("stream_options.include_obfuscation: pieces are not padded here", "leave it out")
    if "reasoning.encrypted_content" in (request.include or ()):
        hint = "reasoning is given as it is, where the model shows it"
        raise Unsupported("include: reasoning.encrypted_content is not served", hint)


def check_tools(request: CreateResponseRequest) -> None:
    """Raises:
    InvalidRequest: two tools of one name.
    Unsupported: a tool that is not served.
    """
    names: set[str] = set()
    for index, tool in enumerate(request.tools or ()):
        if not isinstance(tool, FunctionTool | FileSearchTool):
            raise Unsupported(f"tools[{index}]: {tool.type} is not available in this version", f"served: {SERVED}")
        if isinstance(tool, FunctionTool) and tool.defer_loading:
            raise Unsupported(f"tools[{index}].defer_loading: tools are all loaded here", "leave it out")
        name = tool.name if isinstance(tool, FunctionTool) else NAME
        if name in names:
            raise InvalidRequest(f"tools[{index}]: there is a tool {name!r} already", "give each its own name")
        names.add(name)
