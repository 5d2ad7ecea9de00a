"""Weaknesses in code that a model wrote, by CWE."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis._chat_messages import Message
from stack_core.apis._shapes import Strict
from stack_core.apis.providers import ProviderId
from stack_core.apis.shields import Shield, Shields
from stack_core.errors import InvalidRequest
from stack_core.providers._registry import provider
from stack_core.providers.safety._code import SEVERITIES, Issue, Severity, issues_in
from stack_core.providers.safety._guard import Guard, Verdict
from stack_core.providers.safety._texts import Place, places

LONGEST = 1_000_000
"""Characters that are scanned; a longer text is refused rather than let pass."""
MOST_TOLD = 100


class CodeScannerConfig(BaseModel):
    """It has no settings, as in Llama Stack 0.3.5."""

    model_config = ConfigDict(extra="forbid")


class CodeScannerParams(Strict):
    """What a shield may say."""

    min_severity: Severity = Field("medium", description="What is graver or as grave counts.")


@provider("inline::code-scanner", packages=("bandit",), extra="code-scanner")
class CodeScanner(Guard[CodeScannerParams]):
    """Reads the code in every text, fenced or bare: Python with bandit, other languages with patterns."""

    Config = CodeScannerConfig
    Params = CodeScannerParams
    overlooks = True

    def __init__(self, config: CodeScannerConfig, shields: Shields, provider_id: ProviderId) -> None:
        super().__init__(shields, str(provider_id))

    async def judge(self, shield: Shield, params: CodeScannerParams, messages: Sequence[Message]) -> Verdict | None:
        """The weaknesses of the code in the messages."""
        texts = places(messages)
        if sum(len(place.text) for place in texts) > LONGEST:
            raise InvalidRequest(f"code of more than {LONGEST:,} characters is not scanned", "scan it in parts")
        least = SEVERITIES.index(params.min_severity)
        found = [
            (place, issue)
            for place in texts
            for issue in await asyncio.to_thread(issues_in, place.text)
            if SEVERITIES.index(issue.severity) >= least
        ]
        return verdict_of(found) if found else None


def verdict_of(found: Sequence[tuple[Place, Issue]]) -> Verdict:
    """What is told of weaknesses."""
    names = list(dict.fromkeys(f"CWE-{issue.cwe}" for _, issue in found))
    findings: list[dict[str, Any]] = [
        {"cwe": f"CWE-{issue.cwe}", "rule": issue.rule, "severity": issue.severity, "language": issue.language,
         "message": place.message, "where": place.where, "line": issue.line, "text": issue.text}
        for place, issue in found[:MOST_TOLD]
    ]  # fmt: skip
    told = "; ".join(dict.fromkeys(f"{row['cwe']} in line {row['line']}: {row['text']}" for row in findings[:6]))
    metadata = {"violation_type": ",".join(names), "findings": findings, "found": len(found)}
    message = "Sorry, I found security concerns in the code."
    return Verdict(message, metadata, dict.fromkeys(names, 1.0), told=f"{message} {told}")
