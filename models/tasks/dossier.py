"""Several facts about one person or thing, told with its name or a pronoun, and questions left unanswered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from models import names
from models.draw import Draw
from models.tasks.facts import ATTRIBUTES, COLOURS, FOODS, GOODS, JOBS, NOUNS, Fact, answered, named, start


@dataclass
class Relation:
    """What may be said of a subject `{s}`; `{v}` is the value and `{w}` a word that names the relation."""

    sentence: str
    value: Callable[[Draw], str]
    questions: list[str]
    words: list[str] = field(default_factory=lambda: [""])
    answer: str = ""  # the sentence itself where nothing else is given


def _colour(draw: Draw) -> str:
    return draw.one(COLOURS)


def _food(draw: Draw) -> str:
    return draw.one(FOODS)


def _job(draw: Draw) -> str:
    return draw.one(JOBS)


def _age(draw: Draw) -> str:
    return str(draw.integer(5, 99))


def _hour(draw: Draw) -> str:
    return str(draw.integer(5, 23))


def _mixed(draw: Draw) -> str:
    return draw.one([names.person, names.place, names.thing, names.count, names.word, _colour])(draw)


FAMILY = ["cat", "dog", "parrot", "horse", "son", "daughter", "boat", "brother", "sister"]
THING = [
    Relation("{s} was founded by {v}.", names.person, [
        "Who founded {s}?", "Who is the founder of {s}?", "By whom was {s} founded?", "Who started {s}?",
        "Name the founder of {s}.",
    ]),
    Relation("{s} was founded in {v}.", names.year, [
        "When was {s} founded?", "In which year was {s} founded?", "What year was {s} founded?",
        "When did {s} start?", "How long has {s} been there?",
    ]),
    Relation("{s} is based in {v}.", names.place, [
        "Where is {s} based?", "Where is {s}?", "In which city is {s}?", "Where can I find {s}?",
        "In which place is {s} based?",
    ]),
    Relation("The {w} of {s} is {v}.", _mixed, [
        "What is the {w} of {s}?", "Who is the {w} of {s}?", "Tell me the {w} of {s}.",
        "Name the {w} of {s}.", "What's the {w} of {s}?",
    ], words=ATTRIBUTES),
    Relation("{s} has {v} {w}.", names.count, [
        "How many {w} does {s} have?", "How many {w} are there?", "What number of {w} does {s} have?",
        "How many {w} has {s}?", "Tell me how many {w} {s} has.",
    ], words=GOODS),
    Relation("{s} has a {w} called {v}.", names.word, [
        "What is the name of the {w}?", "What is the {w} called?", "How is the {w} of {s} called?",
        "What is the {w} of {s} called?", "Name the {w} of {s}.",
    ], words=NOUNS, answer="The {w} is called {v}."),
    Relation("{s} opens at {v}.", _hour, [
        "When does {s} open?", "At what time does {s} open?", "From when is {s} open?",
        "What time does {s} open?", "When can I go to {s}?",
    ]),
    Relation("{s} belongs to {v}.", names.person, [
        "To whom does {s} belong?", "Who owns {s}?", "Who is the owner of {s}?", "Whose is {s}?",
        "Name the owner of {s}.",
    ]),
    Relation("{s} sells {v}.", _food, [
        "What does {s} sell?", "What can I buy from {s}?", "What is sold by {s}?",
        "Which goods does {s} sell?", "What does {s} offer?",
    ]),
    Relation("{s} was closed in {v}.", names.year, [
        "When was {s} closed?", "In which year was {s} closed?", "What year was {s} closed?",
        "When did {s} close?", "Since when is {s} closed?",
    ]),
]
PERSON = [
    Relation("{s} works as a {v}.", _job, [
        "What does {s} do?", "What is the job of {s}?", "What does {s} work as?", "What is {s}'s job?",
        "What is the profession of {s}?",
    ]),
    Relation("{s} lives in {v}.", names.place, [
        "Where does {s} live?", "In which city does {s} live?", "Where is {s} living?",
        "Which city does {s} live in?", "Where is the home of {s}?",
    ]),
    Relation("{s} is {v} years old.", _age, [
        "How old is {s}?", "What is the age of {s}?", "Tell me the age of {s}.", "What is {s}'s age?",
        "How many years old is {s}?",
    ]),
    Relation("{s} was born in {v}.", names.year, [
        "When was {s} born?", "In which year was {s} born?", "What year was {s} born?", "When is {s} born?",
        "What is the birth year of {s}?",
    ]),
    Relation("{s} works for {v}.", names.firm, [
        "Who does {s} work for?", "For whom does {s} work?", "Which company does {s} work for?",
        "Who is the employer of {s}?", "Where does {s} work?",
    ]),
    Relation("{s} has a {w} named {v}.", names.word, [
        "What is the name of {s}'s {w}?", "What is the {w} of {s} called?", "How is {s}'s {w} named?",
        "What is the {w} called?", "Name the {w} of {s}.",
    ], words=FAMILY, answer="The {w} is named {v}."),
    Relation("{s} likes {v}.", _food, [
        "What does {s} like?", "Which food does {s} like?", "What is the favourite of {s}?",
        "What does {s} eat?", "What would {s} like?",
    ]),
    Relation("{s} studied in {v}.", names.place, [
        "Where did {s} study?", "In which city did {s} study?", "Where was {s} a student?",
        "Which city did {s} study in?", "At which place did {s} study?",
    ]),
    Relation("{s} wrote {v}.", names.thing, [
        "What did {s} write?", "Which book did {s} write?", "What is the book of {s}?",
        "What was written by {s}?", "Name the book of {s}.",
    ]),
]


def _told(draw: Draw, relation: Relation, subject: str, pronoun: str) -> Fact:
    """The relation with its slots filled; `pronoun` stands for the subject where it begins the sentence."""
    slots = {"s": subject, "v": relation.value(draw), "w": draw.one(relation.words)}
    opening = pronoun if pronoun and relation.sentence.startswith("{s}") else start(subject)
    said = relation.sentence.format(**{**slots,
                                       "s": opening if relation.sentence.startswith("{s}") else subject})
    answer = start((relation.answer or relation.sentence).format(**slots))
    asked = draw.phrase(relation.questions).format(**slots)
    return answered(said, (start(asked), answer, slots["v"]))


def dossier(draw: Draw, count: int) -> tuple[list[Fact], list[str]]:
    """`count` facts about one subject, and questions about it that they leave open."""
    human = draw.chance(0.4)
    subject = names.person(draw) if human else draw.one([names.firm, names.firm, named, names.place])(draw)
    relations = draw.several(PERSON if human else THING, count + 2)
    pronoun = draw.one(["", "", "She", "He"] if human else ["", "", "It"])
    facts = [_told(draw, relation, subject, pronoun if index else "") for index,
             relation in enumerate(relations)]
    return facts[:count], [question for fact in facts[count:] for question, _ in fact.questions]
