"""What a call and its result say about themselves, in the names of OpenTelemetry's GenAI conventions (1.43); ours are
`stack.*`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stack_core import context
from stack_core.errors import ProviderError, StackError
from stack_core.telemetry.spans import COST, OWNER

if TYPE_CHECKING:
    from stack_core.apis._call import Call

Attributes = dict[str, Any]

OPERATIONS = {
    "inference.chat_completion": "chat",
    "inference.completion": "text_completion",
    "inference.embeddings": "embeddings",
}
"""Route id → the operation's name in the conventions."""

PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertexai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
}
"""Provider id → its name in the conventions, where it differs."""

_REQUEST = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
    "stream": "gen_ai.request.stream",
    "dimensions": "gen_ai.embeddings.dimension.count",
}


def operation(call: Call) -> str | None:
    """`chat`, `text_completion`, `embeddings`, or None for what is no call of a model."""
    return OPERATIONS.get(call.route.id)


def asked_model(call: Call) -> str | None:
    """The model as the caller wrote it."""
    named = call.model or getattr(call.args.get("request"), "model", None) or call.args.get("model")
    return named if isinstance(named, str) else None


def opening(call: Call) -> Attributes:
    """What is known before the call."""
    out: Attributes = {"stack.route": call.route.id}
    if (owner := context.owner()) is not None:
        out[OWNER] = owner
    for key, fact in context.cell.get().items():
        out[f"stack.cell.{key}"] = fact
    kind = operation(call)
    if kind is None:
        return out
    out["gen_ai.operation.name"] = kind
    given = _fields(call.args.get("request"))
    for field, name in _REQUEST.items():
        value = given.get(field)
        if value is not None:
            out[name] = value
    stop = given.get("stop")
    if stop:
        out["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else stop
    form = given.get("response_format")
    if form is not None:
        out["gen_ai.output.type"] = "text" if form.type == "text" else "json"
    return out


def served(call: Call, asked: str | None) -> Attributes:
    """Who served the call, known once the lookup was made."""
    out: Attributes = {}
    if call.provider_id is not None:
        out["stack.provider_id"] = call.provider_id
    if asked is not None:
        out["stack.model"] = asked
    if operation(call) is not None:
        if call.provider_id is not None:
            out["gen_ai.provider.name"] = PROVIDERS.get(call.provider_id, call.provider_id)
        if model := call.upstream_model or asked:
            out["gen_ai.request.model"] = model
    return out


def spent(usage: Any) -> Attributes:
    """Token counts of a result's `usage`, and the cost where the service gave it."""
    if usage is None:
        return {}
    of_prompt = getattr(usage, "prompt_tokens_details", None)
    of_answer = getattr(usage, "completion_tokens_details", None)
    found = {
        "gen_ai.usage.input_tokens": getattr(usage, "prompt_tokens", None),
        "gen_ai.usage.output_tokens": getattr(usage, "completion_tokens", None),
        "gen_ai.usage.cache_read.input_tokens": getattr(of_prompt, "cached_tokens", None),
        "gen_ai.usage.reasoning.output_tokens": getattr(of_answer, "reasoning_tokens", None),
        COST: (getattr(usage, "model_extra", None) or {}).get("cost"),
    }
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def _fields(model: Any) -> Mapping[str, Any]:
    """The declared fields of a request. Asking a model for a field that it does not have costs microseconds."""
    return getattr(model, "__dict__", {})


def failed(error: BaseException) -> Attributes:
    """The kind of an error; its message is the span's status."""
    kind = type(error)
    known = isinstance(error, StackError) or kind.__module__ == "builtins"
    out: Attributes = {"error.type": kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"}
    if isinstance(error, ProviderError) and error.upstream_status is not None:
        out["stack.upstream_status"] = error.upstream_status
    return out


class Reply:
    """A result, or the chunks of a stream as they pass: id, model, usage, finish reasons, and text if it is kept."""

    __slots__ = ("_keep", "chunks", "id", "model", "reasons", "texts", "tools", "usage")

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self.chunks = 0
        self.id: str | None = None
        self.model: str | None = None
        self.usage: Any = None
        self.reasons: dict[int, str] = {}
        self.texts: dict[int, list[str]] = {}
        self.tools: dict[tuple[int, int], dict[str, str]] = {}

    def feed(self, piece: Any) -> None:
        """Take a result, or one chunk."""
        if self.id is None:
            self.id, self.model = getattr(piece, "id", None), getattr(piece, "model", None)
        usage = getattr(piece, "usage", None)
        if usage is not None:
            self.usage = usage
        for choice in getattr(piece, "choices", ()):
            if choice.finish_reason is not None:
                self.reasons[choice.index] = choice.finish_reason
            if self._keep:
                self._take(choice)

    def _take(self, choice: Any) -> None:
        said = getattr(choice, "delta", None) or getattr(choice, "message", None)
        text = choice.text if said is None else said.content
        if text:
            self.texts.setdefault(choice.index, []).append(text)
        for place, tool in enumerate(getattr(said, "tool_calls", None) or ()):
            known = self.tools.setdefault((choice.index, getattr(tool, "index", place)), {"name": "", "arguments": ""})
            if tool.id:
                known["id"] = tool.id
            if tool.function is not None:
                known["name"] += tool.function.name or ""
                known["arguments"] += tool.function.arguments or ""

    def attributes(self) -> Attributes:
        """What the span says about it, besides its usage."""
        out: Attributes = {}
        if self.id is not None:
            out["gen_ai.response.id"] = self.id
        if self.model is not None:
            out["gen_ai.response.model"] = self.model
        if self.reasons:
            out["gen_ai.response.finish_reasons"] = [self.reasons[i] for i in sorted(self.reasons)]
        return out
