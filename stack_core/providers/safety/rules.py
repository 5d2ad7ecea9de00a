"""Rules that need no model: regular expressions, lists of words, personal data."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis._chat_messages import Message
from stack_core.apis._shapes import Strict
from stack_core.apis.providers import ProviderId
from stack_core.apis.shields import Shield, Shields
from stack_core.errors import InvalidRequest, ProviderTimeout
from stack_core.providers._registry import provider
from stack_core.providers.safety._guard import Guard, Verdict, model_of
from stack_core.providers.safety._matching import Matcher, TooSlow
from stack_core.providers.safety._pii import Span
from stack_core.providers.safety._rules import GRAVITY, Action, Check, Found, Rule, checks_of, plain_spans, redacted
from stack_core.providers.safety._texts import Place, places
from stack_core.providers.safety._view import View

MOST_FOUND = 10_000
"""Places that one rule may find in one text."""
MOST_TOLD = 100
"""Findings that a violation lists."""
IN_PLACE = 20_000
"""Characters up to which looking at a text holds the event loop for less than changing to a thread costs others."""
_HARD = 2000
_MESSAGES = {
    "block": "This was blocked by the rule",
    "redact": "Parts of this are better left out, by the rule",
    "warn": "Take note of the rule",
}


class RulesConfig(BaseModel):
    """Rules with a name, and what holds for all."""

    model_config = ConfigDict(extra="forbid")
    rules: dict[str, Rule] = Field({}, description="Rules by name, for shields and their lists of rules to name.")
    action: Action = Field("block", description="What a rule does that does not say.")
    seconds: float = Field(1.0, gt=0, le=60, description="How long a regular expression may take on one text.")


class RulesParams(Strict):
    """What a shield of rules may say."""

    rules: list[Rule | str] | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="The rules, or names of rules; else the shield's own name is one.",
    )
    action: Action | None = Field(None, description="What a rule does that does not say.")


@provider("inline::rules")
class Rules(Guard[RulesParams]):
    """Regular expressions, keywords and personal data, each blocked, redacted or warned of.

    Looks at every text of every message, tool calls included; images pass. A violation tells the rules and the places,
    never what stood there, and offers the redacted texts.
    """

    Config = RulesConfig
    Params = RulesParams
    overlooks = True

    def __init__(self, config: RulesConfig, shields: Shields, provider_id: ProviderId) -> None:
        super().__init__(shields, str(provider_id))
        self._config, self._matcher = config, Matcher()

    async def __aenter__(self) -> Rules:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._matcher.aclose()

    async def check_shield(self, shield: Shield) -> None:
        """Refuse rules that cannot be read, and patterns that take too long on texts that are hard for them."""
        for check in self._checks(shield, self.params_of(shield, None)):
            if check.pattern:
                try:
                    await self._spans(check, hard_texts(check.pattern))
                except ProviderTimeout:
                    raise InvalidRequest(
                        f"the pattern {check.pattern!r} takes too long on some texts",
                        "repeat nothing that is itself repeated, as (a+)+ does",
                    ) from None

    async def judge(self, shield: Shield, params: RulesParams, messages: Sequence[Message]) -> Verdict | None:
        """What the rules found in the messages."""
        checks = self._checks(shield, params)
        found = [(place, await self._found(place.text, checks)) for place in places(messages)]
        return verdict_of([(place, hits) for place, hits in found if hits])

    def _checks(self, shield: Shield, params: RulesParams) -> list[Check]:
        rules = params.rules or [model_of(shield)]
        return checks_of(rules, params.action or self._config.action, self._config.rules)

    async def _found(self, text: str, checks: Sequence[Check]) -> list[Found]:
        plain = [check for check in checks if not check.pattern]
        if len(text) <= IN_PLACE:
            view, hits = _looked(text, plain)
        else:
            view, hits = await asyncio.to_thread(_looked, text, plain)
        for check in checks:
            if check.pattern:
                hits.append((check, (await self._spans(check, [view.text]))[0]))
        found = (Found(check, *view.original(*span)) for check, spans in hits for span in spans)
        return without_parts(sorted(found, key=lambda one: (one.start, -one.end)))

    async def _spans(self, check: Check, texts: Sequence[str]) -> list[list[Span]]:
        seconds = self._config.seconds
        try:
            return await self._matcher.spans(check.pattern, check.flags, texts, most=MOST_FOUND, seconds=seconds)
        except TooSlow:
            raise ProviderTimeout(
                f"{self.provider_id}: the rule {check.name!r} took longer than {seconds:g} s",
                "simplify its pattern, or raise seconds",
                provider_id=self.provider_id,
            ) from None


def _looked(text: str, checks: Sequence[Check]) -> tuple[View, list[tuple[Check, list[Span]]]]:
    view = View(text)
    return view, [(check, plain_spans(check, view, MOST_FOUND)) for check in checks]


def verdict_of(found: Sequence[tuple[Place, list[Found]]]) -> Verdict | None:
    """What is told of findings; None where there are none."""
    hits = [(place, hit) for place, items in found for hit in items]
    if not hits:
        return None
    names = list(dict.fromkeys(hit.check.name for _, hit in hits))
    action = max((hit.check.action for _, hit in hits), key=GRAVITY.__getitem__)
    metadata: dict[str, Any] = {
        "violation_type": ",".join(names),
        "action": action,
        "rules": names,
        "findings": [
            {"rule": hit.check.name, "action": hit.check.action, "message": place.message, "where": place.where,
             "start": hit.start, "end": hit.end}
            for place, hit in hits[:MOST_TOLD]
        ],
        "found": len(hits),
    }  # fmt: skip
    if action != "warn":
        metadata["redacted"] = [
            {"message": place.message, "where": place.where, "text": redacted(place.text, covered)}
            for place, items in found
            if (covered := [item for item in items if item.check.action != "warn"])
        ]
    message = f"{_MESSAGES[action]}{'s' if len(names) > 1 else ''} {', '.join(names[:6])}."
    return Verdict(message, metadata, dict.fromkeys(names, 1.0), "error" if action == "block" else "warn")


def without_parts(found: Sequence[Found]) -> list[Found]:
    """Findings by their start, without telephone numbers that are a part of a card's or an account's number."""
    out: list[Found] = []
    end = 0
    for item in found:
        if item.check.detector != "phone" or item.end > end:
            out.append(item)
        if item.check.detector:
            end = max(end, item.end)
    return out


def hard_texts(pattern: str) -> list[str]:
    """Texts on which a careless pattern takes very long: its own letters over and over, and then something else."""
    letters = dict.fromkeys([*re.findall(r"[^\W_]", pattern)[:12], "a", "0", " ", "-", "."])
    runs = [letter * length for letter in letters for length in (40, _HARD)]
    pairs = [(one + other) * 20 for one in letters for other in letters if one != other][:60]
    return [text + end for text in [*runs, *pairs] for end in ("\x00", "")]
