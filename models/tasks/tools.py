"""Tools with one or two plain arguments (weather, look-up, search), and choosing among tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models import names
from models.chat import Sample, Tool, assistant, call, tool_result, user
from models.draw import Draw
from models.tasks.calculator import calculator_tool, function, problem, result_turns, schema
from models.tasks.facts import DAYS, fact
from models.tasks.handbook import handbook


@dataclass
class TextTool:
    """A kind of tool: names, parameters and descriptions it goes by, what users ask, and what answers it."""

    names: list[str]
    parameters: list[str]
    descriptions: list[str]
    questions: list[str]
    value: Callable[[Draw], str]


WEATHER = TextTool(
    ["weather", "get_weather", "current_weather", "forecast"], ["city", "location", "place", "town"],
    ["Current weather for a city.", "Get the weather.", "The weather in a place."],
    ["What is the weather in {}?", "How is the weather in {}?", "Weather in {}?", "Is it raining in {}?",
     "Will it rain in {} today?", "Tell me the weather in {}.", "Do I need an umbrella in {}?",
     "What's the weather like in {}?", "How warm is it in {}?", "Forecast for {}, please."],
    names.place,
)
CLOCK = TextTool(
    ["get_time", "time", "clock", "current_time"], ["city", "timezone", "place", "location"],
    ["The current time in a city.", "What time it is somewhere."],
    ["What time is it in {}?", "Time in {}?", "Tell me the time in {}.", "What is the current time in {}?",
     "How late is it in {}?"],
    names.place,
)
PRICE = TextTool(
    ["price", "get_price", "stock_price", "quote"], ["item", "symbol", "product", "name"],
    ["The price of an item.", "Look up a price."],
    ["What is the price of {}?", "How much is {} today?", "Price of {}?", "What does {} cost?",
     "Look up the price of {}."],
    names.thing,
)
DIRECTORY = TextTool(
    ["lookup_person", "find_user", "directory", "get_email"], ["name", "person", "user", "who"],
    ["Find a person in the directory.", "The email address of a person."],
    ["Look up {}.", "What is the email of {}?", "Find {} in the directory.", "How do I reach {}?",
     "Who is {}?"],
    names.person,
)
KINDS = [WEATHER, WEATHER, CLOCK, PRICE, DIRECTORY]
WEATHERS = ["sunny", "cloudy", "rain", "snow", "fog", "windy", "clear sky", "light rain", "storm"]


def declare(draw: Draw, kind: TextTool) -> tuple[str, str, Tool]:
    name = draw.one(kind.names) + draw.one(["", "", "", "_" + names.word(draw).lower()])
    parameter = draw.one(kind.parameters)
    return name, parameter, function(name, draw.one(kind.descriptions), schema(draw, {parameter: "string"}))


def _result(draw: Draw, kind: TextTool, value: str) -> tuple[str, str]:
    """What the tool returns and the sentence made of it."""
    if kind is WEATHER:
        found = draw.one([f"{draw.one(WEATHERS)}, {draw.integer(-20, 40)} degrees",
                          f"{draw.integer(-20, 40)} C", draw.one(WEATHERS),
                          f"{draw.one(WEATHERS)} and {draw.integer(-20, 40)}°C"])
        return found, f"The weather in {value}: {found}."
    if kind is CLOCK:
        found = f"{draw.integer(0, 23)}:{draw.integer(10, 59)}"
        return found, f"It is {found} in {value}."
    if kind is PRICE:
        found = draw.one([f"{names.count(draw)} dollars", names.count(draw),
                          f"{draw.integer(1, 99)}.{draw.integer(10, 99)}"])
        return found, f"The price of {value} is {found}."
    found = draw.one([names.word(draw).lower() + "@example.com", f"room {draw.integer(1, 400)}",
                      f"extension {draw.integer(10, 999)}"])
    return found, f"{value}: {found}."


def text_tool(draw: Draw) -> Sample:
    """One to three tools declared; the one that fits is called with the value copied from the question."""
    kind = draw.one(KINDS)
    name, parameter, tool = declare(draw, kind)
    tools = [tool]
    for other in draw.several([calculator_tool, None, None], 1):
        if other:
            tools.append(other(draw)[2])
    if draw.chance(0.4):
        different = draw.one([k for k in KINDS if k is not kind])
        tools.append(declare(draw, different)[2])
    draw.random.shuffle(tools)
    value = kind.value(draw)
    messages = [user(draw.phrase(kind.questions).format(value)), call(name, {parameter: value})]
    if draw.chance(0.6):
        found, answer = _result(draw, kind, value)
        messages += [tool_result(found), assistant(answer)]
    return Sample("text tool", messages, tools)


def calculator_among(draw: Draw) -> Sample:
    """A calculation with a calculator and another tool declared."""
    name, parameter, tool = calculator_tool(draw)
    tools = [tool, declare(draw, draw.one(KINDS))[2]]
    draw.random.shuffle(tools)
    question, expression = problem(draw)
    messages = [user(question), call(name, {parameter: expression})]
    if draw.chance(0.5):
        messages += result_turns(draw)
    return Sample("calculator among tools", messages, tools)


def search_tool(draw: Draw) -> Sample:
    """A document search: the question itself is the query, and the answer comes from the passages found."""
    name = draw.one(["search", "knowledge_search", "file_search", "search_docs", "docs", "retrieve",
                     names.word(draw).lower() + "_search"])
    parameter = draw.one(["query", "query", "question", "text"])
    tool = function(name, draw.one(["Search the documents.", "Find passages in the handbook.",
                                    "Search for information in a database."]),
                    schema(draw, {parameter: "string"}))
    facts = [handbook(draw) if draw.chance(0.5) else fact(draw) for _ in range(draw.integer(1, 3))]
    question, answer = draw.one(facts).ask(draw)
    passages = draw.one(["\n", " ", "\n\n"]).join(f.sentence for f in facts)
    messages = [user(question), call(name, {parameter: question}), tool_result(passages), assistant(answer)]
    return Sample("search tool", messages, [tool])


def remind_tool(draw: Draw) -> Sample:
    """Two text arguments copied from one sentence."""
    name, a, b = draw.one([("set_reminder", "task", "day"), ("book_room", "room", "day"),
                           ("create_event", "title", "date"), ("add_task", "name", "day")])
    tool = function(name, draw.one(["Create an entry in the calendar.", "Book something for a day."]),
                    schema(draw, {a: "string", b: "string"}))
    item, day = names.thing(draw), draw.one(DAYS)
    question = draw.phrase(["Book {0} for {1}.", "Put {0} on {1}.", "Schedule {0} on {1}, please.",
                            "On {1}, plan {0}.", "Add {0} for {1}."]).format(item, day)
    messages = [user(question), call(name, {a: item, b: day})]
    if draw.chance(0.5):
        messages += [tool_result(draw.one(["ok", "done", "created"])), assistant(f"Done: {item} on {day}.")]
    return Sample("text tool", messages, [tool])


ACTIONS: list[tuple[str, list[str], list[str]]] = [
    ("reverse", ["Reverse {}.", "Spell {} backwards.", "Reverse the word {}.", "What is {} backwards?",
                 "Turn {} around."], ["text", "word", "string"]),
    ("word_count", ["Count the words in: {}", "How many words are in {}?", "Number of words in {}?",
                    "Count words: {}", "How long is this text: {}"], ["text", "string"]),
    ("count_letters", ["How many letters has {}?", "Count the letters of {}.", "How many letters are in {}?",
                       "Number of letters in {}?", "Letters in {}?"], ["word", "text"]),
    ("upper", ["Write {} in capitals.", "Make {} upper case.", "Capitals for {}, please.",
               "Put {} in upper case.", "Uppercase {}."], ["text", "word"]),
    ("translate", ["Translate {}.", "What is {} in French?", "Translate the word {}.", "Translate {} for me.",
                   "Give the translation of {}."], ["text", "word"]),
    ("search_web", ["Search the web for {}.", "Look for {} on the web.", "Find pages about {}.",
                    "Search for {}.", "Find {} online."], ["query", "text"]),
    ("roll_dice", ["Roll a dice with {} sides.", "Roll a {}-sided dice.", "Throw a dice with {} sides.",
                   "Dice with {} sides, please.", "Roll {} sides."], ["sides", "n"]),
    ("factorial", ["What is the factorial of {}?", "Factorial of {}?", "Compute the factorial of {}.",
                   "Give me the factorial of {}.", "Find the factorial of {}."], ["n", "number"]),
    ("is_prime", ["Is {} a prime?", "Is {} a prime number?", "Check whether {} is prime.",
                  "Tell me if {} is prime.", "Test {} for being prime."], ["n", "number"]),
    ("square_root", ["What is the square root of {}?", "Square root of {}?", "Take the root of {}.",
                     "Compute the square root of {}.", "Find the root of {}."], ["x", "number"]),
]
NUMERIC = {"roll_dice", "factorial", "is_prime", "square_root"}


def action_tool(draw: Draw) -> Sample:
    """A small function asked for in words or by its name; the answer repeats what it returned."""
    name, questions, parameters = draw.one(ACTIONS)
    numeric, parameter = name in NUMERIC, draw.one(parameters)
    if draw.chance(0.3):  # a function nobody has heard of, asked for by name
        name, parameter, questions = names.word(draw).lower(), names.word(draw).lower(), []
    asks = questions or [f"Use {name} on {{}}.", f"Call {name} with {{}}.", f"Run {name} for {{}}.",
                         f"Use the tool {name} with {{}}.", f"{name} {{}}"]
    value: str | int = draw.integer(1, 9999) if numeric else draw.one([names.word, names.person, names.thing,
        names.place])(draw)
    description = draw.one([f"Do {name}.", "A function.", f"The {name.replace('_', ' ')} of a value.",
                            "Return the result for a value."])
    tool = function(name, description, schema(draw, {parameter: "integer" if numeric else "string"}))
    messages = [user(draw.phrase(asks).format(value)), call(name, {parameter: value})]
    if draw.chance(0.6):
        found = draw.one([names.word(draw).lower(), str(draw.integer(0, 999)), "true", "false",
                          names.word(draw), names.thing(draw)])
        messages += [tool_result(found), assistant(f"The result is {found}.")]
    return Sample("action tool", messages, [tool])
