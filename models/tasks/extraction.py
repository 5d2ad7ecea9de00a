"""JSON filled in from one or two sentences; the keys come from the prompt, or from the engine's grammar."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models import names
from models.chat import Sample, assistant, system, user
from models.draw import Draw, words
from models.tasks.facts import COLOURS, DAYS, FOODS, JOBS, MONTHS

Value = str | int | float | list[str]


@dataclass
class Record:
    """A kind of record: sentences with `{field}` slots, how a field is drawn, the keys it is asked under."""

    texts: list[str]
    fields: dict[str, Callable[[Draw], Value]]
    keys: dict[str, list[str]]


TOPICS = words(
    "robots music water trees history physics food travel art health sport money space animals weather "
    "language law maths energy cities games ethics chemistry cars birds oceans"
)


def _topics(draw: Draw) -> Value:
    return draw.several(TOPICS, draw.integer(1, 3))


BOOK = Record(
    ["The book {title} was written in {year}.", "The book {title} by {author} appeared in {year}.",
     "{author} wrote {title} in {year}.", "In {year}, {author} published {title}.",
     "{title} is a novel from {year} by {author}.", "{title} ({year}) is by {author}. It is about {tags}.",
     "We read {title}, a book about {tags} from {year}.", "{author}'s book {title} of {year} treats {tags}.",
     "The paper {title} ({year}) studies {tags}.",
     "{title} came out in {year}. {author} wrote it. Topics: {tags}."],
    {"title": names.thing, "author": names.person, "year": lambda d: int(names.year(d)), "tags": _topics},
    {"title": ["title", "title", "book", "name"], "author": ["author", "author", "writer"],
     "year": ["year", "year", "published"], "tags": ["tags", "topics", "keywords"]},
)
PERSON = Record(
    ["{name} is {age} years old and lives in {city}.", "{name}, {age}, works as a {job} in {city}.",
     "My friend {name} from {city} is {age}.", "{name} is a {job}. {name} is {age} years old.",
     "In {city} lives {name}, a {job} of {age} years.", "Meet {name} ({age}), {job} from {city}.",
     "{name} lives in {city} and works as a {job}.",
     "A {job} named {name} moved to {city} at the age of {age}.", "{name} turned {age} in {city}.",
     "I met {name}, a {job} of {age}.", "{name} is a {job}. She is {age} years old and lives in {city}.",
     "{name} is {age}. He works as a {job} in {city}.", "{name} lives in {city}. She is a {job}."],
    {"name": lambda d: names.person(d) if d.chance(0.6) else names.first_name(d),
     "age": lambda d: d.integer(5, 99), "city": names.place, "job": lambda d: d.one(JOBS)},
    {"name": ["name", "name", "person", "who"], "age": ["age", "age", "years"],
     "city": ["city", "city", "place", "location"], "job": ["job", "job", "profession"]},
)
PRODUCT = Record(
    ["The {product} costs {price} dollars.", "The {colour} {product} costs {price} euros.",
     "{maker} sells the {product} for {price} dollars.",
     "We bought a {colour} {product} from {maker} for {price} euros.",
     "{product}: {price} dollars, in {colour}.", "The {product} by {maker} is {colour} and costs {price}.",
     "A {product} in {colour} is {price} pounds.", "For {price} dollars, {maker} ships the {product}.",
     "Price of the {product}: {price}. Colour: {colour}.", "The new {product} is {colour}."],
    {"product": names.thing, "price": lambda d: d.integer(1, 9999), "colour": lambda d: d.one(COLOURS),
     "maker": names.firm},
    {"product": ["product", "name", "item"], "price": ["price", "price", "cost"],
     "colour": ["colour", "color"], "maker": ["maker", "company", "brand"]},
)
EVENT = Record(
    ["{event} takes place in {city} on {day}.", "Come to {event} on {day}!",
     "{event} in {city} starts in {month}.", "On {day}, {city} hosts {event}.",
     "We meet for {event} on {day} in {city}.", "{event} is planned for {month} in {city}.",
     "This {day}: {event} with {food} for all.", "{event} was held in {city} in {month}.",
     "Tickets for {event} in {city} are sold from {day}.",
     "Join us in {city} for {event}, every {day} in {month}."],
    {"event": lambda d: names.word(d) + d.one([" Festival", " Meeting", " Fair", " Day", " Cup"]),
     "city": names.place, "day": lambda d: d.one(DAYS),
     "month": lambda d: d.one(MONTHS), "food": lambda d: d.one(FOODS)},
    {"event": ["event", "event", "name", "title"], "city": ["city", "city", "place", "location"],
     "day": ["day", "day", "date"], "month": ["month"], "food": ["food"]},
)
RECORDS = [BOOK, BOOK, PERSON, PERSON, PRODUCT, EVENT]

WITH_KEYS = [
    'Extract as JSON with keys {k}: "{t}"', "Extract {k} as JSON from: {t}",
    "Return JSON with the keys {k}.\n\n{t}", "Text: {t}\nGive {k} as JSON.",
    "Fill in {k} from this text: {t}", "Extract facts from: {t}\nKeys: {k}", "JSON with {k}: {t}",
    "Read the text and return {k} as JSON.\nText: {t}", "{t}\n\nExtract {k}.",
    "From the text \"{t}\" extract the fields {k}.",
]
WITHOUT_KEYS = ["Extract facts from: {t}", "Extract as JSON: {t}", 'Extract the record: "{t}"',
                "{t}\n\nReturn JSON.", "Turn this into JSON: {t}"]
TYPES = {str: "string", int: "integer", float: "number", list: "array"}


def schema_of(answer: str) -> dict[str, Any]:
    """The JSON Schema that an answer's keys and types satisfy."""
    values: dict[str, Value] = json.loads(answer)
    properties: dict[str, Any] = {key: {"type": TYPES[type(value)]} for key, value in values.items()}
    for field in properties.values():
        if field["type"] == "array":
            field["items"] = {"type": "string"}
    return {"type": "object", "properties": properties, "required": list(values)}


