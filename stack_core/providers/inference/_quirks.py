"""The steps that rows name where a protocol differs from OpenAI's: what is changed in a request before it goes.

A step is `step(body, call, config)`; `call` is `chat`, `completions` or `embeddings`. Nothing that a caller set is lost
without a word: a field is dropped only where the service refuses it and the answer is the same without it.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from stack_core.errors import ConfigError, InvalidRequest, ProviderUnavailable

if TYPE_CHECKING:
    from stack_core.providers.inference._upstream import Target, Upstream

Step = Callable[[dict[str, Any], str, Any], None]
HF_ENDPOINTS = "https://api.endpoints.huggingface.cloud/v2/endpoint"
HF_WHOAMI = "https://huggingface.co/api/whoami-v2"
_NEUTRAL: dict[str, tuple[Any, ...]] = {"n": (1,), "parallel_tool_calls": (True,), "service_tier": ("auto",)}
"""Values that ask for what a service does anyway."""
_BASE62 = string.digits + string.ascii_letters


def only(call: str, step: Step) -> Step:
    """A step for one kind of call."""
    return lambda body, kind, config: step(body, kind, config) if kind == call else None


def for_embeddings(*steps: Step) -> tuple[Step, ...]:
    """Steps for embedding requests alone."""
    return tuple(only("embeddings", step) for step in steps)


def no_empty_calls(body: dict[str, Any], call: str, config: Any) -> None:
    """An assistant message with an empty list of tool calls is refused."""
    for message in body.get("messages", ()):
        if message.get("tool_calls") == []:
            del message["tool_calls"]


def drop(*names: str) -> Step:
    """Leave out fields that the service refuses and that do not change the answer."""

    def step(body: dict[str, Any], call: str, config: Any) -> None:
        for name in names:
            body.pop(name, None)

    return step


def refuse(*names: str) -> Step:
    """Say clearly that the service does not take these; a value that asks for nothing special is left out."""

    def step(body: dict[str, Any], call: str, config: Any) -> None:
        for name in names:
            if name not in body:
                continue
            value = body.pop(name)
            if value in _NEUTRAL.get(name, (0, False, {}, [])):
                continue
            fault = {"loc": [name], "msg": "not taken by this service", "type": "unsupported_field"}
            raise InvalidRequest(
                f"{config.row.name} does not take the field {name!r}", f"leave {name} out", errors=[fault]
            )

    return step


def rename(old: str, new: str) -> Step:
    """The service knows a field by another name."""

    def step(body: dict[str, Any], call: str, config: Any) -> None:
        if old in body:
            value = body.pop(old)
            body.setdefault(new, value)

    return step


def no_message_names(body: dict[str, Any], call: str, config: Any) -> None:
    """Names on messages are refused; a tool message needs its."""
    for message in body.get("messages", ()):
        if message["role"] not in ("tool", "function"):
            message.pop("name", None)


def newer_token_limit(body: dict[str, Any], call: str, config: Any) -> None:
    """OpenAI's reasoning models know only `max_completion_tokens`."""
    if call == "chat" and re.match(r"(o\d|gpt-5)", body["model"]):
        rename("max_tokens", "max_completion_tokens")(body, call, config)


def vllm_request(body: dict[str, Any], call: str, config: Any) -> None:
    """A limit, because vLLM otherwise writes to the context's end; no tool choice without tools; no developer role."""
    if call != "embeddings" and "max_completion_tokens" not in body:
        body.setdefault("max_tokens", config.max_tokens)
    if not body.get("tools"):
        body.pop("tool_choice", None)
    for message in body.get("messages", ()):
        if message["role"] == "developer":
            message["role"] = "system"


def fireworks_model(body: dict[str, Any], call: str, config: Any) -> None:
    """A bare name is short for a full resource name."""
    if "/" not in body["model"]:
        body["model"] = f"accounts/fireworks/models/{body['model']}"


