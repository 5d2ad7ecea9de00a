"""Rules in data, and what they find in one text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from pydantic import Field

from stack_core.apis._shapes import Strict
from stack_core.errors import InvalidRequest, nearest
from stack_core.providers.safety._pii import DETECTORS, Span
from stack_core.providers.safety._view import View, lowered

Action = Literal["block", "redact", "warn"]
GRAVITY: Mapping[str, int] = {"warn": 0, "redact": 1, "block": 2}
GROUPS: Mapping[str, tuple[str, ...]] = {"pii": tuple(DETECTORS), "secrets": ("secret",)}
"""Names for several kinds of personal data."""
LONGEST_PATTERN, MOST_KEYWORDS = 2000, 10_000


class Rule(Strict):
    """One thing to look for: exactly one of `pattern`, `keywords` and `pii`."""

    name: str | None = Field(None, min_length=1, description="How findings call it; else what it looks for.")
    pattern: str | None = Field(
        None, min_length=1, max_length=LONGEST_PATTERN, description="A regular expression of Python's."
    )
    keywords: list[str] | None = Field(
        None, min_length=1, max_length=MOST_KEYWORDS, description="Words and phrases, in large or small letters."
    )
    pii: str | list[str] | None = Field(
        None, description="Personal data: pii (all), secrets, email, phone, card, iban, secret."
    )
    ignore_case: bool = Field(False, description="For a pattern: large letters are small ones.")
    whole_words: bool = Field(True, description="For keywords: not inside of longer words.")
    action: Action | None = Field(None, description="What to do; the shield's action where left out.")
    replacement: str | None = Field(None, description="What stands in a redacted text; else the name in brackets.")


class Check(NamedTuple):
    """A rule that is ready: one of `detector` (a kind of personal data), `keywords` and `pattern` is set."""

    name: str
    action: Action
    replacement: str
    detector: str = ""
    keywords: tuple[str, ...] = ()
    pattern: str = ""
    flags: int = 0
    whole_words: bool = True


class Found(NamedTuple):
    """What a check found: a place in the text as it was given."""

    check: Check
    start: int
    end: int


def checks_of(rules: Iterable[Rule | str], action: Action, library: Mapping[str, Rule]) -> list[Check]:
    """Rules, made ready. A text names a rule of the library, a kind of personal data (`pii`, `email`, `regex:email`),
    or is a regular expression after `regex:`.

    Raises:
        InvalidRequest: a rule that says nothing or two things, an unknown name, or a pattern that cannot be read.
    """
    return [check for rule in rules for check in _checks(_named(rule, library), action)]


def _named(rule: Rule | str, library: Mapping[str, Rule]) -> Rule:
    if isinstance(rule, Rule):
        return rule
    if rule in library:
        found = library[rule]
        return found if found.name else found.model_copy(update={"name": rule})
    head, _, rest = rule.rpartition(":") if rule.count(":") == 1 else ("", "", rule)
    if head in ("", "regex", "pii") and (rest in DETECTORS or rest in GROUPS):
        return Rule(pii=rest)
    if rule.startswith("regex:") and rule != "regex:":
        return Rule(pattern=rule.removeprefix("regex:"))
    known = [*library, *GROUPS, *DETECTORS]
    close = nearest(rule, known)
    hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known)}, and regex:PATTERN"
    raise InvalidRequest(f"there is no rule {rule!r}", hint)


def _checks(rule: Rule, default: Action) -> list[Check]:
    given = [name for name in ("pattern", "keywords", "pii") if getattr(rule, name) is not None]
    if len(given) != 1:
        raise InvalidRequest(
            f"the rule {rule.name or '(without a name)'} has {' and '.join(given) or 'nothing to look for'}",
            "give it exactly one of pattern, keywords and pii",
        )
    action = rule.action or default
    if rule.pii is not None:
        kinds = _kinds([rule.pii] if isinstance(rule.pii, str) else rule.pii)
        names = {kind: f"{rule.name or 'pii'}/{kind}" for kind in kinds}
        return [Check(names[kind], action, _replacement(rule, kind), detector=kind) for kind in kinds]
    if rule.keywords is not None:
        words = tuple(dict.fromkeys(lowered(View(word).plain).strip() for word in rule.keywords))
        if not all(words):
            raise InvalidRequest(f"the rule {rule.name or 'keywords'} has an empty keyword", "leave it out")
        name = rule.name or "keywords"
        return [Check(name, action, _replacement(rule, name), keywords=words, whole_words=rule.whole_words)]
    name, pattern, flags = rule.name or f"regex:{rule.pattern}", str(rule.pattern), re.I if rule.ignore_case else 0
    try:
        re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"the pattern {pattern!r} cannot be read: {error}", "see Python's re") from None
    return [Check(name, action, _replacement(rule, rule.name or "redacted"), pattern=pattern, flags=int(flags))]


def _kinds(names: list[str]) -> list[str]:
    kinds: dict[str, None] = {}
    for name in names:
        if name not in DETECTORS and name not in GROUPS:
            known = [*GROUPS, *DETECTORS]
            close = nearest(name, known)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known)}"
            raise InvalidRequest(f"there is no kind of personal data {name!r}", hint)
        kinds |= dict.fromkeys(GROUPS.get(name, (name,)))
    return list(kinds)


def _replacement(rule: Rule, name: str) -> str:
    return f"[{name}]" if rule.replacement is None else rule.replacement


def plain_spans(check: Check, view: View, most: int) -> list[Span]:
    """The places of a check that needs no pattern of a user, at most `most`."""
    found: list[Span] = []
    spans = DETECTORS[check.detector](view.plain) if check.detector else keyword_spans(check, lowered(view.plain))
    for span in spans:
        if len(found) == most:
            break
        found.append(span)
    return found


def keyword_spans(check: Check, text: str) -> Iterable[Span]:
    """The places of keywords in a text of small letters."""
    for word in check.keywords:
        place = text.find(word)
        while place >= 0:
            end = place + len(word)
            if not check.whole_words or not (_joined(text, place) or _joined(text, end)):
                yield place, end
            place = text.find(word, place + 1)


def _joined(text: str, place: int) -> bool:
    """Whether a word goes on over this place."""
    return 0 < place < len(text) and _in_word(text[place - 1]) and _in_word(text[place])


def _in_word(sign: str) -> bool:
    return sign.isalnum() or sign == "_"


def redacted(text: str, found: Iterable[Found]) -> str:
    """The text without what was found; what overlaps is replaced together, by the first one's replacement."""
    out, place = [], 0
    for item in sorted(found, key=lambda one: (one.start, -one.end)):
        if item.start >= place:
            out += [text[place : item.start], item.check.replacement]
        place = max(place, item.end)
    return "".join([*out, text[place:]])
