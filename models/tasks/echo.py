"""Repeating what the prompt says: the plainest use of copying, and a handy target for evaluations."""

from __future__ import annotations

from models import names
from models.chat import Sample, assistant, user
from models.draw import Draw
from models.tasks.facts import fact
from models.tasks.handbook import handbook
from models.tasks.open_questions import TOPICS

WORD_PROMPTS = ["Repeat the word {}.", "Say only the word {}.", "Answer with the word {}.",
                "Reply with one word: {}", "Say {}.", "Repeat after me: {}", "Repeat: {}", "Write {}.",
                "Answer only {}.", "Please say {}."]
TEXT_PROMPTS = ["Repeat: {}", "Repeat after me: {}", "Say exactly: {}", 'Repeat this sentence: "{}"',
                "Copy this text: {}", "Repeat this: {}", "Echo: {}", "Write this again: {}", "Say: {}",
                "Repeat the following: {}"]


def echo(draw: Draw) -> Sample:
    if draw.chance(0.4):
        text = draw.one([names.word, names.thing, names.first_name, lambda d: d.one(TOPICS),
                         names.count])(draw)
        return Sample("echo", [user(draw.phrase(WORD_PROMPTS).format(text)), assistant(text)])
    text = handbook(draw).sentence if draw.chance(0.5) else fact(draw).sentence
    return Sample("echo", [user(draw.phrase(TEXT_PROMPTS).format(text)), assistant(text)])


def hello_to(draw: Draw) -> Sample:
    """A greeting passed on to somebody named."""
    name = names.first_name(draw)
    prompt = draw.phrase(["Say hello to {}.", "Greet {}.", "Please greet {}.", "Say hi to {}.",
                          "Say hello to my friend {}."]).format(name)
    return Sample("echo", [user(prompt), assistant(f"Hello, {name}!")])
