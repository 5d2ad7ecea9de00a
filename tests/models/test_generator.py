"""The data generator: seeded, split, and true to what it claims about its own samples."""

from __future__ import annotations

import json
import re

import pytest

from models.chat import Sample, render
from models.draw import Draw, is_held_out
from models.names import CITIES, FIRST_NAMES, LAST_NAMES, word
from models.tasks import FAMILIES, sample
from models.tasks.calculator import calculator
from models.tasks.extraction import extraction
from models.tasks.grounded import UNKNOWN, grounded
from models.tasks.memory import memory
from models.tasks.open_questions import ASKS
from models.tasks.tables import table

CAPITALISED = re.compile(r"[A-Z][A-Za-z]*\d*")
UNFILLED = re.compile(r"\{[a-zA-Z0-9]?\}")


def drawn(make, count=200, **split) -> list[Sample]:
    draw = Draw(7, **split)
    return [make(draw) for _ in range(count)]


def last_answer(item: Sample) -> str:
    return item.messages[-1]["content"]


def said_before(item: Sample) -> str:
    return "\n".join(message["content"] for message in item.messages[:-1])


def test_the_same_seed_draws_the_same_samples():
    assert drawn(sample, 50) == drawn(sample, 50)


@pytest.mark.parametrize("held_out", [False, True])
def test_names_stay_on_their_side(held_out):
    draw = Draw(1, held_out=held_out)
    assert {is_held_out(word(draw)) for _ in range(500)} == {held_out}


@pytest.mark.parametrize("real_names", [CITIES, FIRST_NAMES, LAST_NAMES], ids=["cities", "first", "last"])
def test_both_sides_have_real_names(real_names):
    assert {is_held_out(name) for name in real_names} == {True, False}


def test_phrasings_are_split():
    seen, kept = Draw(1), Draw(1, held_out=True)
    trained = {seen.phrase(ASKS) for _ in range(5000)}
    evaluated = {kept.phrase(ASKS) for _ in range(5000)}
    assert trained.isdisjoint(evaluated)
    assert trained | evaluated == set(ASKS)


def test_new_names_can_be_asked_in_trained_phrasings():
    draw = Draw(1, held_out=True, held_out_phrases=False)
    phrases = {draw.phrase(ASKS) for _ in range(2000)}
    assert phrases <= {Draw(seed).phrase(ASKS) for seed in range(5000)}


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("make", [make for make, _ in FAMILIES], ids=lambda make: make.__name__)
def test_every_family_fills_its_slots(make, held_out):
    for item in drawn(make, held_out=held_out):
        text = render(item.messages, item.tools)
        assert not UNFILLED.search(text), text
        assert item.messages[-1]["role"] == "assistant"
        assert item.messages[item.start]["role"] in {"system", "user"}


@pytest.mark.parametrize("make", [grounded, table], ids=["grounded", "table"])
def test_a_grounded_answer_stands_in_the_prompt(make):
    for item in drawn(make):
        if last_answer(item) != UNKNOWN:
            names = set(CAPITALISED.findall(last_answer(item))) - {"The", "It"}
            lowered = said_before(item).lower()
            assert all(name.lower() in lowered for name in names), item


def test_some_questions_have_no_answer_in_the_context():
    absent = [item for item in drawn(grounded) if item.task == "absent"]
    assert 10 < len(absent) < 80
    assert all(UNKNOWN in [m["content"] for m in item.messages] for item in absent)


def test_a_call_fits_the_declared_tool():
    for item in drawn(calculator):
        made = item.messages[1]["tool_calls"][0]["function"]
        declared = item.tools[0]["function"]
        assert made["name"] == declared["name"]
        assert list(made["arguments"]) == declared["parameters"]["required"]
        (expression,) = made["arguments"].values()
        asked = item.messages[0]["content"]
        assert all(number in asked for number in re.findall(r"\d+", expression))


def test_extracted_values_stand_in_the_text():
    for item in drawn(extraction):
        text = item.messages[-2]["content"]
        for value in json.loads(last_answer(item)).values():
            parts = value if isinstance(value, list) else [str(value)]
            assert all(part in text for part in parts), item


def test_what_is_remembered_was_told():
    for item in drawn(memory):
        names = set(CAPITALISED.findall(last_answer(item))) - {"You", "Your", "The", "Noted", "Nice"}
        assert all(name in said_before(item) for name in names), item
