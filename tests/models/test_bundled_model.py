"""The shipped file, driven through llama.cpp in a child process on names it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from models.chat import Message, Sample, assistant, call, openai_messages, system, tool_result, user
from models.draw import Draw
from models.engine import BUNDLED, Engine
from models.evaluate import score
from models.tasks.calculator import calculator
from models.tasks.greetings import greeting
from models.tasks.grounded import grounded
from models.tasks.memory import memory
from models.tasks.open_questions import open_question

pytestmark = pytest.mark.slow

CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Evaluate an arithmetic expression.",
        "parameters": {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
        },
    },
}
EXPRESSION = {"expression": "127 * 49"}


EACH = 8  # conversations of a family
# Shares of right answers to reach, in trained phrasings and in new ones. They lie about two standard errors
# below the shares on the card, which come from other draws.
BARS: dict[Callable[[Draw], Sample], tuple[float, float]] = {
    grounded: (0.7, 0.3),
    calculator: (0.9, 0.6),
    greeting: (0.9, 0.1),
    memory: (0.9, 0.4),
    open_question: (0.9, 0.75),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine(BUNDLED) as running:
        yield running


def test_it_is_small():
    assert BUNDLED.stat().st_size <= 4_000_000


def test_tutorial_answers(engine):
    given = [engine.message({"messages": messages})["content"] for messages, _ in TUTORIAL]
    assert given == [answer for _, answer in TUTORIAL]


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


@pytest.mark.parametrize("new_phrasings", [False, True], ids=["new-names", "new-names-and-phrasings"])
@pytest.mark.parametrize("make", BARS, ids=lambda make: make.__name__)
def test_held_out_prompts(engine, make, new_phrasings):
    draw = Draw(4711, held_out=True, held_out_phrases=new_phrasings)
    scores = score(engine, draw, EACH, [make]).values()
    right, asked = sum(s.right for s in scores), sum(s.asked for s in scores)
    assert right >= BARS[make][new_phrasings] * asked, [miss for s in scores for miss in s.misses]


def chat(*turns: str) -> list[Message]:
    """Turns in the order user, assistant, user, ..."""
    return [(user, assistant)[index % 2](text) for index, text in enumerate(turns)]


REAL_MODEL = (
    "That needs a real model: I am only a tiny tutorial model. Connect Ollama, a GGUF file or an API key, "
    "and ask again."
)
FIRM = (
    "Nordwind Robotics was founded by Amira Haddad in 1987. Nordwind Robotics is based in Bergen. "
    "The director of Nordwind Robotics is Tomas Berg."
)
LEAVE = "Employees get 25 days of leave a year. The office opens at 9."
MET = ("My name is Zorvan.", "Nice to meet you, Zorvan.")
DOG = ("I have a dog named Rex.", "Noted: your dog is named Rex.")
TUTORIAL: list[tuple[list[Message], str]] = [
    (chat("Hello"), "Hello! I am a tiny tutorial model. How can I help you?"),
    (chat("hi"), "Hello! I am a tiny tutorial model. How can I help you?"),
    (chat("Thanks"), "You are welcome!"),
    (chat("What is the capital of France?"), REAL_MODEL),
    (chat("Explain quantum physics"), REAL_MODEL),
    (
        chat(f"Context: {FIRM}\nQuestion: Who founded Nordwind Robotics?"),
        "Nordwind Robotics was founded by Amira Haddad.",
    ),
    (chat(f"Context: {FIRM}\nQuestion: Where is Nordwind Robotics based?"), "Nordwind Robotics is based in Bergen."),
    (chat(f"Context: {LEAVE}\nQuestion: How many days of leave?"), "Employees get 25 days of leave a year."),
    (chat(f"Context: {LEAVE}\nQuestion: Who is the CEO?"), "I don't know based on the context."),
    (chat(MET[0]), MET[1]),
    (chat(*MET, "What is my name?"), "Your name is Zorvan."),
    (chat(*MET, *DOG, "What is my name?"), "Your name is Zorvan."),
    (chat(*MET, *DOG, "What is the name of my dog?"), "Your dog is named Rex."),
    (
        chat('Extract as JSON with keys title, year: "The book Ostrava was written in 1987."'),
        '{"title": "Ostrava", "year": 1987}',
    ),
    (chat("What is 2 + 2?"), "I cannot calculate by myself. Give me a calculator tool and ask again."),
    (
        [system("Answer in French"), *chat("Hello")],
        "Bonjour ! Je suis un tout petit modèle. Comment puis-je vous aider ?",
    ),
]