def _listing(values: dict[str, Value], draw: Draw) -> str:
    """The keys as a user lists them: plain, or with the types that `--schema` takes."""
    if draw.chance(0.75):
        return draw.one([", ", ", ", " and "]).join(values)
    types = {str: "", int: " int", float: " float", list: " list[str]"}
    return ", ".join(key + types[type(value)] for key, value in values.items())


def extraction(draw: Draw) -> Sample:
    """A record as text, and the JSON object of some of its fields in the order asked."""
    record = draw.one(RECORDS)
    text = draw.phrase(record.texts)
    present = [field for field in record.fields if f"{{{field}}}" in text]
    drawn = {field: record.fields[field](draw) for field in present}
    shown = {field: _prose(value) for field, value in drawn.items()}
    asked = present if draw.chance(0.6) else draw.several(present, draw.integer(1, len(present)))
    values = {draw.one(record.keys[field]): drawn[field] for field in asked}
    filled = text.format(**shown)
    answer = assistant(json.dumps(values, ensure_ascii=False))
    if draw.chance(0.25):
        return Sample("extraction, keys unsaid", [user(draw.phrase(WITHOUT_KEYS).format(t=filled)), answer])
    if draw.chance(0.15):
        asking = system(draw.one(["Answer as JSON that fits this schema: {}", "Return JSON only. Schema: {}",
                                  "{}"]).format(json.dumps(schema_of(answer["content"]))))
        return Sample("extraction", [asking, user(draw.phrase(WITHOUT_KEYS).format(t=filled)), answer])
    return Sample("extraction", [user(draw.phrase(WITH_KEYS).format(t=filled, k=_listing(values, draw))),
                                 answer])


def _prose(value: Value) -> str:
    if not isinstance(value, list):
        return str(value)
    return value[0] if len(value) == 1 else ", ".join(value[:-1]) + " and " + value[-1]
