"""Token counts: what the model's calls took, as a response tells it."""

from __future__ import annotations

from collections.abc import Iterable

from stack_core.apis._response import InputTokensDetails, OutputTokensDetails, ResponseUsage
from stack_core.apis.inference import Usage


def summed(usages: Iterable[Usage]) -> ResponseUsage | None:
    """All calls together; None where no service told anything."""
    found = list(usages)
    if not found:
        return None
    inward = sum(usage.prompt_tokens for usage in found)
    outward = sum(usage.completion_tokens for usage in found)
    cached = sum((usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens) or 0 for usage in found)
    thought = sum(
        (usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens) or 0 for usage in found
    )
    return ResponseUsage(
        input_tokens=inward,
        input_tokens_details=InputTokensDetails(cached_tokens=cached),
        output_tokens=outward,
        output_tokens_details=OutputTokensDetails(reasoning_tokens=thought),
        total_tokens=inward + outward,
    )