def joined_text(body: dict[str, Any], call: str, config: Any) -> None:
    """Lists of nothing but text parts are not taken: join them."""
    for message in body.get("messages", ()):
        parts = message.get("content")
        if isinstance(parts, list) and all(part["type"] == "text" for part in parts):
            message["content"] = "\n".join(part["text"] for part in parts)


def query_input(body: dict[str, Any], call: str, config: Any) -> None:
    """Asymmetric models demand to know what is embedded; a caller that says nothing asks a question."""
    if "embedqa" in body["model"] or "nv-embed" in body["model"]:
        body.setdefault("input_type", "query")


def mistral_messages(body: dict[str, Any], call: str, config: Any) -> None:
    """Tool call ids of nine letters and digits, the same on both sides; `any` for a required tool."""
    if body.get("tool_choice") == "required":
        body["tool_choice"] = "any"
    for message in body.get("messages", ()):
        if "tool_call_id" in message:
            message["tool_call_id"] = _nine(message["tool_call_id"])
        for call_made in message.get("tool_calls") or ():
            call_made["id"] = _nine(call_made["id"])


def no_json_schema(body: dict[str, Any], call: str, config: Any) -> None:
    """Only `json_object` is known."""
    if (body.get("response_format") or {}).get("type") == "json_schema":
        raise InvalidRequest(
            f"{config.row.name} does not take response_format of type 'json_schema'",
            "use json_object, with the word json and the schema in the prompt",
        )


def whole_tool_schemas(body: dict[str, Any], call: str, config: Any) -> None:
    """A tool whose parameters are empty is refused unless they are an object's."""
    for tool in body.get("tools") or ():
        if function := tool.get("function"):
            function["parameters"] = function.get("parameters") or {"type": "object"}


def project(body: dict[str, Any], call: str, config: Any) -> None:
    """Every body names the project (or the space)."""
    if config.project_id and "space_id" not in body:
        body.setdefault("project_id", config.project_id)


def image_urls(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The `image_url` objects of a chat request that point somewhere else."""
    for message in body.get("messages", ()):
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part.get("type") == "image_url" and part["image_url"]["url"].startswith(("http://", "https://")):
                yield part["image_url"]


async def bedrock_address(upstream: Upstream, target: Target) -> str:
    """The runtime host of the region."""
    return f"https://bedrock-runtime.{target.config.region_name or 'us-east-2'}.amazonaws.com"  # type: ignore[attr-defined]  # a field of the row


async def vertex_address(upstream: Upstream, target: Target) -> str:
    """The compatible endpoint of a project; `global` is a host without prefix."""
    project_id, place = getattr(target.config, "project", None), getattr(target.config, "location", "")
    if not project_id:
        raise ConfigError(f"{upstream.id} has no project", "set project, for example from VERTEX_AI_PROJECT")
    host = "aiplatform.googleapis.com" if place == "global" else f"{place}-aiplatform.googleapis.com"
    return f"https://{host}/v1/projects/{project_id}/locations/{place}/endpoints/openapi"


async def endpoint_address(upstream: Upstream, target: Target) -> str:
    """Ask Hugging Face where an inference endpoint runs; `NAME` alone is one of the token's owner."""
    name = getattr(target.config, "endpoint_name", None)
    if not name:
        raise ConfigError(f"{upstream.id} has no endpoint_name", "set endpoint_name to NAMESPACE/NAME")
    if "/" not in name:
        owner = (await upstream.get(HF_WHOAMI, target)).get("name")
        name = f"{owner}/{name}"
    status = (await upstream.get(f"{HF_ENDPOINTS}/{name}", target)).get("status") or {}
    if not status.get("url"):
        raise ProviderUnavailable(
            f"{upstream.id}: the endpoint {name} has no address while it is {status.get('state', 'not running')}",
            "start it on its Hugging Face page, then ask again",
            provider_id=upstream.id,
        )
    return str(status["url"])


def _nine(identity: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9]{9}", identity):
        return identity
    digest = hashlib.sha256(identity.encode()).digest()
    return "".join(_BASE62[byte % 62] for byte in digest[:9])
