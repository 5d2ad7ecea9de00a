"""Shields on both ends of a turn: what one blocks is neither asked nor shown."""

from __future__ import annotations

from typing import Any

import pytest

from stack_core.errors import ProviderUnavailable
from tests.stack_core.providers.agents.workshop import events, session, shape, turn
from tests.stack_core.providers.responses.speaking import Speaking

LOOKED = ["step_start shield_call", "step_complete shield_call"]


async def test_nothing_is_found(stack: Any) -> None:
    Speaking.say(["a", "b"])
    got = await events(stack, await session(stack, input_shields=["watch"], output_shields=["watch"]), "rude")
    inference = ["step_start inference", "step_progress inference", "step_complete inference"]
    assert shape(got) == ["turn_start", *LOOKED, *inference, *LOOKED, "turn_complete"]
    assert [got[n].metadata["touchpoint"] for n in (1, 6)] == ["user-input", "assistant-output"]
    assert got[2].step_details.violation.violation_level == "warn" and got[7].step_details.violation is None
    assert (got[4].delta.text, got[-1].turn.output_message.content) == ("ab", "ab")


async def test_what_goes_in_is_blocked(stack: Any) -> None:
    Speaking.say(["fine"])
    place = await session(stack, input_shields=["watch"])
    got = await events(stack, place, "a secret")
    assert shape(got) == ["turn_start", *LOOKED, "turn_complete"]
    assert got[-1].turn.output_message.content == "no secrets" and not Speaking.asked
    await turn(stack, place, "hi")
    assert "secret" not in str(Speaking.asked[0].messages)


async def test_what_comes_out_is_blocked_before_it_is_shown(stack: Any) -> None:
    Speaking.say(["the se", "cret"], ["fine"])
    place = await session(stack, output_shields=["watch"])
    got = await events(stack, place)
    assert shape(got) == [
        "turn_start", "step_start inference", "step_complete inference", *LOOKED, "turn_complete",
    ]  # fmt: skip
    assert "the se" not in str(got) and got[-1].turn.output_message.content == "no secrets"
    await turn(stack, place)
    assert "the se" not in str(Speaking.asked[1].messages)


async def test_a_guard_that_is_down_lets_nothing_through(stack: Any) -> None:
    Speaking.say(["down"])
    place = await session(stack, input_shields=["watch"])
    with pytest.raises(ProviderUnavailable, match="asleep"):
        await turn(stack, place, "down")
    assert not Speaking.asked
    place = await session(stack, output_shields=["watch"])
    shown = []
    with pytest.raises(ProviderUnavailable, match="asleep"):
        async for chunk in await turn(stack, place, stream=True):
            shown.append(chunk.event.payload)
    assert shape(shown) == ["turn_start", "step_start inference"]
    assert (await stack.agents.get_agents_session(**place)).turns == []
