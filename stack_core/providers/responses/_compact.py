"""A long conversation pressed into a summary, which the model writes."""

from __future__ import annotations

import secrets
import time
from typing import Any

from stack_core.apis._items import Compaction
from stack_core.apis._kept_items import new_id
from stack_core.apis.inference import ChatCompletionRequest, Inference, UserMessage
from stack_core.apis.responses import CompactedResponse, CompactResponseRequest
from stack_core.errors import InvalidRequest, ProviderError, Unsupported
from stack_core.providers.responses._config import CompactionConfig
from stack_core.providers.responses._input import Prepared
from stack_core.providers.responses._messages import sealed
from stack_core.providers.responses._usage import summed

_PASSED = ("prompt_cache_key", "prompt_cache_retention", "service_tier")


def check(request: CompactResponseRequest) -> None:
    """Raises:
    InvalidRequest: there is nothing to compact.
    Unsupported: fields that mean nothing to a summary.
    """
    if request.input is None and request.previous_response_id is None:
        raise InvalidRequest("input: it is needed", "items, or previous_response_id")
    for name in ("tools", "parallel_tool_calls", "text"):
        if getattr(request, name) is not None:
            raise Unsupported(f"{name}: a summary uses no tools and has no form of its own", "leave it out")


async def compacted(
    request: CompactResponseRequest, prepared: Prepared, inference: Inference, config: CompactionConfig
) -> CompactedResponse:
    """The messages of the user as they are, then the summary of all.

    Raises:
        ProviderError: the model wrote nothing.
    """
    settings: dict[str, Any] = {name: value for name in _PASSED if (value := getattr(request, name)) is not None}
    if request.reasoning is not None and request.reasoning.effort is not None:
        settings["reasoning_effort"] = request.reasoning.effort
    chat = ChatCompletionRequest(
        model=config.summarization_model or request.model,
        messages=[*prepared.messages, UserMessage(content=config.summarization_prompt)],
        store=False,
        **settings,
    )
    answer = await inference.chat_completion(chat)
    text = answer.choices[0].message.content if not hasattr(answer, "__aiter__") else None
    if not text:
        raise ProviderError(
            f"{chat.model} wrote no summary", "try another model: compaction_config.summarization_model"
        )
    said = [
        item for item in (*prepared.before, *prepared.items) if item["type"] == "message" and item["role"] == "user"
    ]
    item = Compaction(id=new_id("compaction"), encrypted_content=sealed(text)).model_dump(mode="json", by_alias=True)
    given: dict[str, Any] = {
        "id": f"resp_{secrets.token_hex(20)}",
        "created_at": int(time.time()),
        "output": [*said, item],
    }
    if (usage := summed([answer.usage] if answer.usage is not None else [])) is not None:  # type: ignore[union-attr]  # not streamed
        given["usage"] = usage
    return CompactedResponse.model_validate(given)
