"""Rules: what they find, what they do, which of them are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import ConfigError, InvalidRequest, ProviderTimeout
from stack_core.text.windows import Windows
from tests.stack_core.providers.safety.guards import entry, guarded, user, violation

MAIL = "write to ann@example.org, please"


async def test_names_of_rules_are_shields(tmp_path: Path) -> None:
    config = {"rules": {"projects": {"pattern": r"\bPRJ-\d+", "action": "redact"}}}
    names = ["pii", "email", "regex:email", "pii:email", "projects"]
    shields = {name: {} for name in names} | {"mail": {"provider_shield_id": "regex:email"}}
    async with guarded(tmp_path, entry("inline::rules", **config), shields) as stack:
        for name in ("pii", "email", "regex:email", "pii:email", "mail"):
            found = await violation(stack, name, MAIL)
            assert found.violation_level == "error"
            assert found.metadata["violation_type"] == "pii/email"
            assert await violation(stack, name, "nothing here") is None
        found = await violation(stack, "projects", "see PRJ-17 and PRJ-4")
        assert (found.violation_level, found.metadata["rules"], found.metadata["found"]) == ("warn", ["projects"], 2)
        assert found.metadata["redacted"][0]["text"] == "see [projects] and [projects]"


async def test_a_violation_says_where_and_never_what(tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"to": "ann\\u0040example.org"}'}}
    said = [user([{"type": "text", "text": "hi"}, {"type": "text", "text": MAIL}]),
            {"role": "assistant", "content": None, "tool_calls": [call]}]  # fmt: skip
    async with guarded(tmp_path, entry("inline::rules"), {"pii": {}}) as stack:
        found = (await stack.safety.run_shield(shield_id="pii", messages=said)).violation
    places = [(row["message"], row["where"], row["start"], row["end"]) for row in found.metadata["findings"]]
    assert places == [(0, "content[1]", 9, 24), (1, "tool_calls[0].arguments", 8, 23)]
    assert [row["text"] for row in found.metadata["redacted"]] == ["write to [email], please", '{"to": "[email]"}']
    assert "ann" not in found.model_dump_json()


async def test_each_rule_has_its_action(tmp_path: Path) -> None:
    rules: list[Any] = [
        {"name": "tone", "keywords": ["darn", "Holy Cow"], "action": "warn"},
        {"name": "ticket", "pattern": "t-\\d+", "ignore_case": True, "action": "redact", "replacement": "***"},
        {"pii": ["card"], "action": "block"},
    ]
    async with guarded(tmp_path, entry("inline::rules"), {"s": {"params": {"rules": rules}}}) as stack:
        seen = {}
        for text in ("holy  cow", "a HOLY cow", "darning", "T-1", "T-1 darn 4111111111111111"):
            found = await violation(stack, "s", text)
            seen[text] = found and (found.violation_level, found.metadata["action"], found.metadata.get("redacted"))
        whole = {"message": 0, "where": "content"}
        assert seen == {
            "holy  cow": None,
            "darning": None,
            "a HOLY cow": ("warn", "warn", None),
            "T-1": ("warn", "redact", [{**whole, "text": "***"}]),
            "T-1 darn 4111111111111111": ("error", "block", [{**whole, "text": "*** darn [card]"}]),
        }


async def test_what_a_shield_was_registered_with_wins(tmp_path: Path) -> None:
    async with guarded(tmp_path, entry("inline::rules"), {"s": {"params": {"rules": ["email"]}}, "pii": {}}) as stack:
        loose = {"rules": ["card"], "action": "warn"}  # its rules do not count, its action is not said before
        assert (await violation(stack, "s", MAIL, params=loose)).violation_level == "warn"
        assert (await violation(stack, "pii", MAIL, params={"action": "warn"})).violation_level == "warn"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"rules": ["emial"]}, ["emial", "did you mean email"]),
        ({"rules": ["regex:("]}, ["cannot be read"]),
        ({"rules": [{"pattern": "a", "keywords": ["b"]}]}, ["pattern and keywords", "exactly one"]),
        ({"rules": [{"name": "empty"}]}, ["empty", "nothing to look for"]),
        ({"rules": [{"pii": "emails"}]}, ["emails", "did you mean email"]),
        ({"rules": [{"keywords": ["a", " "]}]}, ["empty keyword"]),
        ({"rules": []}, ["params.rules"]),
        ({"rules": [{"pattern": "x", "action": "shout"}]}, ["action"]),
        ({"colour": "red"}, ["params.colour", "it takes: rules, action"]),
        ({"rules": ["regex:(a+)+$"]}, ["too long"]),
        ({"rules": ["regex:(x|x)*y"]}, ["too long"]),
        ({"rules": ["regex:(.*a){20}b"]}, ["too long"]),
    ],
)
async def test_wrong_rules_are_refused_when_registered(tmp_path: Path, params: Any, words: list[str]) -> None:
    guard = {**entry("inline::rules", seconds=0.5), "provider_id": "it"}
    async with guarded(tmp_path, guard, {}) as stack:
        with pytest.raises(InvalidRequest) as refused:
            await stack.shields.register_shield(shield_id="s", params=params)
        told = f"{refused.value} {refused.value.hint}"
        assert all(word in told for word in words), told
        assert (await stack.shields.list_shields()).data == []


async def test_a_pattern_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    """One of the run file, which nobody tried: the check fails, and the next one works."""
    shields = {"slow": {"params": {"rules": [r"regex:^(\w+\s?)*$"]}}, "mail": {"params": {"rules": [r"regex:\w+@\w+"]}}}
    async with guarded(tmp_path, entry("inline::rules", seconds=0.3), shields) as stack:
        with pytest.raises(ProviderTimeout, match="took longer than"):
            await violation(stack, "slow", "a" * 40 + "!")
        assert (await violation(stack, "mail", MAIL)).metadata["found"] == 1
        assert (await violation(stack, "slow", "a b")).metadata["found"] == 1


async def test_a_name_that_is_no_rule(tmp_path: Path) -> None:
    async with guarded(tmp_path, entry("inline::rules"), {"guard": {}}) as stack:
        with pytest.raises(InvalidRequest, match="no rule 'guard'"):
            await violation(stack, "guard", "hello")


async def test_a_wrong_library_is_a_fault_of_the_run_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        async with guarded(tmp_path, entry("inline::rules", rules={"a": {"patern": "x"}}), {}):
            pass


async def test_images_pass_a_rule_and_are_refused_by_a_moderation(tmp_path: Path) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    async with guarded(tmp_path, entry("inline::rules"), {"pii": {}}) as stack:
        assert await violation(stack, "pii", user([picture])) is None
        assert (await violation(stack, "pii", user([picture, {"type": "text", "text": MAIL}]))).metadata["found"] == 1
        with pytest.raises(InvalidRequest, match="cannot look at image_url"):
            await stack.safety.moderate(model="pii", input=[picture])


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, "\u200bа" * 500_000, "@a.b" * 250_000, "DE89 " * 200_000, "1 " * 500_000, "-----BEGIN" * 100_000],  # noqa: RUF001
    ids=["letters", "disguises", "addresses", "accounts", "digits", "keys"],
)
async def test_a_megabyte(tmp_path: Path, text: str) -> None:
    shields = {"s": {"params": {"rules": ["pii", {"keywords": ["foo", "bar"]}, r"regex:\bPRJ-\d+\b"]}}}
    async with guarded(tmp_path, entry("inline::rules"), shields) as stack:
        found = await violation(stack, "s", text)
        assert found is None or found.metadata["found"] > 0


async def test_odd_texts(tmp_path: Path) -> None:
    shields = {"s": {"params": {"rules": ["pii", "regex:x+", {"keywords": ["ßa"], "whole_words": False}]}}}
    async with guarded(tmp_path, entry("inline::rules"), shields) as stack:
        for text in ("", " ", "\ud800", "\ud800\udc00 \x00"):
            assert await violation(stack, "s", text) is None
        found = await violation(stack, "s", "\ud800\ud800xx \udc00ann@example.org")
        assert [(row["start"], row["end"]) for row in found.metadata["findings"]] == [(2, 4), (6, 21), (11, 12)]
        assert (await violation(stack, "s", "SSßA")).metadata["rules"] == ["keywords"]
        assert (await stack.safety.run_shield(shield_id="s", messages=[])).violation is None


async def test_the_process_ends_with_the_stack(tmp_path: Path) -> None:
    async with guarded(tmp_path, entry("inline::rules"), {"s": {"params": {"rules": ["regex:x"]}}}) as stack:
        await violation(stack, "s", "x")
        process = _matcher(stack)._process
        assert process is not None
        assert process.returncode is None
    assert process.returncode is not None


def _matcher(stack: Stack) -> Any:
    return stack.providers_by_key["safety", "rules"].instance._matcher


async def test_a_stream_guarded_by_windows_shows_nothing_of_what_is_blocked(tmp_path: Path) -> None:
    text = "Her address is ann@example.org, and " * 3
    async with guarded(tmp_path, entry("inline::rules"), {"pii": {}}) as stack:
        for size in (1, 7, 50):
            windows, shown = Windows(step=10, overlap=40), ""
            for place in range(0, len(text), size):
                for window in windows.feed(text[place : place + size]):
                    if await violation(stack, "pii", window.text) is not None:
                        break
                    shown += window.release
                else:
                    continue
                break
            assert "Her address is ann".startswith(shown)
            assert "ann" not in shown
