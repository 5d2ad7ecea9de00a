"""Facts a user tells in one turn and asks for in a later one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models import names
from models.chat import Message, Sample, assistant, system, user
from models.draw import Draw
from models.tasks.facts import ANIMALS, COLOURS, DAYS, FOODS, JOBS, MONTHS
from models.tasks.greetings import SMALL_TALK

NOT_TOLD = "You have not told me that yet."


@dataclass
class Note:
    """One thing a user may tell: ways to say it, the reply, ways to ask, the answer. `{v}` is the value."""

    value: Callable[[Draw], str]
    tell: list[str]
    reply: str
    ask: list[str]
    answer: str


def _favourite(trait: str, values: list[str]) -> Note:
    return Note(
        lambda d: d.one(values),
        [f"My favourite {trait} is {{v}}.", f"My favorite {trait} is {{v}}",
         f"I like the {trait} {{v}} best.", f"{{v}} is my favourite {trait}.",
         f"The {trait} I like most is {{v}}."],
        f"Noted: your favourite {trait} is {{v}}.",
        [f"What is my favourite {trait}?", f"What is my favorite {trait}?", f"Which {trait} do I like best?",
         f"Tell me my favourite {trait}.",
         f"Do you know my favourite {trait}?"],
        f"Your favourite {trait} is {{v}}.",
    )


def _pet(animal: str) -> Note:
    return Note(
        names.word,
        [f"I have a {animal} named {{v}}.", f"I have a {animal} called {{v}}", f"My {animal} is named {{v}}.",
         f"The name of my {animal} is {{v}}.",
         f"My {animal} is called {{v}}."],
        f"Noted: your {animal} is named {{v}}.",
        [f"What is the name of my {animal}?", f"What is my {animal} called?", f"What's my {animal}'s name?",
         f"How is my {animal} called?",
         f"What is my {animal} named?"],
        f"Your {animal} is named {{v}}.",
    )


NAME = Note(
    lambda d: names.first_name(d) if d.chance(0.7) else names.person(d),
    ["My name is {v}.", "I am {v}.", "I'm {v}", "Hi, my name is {v}.", "Call me {v}.", "Hello, I am {v}.",
     "my name is {v}", "You can call me {v}.", "Hi! I'm {v}.", "This is {v} speaking."],
    "Nice to meet you, {v}.",
    ["What is my name?", "Who am I?", "Do you remember my name?", "What's my name?", "Say my name.",
     "What am I called?", "Do you know my name?", "Tell me my name.", "what is my name",
     "Can you tell me my name?"],
    "Your name is {v}.",
)
NOTES: list[Note] = [
    NAME, NAME, NAME,
    Note(names.place,
         ["I live in {v}.", "My home is in {v}.", "I am living in {v}", "I come from {v}.", "My city is {v}.",
          "I moved to {v}."],
         "Noted: you live in {v}.",
         ["Where do I live?", "In which city do I live?", "Where is my home?", "Which city do I live in?",
          "Tell me where I live.", "What is my city?"],
         "You live in {v}."),
    Note(lambda d: d.one(JOBS),
         ["I work as a {v}.", "I am a {v}.", "My job is {v}.", "I'm a {v} by profession.",
          "I earn my living as a {v}."],
         "Noted: you work as a {v}.",
         ["What is my job?", "What do I do?", "What do I work as?", "What is my profession?",
          "What do I do for a living?"],
         "You work as a {v}."),
    Note(lambda d: str(d.integer(5, 99)),
         ["I am {v} years old.", "My age is {v}.", "I'm {v} years old", "I turned {v} today.",
          "I am {v}, by the way."],
         "Noted: you are {v} years old.",
         ["How old am I?", "What is my age?", "Do you know how old I am?", "Tell me my age.",
          "What's my age?"],
         "You are {v} years old."),
    Note(names.thing,
         ["The code is {v}.", "Remember the code {v}.", "Please remember that the code is {v}.",
          "My code is {v}.", "Keep this code: {v}"],
         "Noted: the code is {v}.",
         ["What is the code?", "What was the code?", "Tell me the code.", "Which code did I give you?",
          "Do you remember the code?"],
         "The code is {v}."),
    Note(lambda d: d.one(DAYS),
         ["The meeting is on {v}.", "Remember that the meeting is on {v}.", "Our meeting is on {v}.",
          "We meet on {v}.", "Note that the meeting is on {v}."],
         "Noted: the meeting is on {v}.",
         ["When is the meeting?", "On which day is the meeting?", "What day is our meeting?",
          "When do we meet?", "Which day is the meeting?"],
         "The meeting is on {v}."),
    Note(names.place,
         ["I am planning a trip to {v}.", "I am going to {v} in summer.", "We will travel to {v}.",
          "My next trip is to {v}.", "I want to visit {v}."],
         "Noted: you are going to {v}.",
         ["Where am I going?", "Where is my trip to?", "Where do I travel?", "What is the goal of my trip?",
          "Which place do I want to visit?"],
         "You are going to {v}."),
    Note(names.person,
         ["My teacher is {v}.", "My teacher is called {v}.", "I have a teacher named {v}.",
          "The name of my teacher is {v}.", "{v} is my teacher."],
         "Noted: your teacher is {v}.",
         ["Who is my teacher?", "What is the name of my teacher?", "What is my teacher called?",
          "Tell me who my teacher is.", "Do you know my teacher?"],
         "Your teacher is {v}."),
    Note(names.word,
         ["The secret word is {v}.", "Remember the secret word {v}.", "My secret word is {v}.",
          "Keep the secret word {v} in mind.", "The magic word is {v}."],
         "Noted: the secret word is {v}.",
         ["What is the secret word?", "Tell me the secret word.", "What was the secret word?",
          "Do you remember the secret word?", "Which word is secret?"],
         "The secret word is {v}."),
    Note(names.count,
         ["My lucky number is {v}.", "Remember the number {v}.", "The number is {v}.",
          "Keep the number {v} in mind.", "I chose the number {v}."],
         "Noted: the number is {v}.",
         ["What is the number?", "Which number did I choose?", "What was my number?", "Tell me the number.",
          "Do you remember the number?"],
         "The number is {v}."),
    Note(lambda d: d.one(MONTHS),
         ["My birthday is in {v}.", "I was born in {v}.", "I have my birthday in {v}.",
          "We celebrate my birthday in {v}.", "My birthday comes in {v}."],
         "Noted: your birthday is in {v}.",
         ["When is my birthday?", "In which month is my birthday?", "Which month was I born in?",
          "When was I born?", "Tell me when my birthday is."],
         "Your birthday is in {v}."),
    Note(names.firm,
         ["I work for {v}.", "I work at {v}.", "My company is {v}.", "I am employed by {v}.",
          "My employer is {v}."],
         "Noted: you work for {v}.",
         ["Where do I work?", "Which company do I work for?", "Who is my employer?", "For whom do I work?",
          "What is my company?"],
         "You work for {v}."),
    Note(names.first_name,
         ["My brother is named {v}.", "I have a brother named {v}.", "My brother is {v}.",
          "The name of my brother is {v}.", "My brother is called {v}."],
         "Noted: your brother is named {v}.",
         ["What is the name of my brother?", "Who is my brother?", "What is my brother called?",
          "How is my brother named?", "What's my brother's name?"],
         "Your brother is named {v}."),
    Note(names.first_name,
         ["My sister is named {v}.", "I have a sister named {v}.", "My sister is {v}.",
          "The name of my sister is {v}.", "My sister is called {v}."],
         "Noted: your sister is named {v}.",
         ["What is the name of my sister?", "Who is my sister?", "What is my sister called?",
          "How is my sister named?", "What's my sister's name?"],
         "Your sister is named {v}."),
]


def _notes(draw: Draw, count: int) -> list[Note]:
    """`count` different notes, the open families (favourites, pets) drawn anew."""
    pool = [*NOTES[2:], _favourite("colour", COLOURS), _favourite("food", FOODS), _favourite("day", DAYS),
            _favourite("animal", ANIMALS),
            *(_pet(animal) for animal in draw.several(ANIMALS, 2))]
    chosen = draw.several(pool, count)
    if NAME not in chosen and draw.chance(0.3):
        chosen[0] = NAME
    return chosen


def _pair(question: str, answer: str) -> list[Message]:
    return [user(question), assistant(answer)]


def memory(draw: Draw) -> Sample:
    """One to three notes told, small talk between, then some asked for; at times one that was never told."""
    told, absent = _notes(draw, draw.integer(2, 4)), draw.chance(0.15)
    hidden = told.pop()
    messages: list[Message] = []
    answers: list[tuple[Note, str]] = []
    for note in told:
        if draw.chance(0.2):
            answer, prompts = draw.one(SMALL_TALK)
            messages += _pair(draw.phrase(prompts), answer)
        value = note.value(draw)
        said = draw.phrase(note.tell).format(v=value)
        messages += _pair(said[0].upper() + said[1:] if said.startswith(value) else said,
                          note.reply.format(v=value))
        answers.append((note, value))
    if draw.chance(0.15):  # a correction: the last value told is the one that holds
        note, value = answers.pop()
        fresh = note.value(draw)
        messages += _pair("Actually, " + _lower(draw.phrase(note.tell)).format(v=fresh),
                          note.reply.format(v=fresh))
        answers.append((note, fresh))
    if draw.chance(0.2):
        answer, prompts = draw.one(SMALL_TALK)
        messages += _pair(draw.phrase(prompts), answer)
    for note, value in draw.several(answers, draw.integer(1, len(answers))):
        messages += _pair(draw.phrase(note.ask), note.answer.format(v=value))
    if absent and hidden not in told:
        messages += _pair(draw.phrase(hidden.ask), NOT_TOLD)
    return Sample("memory", messages)


def _lower(text: str) -> str:
    return text if text.startswith(("I", "{")) else text[0].lower() + text[1:]


def told_by_system(draw: Draw) -> Sample:
    """What the system message says about the user, asked for at once."""
    name = names.person(draw) if draw.chance(0.3) else names.first_name(draw)
    said = draw.phrase(["The user's name is {}.", "You are talking to {}.", "The user is {}.",
                        "The user is called {}.", "You help {}.", "Your user is {}.",
                        "The name of the user is {}."]).format(name)
    return Sample("memory", [system(said), *_pair(draw.phrase(NAME.ask), NAME.answer.format(v=name))])


def never_told(draw: Draw) -> Sample:
    """A question about the user as the first turn."""
    note = draw.one(_notes(draw, 3))
    return Sample("not told", _pair(draw.phrase(note.ask), NOT_TOLD))
