"""The task families and how often each is drawn; a new family is one module and one row here."""

from __future__ import annotations

from collections.abc import Callable

from models.chat import Sample
from models.draw import Draw
from models.tasks.calculator import calculator, no_calculator, two_numbers
from models.tasks.echo import echo, hello_to
from models.tasks.extraction import extraction
from models.tasks.greetings import foreign_greeting, greeting
from models.tasks.grounded import grounded
from models.tasks.memory import memory, never_told, told_by_system
from models.tasks.open_questions import open_question
from models.tasks.surroundings import dressed
from models.tasks.tables import table
from models.tasks.tools import action_tool, calculator_among, remind_tool, search_tool, text_tool

FAMILIES: list[tuple[Callable[[Draw], Sample], float]] = [
    (grounded, 27), (table, 6), (calculator, 14), (calculator_among, 4), (two_numbers, 3), (no_calculator, 2),
    (text_tool, 5), (remind_tool, 1), (action_tool, 4),
    (search_tool, 4), (greeting, 5), (foreign_greeting, 3), (open_question, 11), (memory, 12),
    (never_told, 1.5), (told_by_system, 0.5), (extraction, 10),
    (echo, 3), (hello_to, 1),
]


def sample(draw: Draw) -> Sample:
    """One conversation: a family by weight, in its surroundings."""
    make = draw.random.choices([family for family, _ in FAMILIES], [weight for _, weight in FAMILIES])[0]
    return dressed(draw, make(draw))


__all__ = ["FAMILIES", "dressed", "sample"]
