"""Expressions that callers send: quick ones run, slow ones are refused."""

from __future__ import annotations

import pytest

from stack_core.errors import InvalidRequest
from stack_core.telemetry.patterns import compiled


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("llama.*", "llama3.2:3b"),
        (".*8[bB].*", "meta-llama/Llama-Guard-3-8B"),
        ("(ollama|vllm)/.+", "vllm/x"),
        ("(?:openai/)?gpt-4o?", "openai/gpt-4"),
        (r"[^(]+\(\d{1,3}\)", "a(12)"),
        ("[]*+]+", "*+]"),
        ("a|b|c|d|e|f", "d"),
        ("", ""),
    ],
)
def test_what_is_quick_runs(text: str, fits: str) -> None:
    assert compiled(text, "x").fullmatch(fits)


@pytest.mark.parametrize(
    "text",
    ["(a+)+b", "(a|a)*b", "((a*))*b", "(a?){40}", "a?" * 30, "(a|a)" * 20, ".*.*.*.*b", r"(a)\1*", "a" * 600],
)
def test_what_could_be_slow_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"x: .* could take too long"):
        compiled(text, "x")


@pytest.mark.parametrize("text", ["(", "*", "[a", "a{9999999999999}", ")"])
def test_what_is_none_is_told(text: str) -> None:
    with pytest.raises(InvalidRequest, match="no regular expression"):
        compiled(text, "x")
