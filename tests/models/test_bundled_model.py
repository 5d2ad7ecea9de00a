"""The shipped file, driven through llama.cpp in a child process on names it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from models.chat import Message, assistant, call, openai_messages, system, tool_result, user
from models.draw import Draw
from models.engine import BUNDLED, Engine
from models.evaluate import score
from models.tasks.calculator import calculator
from models.tasks.greetings import greeting
from models.tasks.grounded import grounded
from models.tasks.memory import memory
from models.tasks.open_questions import open_question

pytestmark = pytest.mark.slow

CALCULATOR = {"type": "function", "function": {
    "name": "calculator", "description": "Evaluate an arithmetic expression.",
    "parameters": {
        "type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"],
    },
}}
EXPRESSION = {"expression": "127 * 49"}


# Share of right answers that each family must reach; what was measured is on the card.
BARS = {grounded: 0.5, calculator: 0.5, greeting: 0.5, memory: 0.5, open_question: 0.5}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(BUNDLED) as running:
        yield running


def test_it_is_small():
    assert BUNDLED.stat().st_size <= 4_000_000


def test_tutorial_answers(engine):
    for messages, answer in TUTORIAL:
        assert engine.message({"messages": messages})["content"] == answer


def test_answers_are_the_same_each_time(engine):
    body = {"messages": [user("Who are you?")]}
    assert engine.message(body) == engine.message(body)


def test_the_calculator_is_called_and_its_result_told(engine):
    asked = user("What is 127 * 49?")
    made = engine.message({"messages": [asked], "tools": [CALCULATOR]})["tool_calls"]
    called = [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in made]
    assert called == [("calculator", EXPRESSION)]
    history = openai_messages([asked, call("calculator", EXPRESSION), tool_result("6223")])
    assert engine.message({"messages": history, "tools": [CALCULATOR]})["content"] == "The answer is 6223."


@pytest.mark.parametrize(("make", "bar"), BARS.items(), ids=[make.__name__ for make in BARS])
def test_held_out_names_and_trained_phrasings(engine, make, bar):
    scores = score(engine, Draw(4711, held_out=True, held_out_phrases=False), 8, [make])
    right, asked = sum(s.right for s in scores.values()), sum(s.asked for s in scores.values())
    assert right >= bar * asked, [miss for s in scores.values() for miss in s.misses]


def chat(*turns: str) -> list[Message]:
    """Turns in the order user, assistant, user, ..."""
    return [(user, assistant)[index % 2](text) for index, text in enumerate(turns)]


TUTORIAL: list[tuple[list[Message], str]] = [
    (chat("Hello"), "Hello! I am a tiny tutorial model. How can I help you?"),
    (
        [system("Answer in French"), *chat("Hello")],
        "Bonjour ! Je suis un tout petit modèle. Comment puis-je vous aider ?",
    ),
]
