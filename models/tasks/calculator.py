"""Calculator calls through a declared tool, the answer from its result, and what to say without a tool."""

from __future__ import annotations

from typing import Any

from models import names
from models.chat import Message, Sample, Tool, assistant, call, tool_result, user
from models.draw import Draw, words

NO_TOOL = "I cannot calculate by myself. Give me a calculator tool and ask again."
WORDS = {
    "+": ["plus", "+", "+", "added to"],
    "-": ["minus", "-", "-"],
    "*": ["times", "*", "*", "x", "multiplied by"],
    "/": ["divided by", "/", "/", "over"],
}
ASK = ["What is {}?", "Compute {}.", "Calculate {}", "How much is {}?", "please work out {}", "{} = ?",
       "Can you evaluate {}?", "{}", "what's {}", "Tell me {}.", "Use the calculator: {}",
       "Work out {} for me.", "I need the result of {}.", "Evaluate {}", "Could you compute {}?",
       "{} equals what?", "Give me {}.", "Please calculate {}.", "What does {} make?", "How many is {}?"]
STORIES = [
    ("I have {a} {i} with {b} {s} each. How many {s} in total?", "*"),
    ("I had {a} {s} and gave away {b}. How many {s} are left?", "-"),
    ("I had {a} {s} and bought {b} more. How many {s} now?", "+"),
    ("{a} {s} are shared by {b} people. How many does each get?", "/"),
    ("There are {a} {i} and each holds {b} {s}. How many {s}?", "*"),
    ("A shop sells {a} {s} today and {b} tomorrow. How many in all?", "+"),
    ("Of {a} {s}, {b} are broken. How many still work?", "-"),
    ("Split {a} {s} into {b} {i}. How many per group?", "/"),
    ("One ticket costs {a} euros. What do {b} tickets cost?", "*"),
    ("{n} has {a} {s} and finds {b} more. How many {s} does {n} have?", "+"),
    ("{n} bought {b} {s} at {a} dollars each. How much did {n} pay?", "*"),
    ("{n} had {a} {s} and lost {b}. How many remain?", "-"),
]
CONTAINERS = words("boxes bags shelves teams rows crates tables buses")
GOODS = words("pens apples books players seats coins plates people eggs stones cards cookies")
RESULTS = ["{}", "{}", "{}", "{}", '{{"result": {}}}', '{{"value": {}}}', "result: {}", "= {}"]


def number(draw: Draw) -> str:
    if draw.chance(0.15):
        return f"{draw.integer(0, 999)}.{draw.integer(1, 99)}"
    return str(draw.integer(0, 10 ** draw.integer(1, 5)))


def schema(draw: Draw, properties: dict[str, str]) -> dict[str, Any]:
    """A JSON Schema object, with and without the extras that real tools carry."""
    fields: dict[str, Any] = {}
    for name, kind in properties.items():
        fields[name] = {"type": kind}
        if draw.chance(0.25):
            fields[name]["description"] = draw.one(["The expression.", f"The {name}.", "For example 2 + 2.",
                                                    "Input."])
        if draw.chance(0.15):
            fields[name]["title"] = name.capitalize()
    result: dict[str, Any] = {"type": "object", "properties": fields, "required": list(properties)}
    if draw.chance(0.15):
        result["additionalProperties"] = False
    return result


def function(name: str, description: str, parameters: dict[str, Any]) -> Tool:
    return {"type": "function", "function": {"name": name, "description": description,
                                             "parameters": parameters}}


def calculator_tool(draw: Draw) -> tuple[str, str, Tool]:
    """The tool's name, its only parameter and its declaration; half of them use the names people use."""
    name, parameter = "calculator", "expression"
    if draw.chance(0.65):
        tail = draw.one(["", "_" + names.word(draw).lower(), "_tool"])
        name = draw.one(["calculator", "calc", "math", "evaluate", "compute", "arithmetic",
                         names.word(draw).lower()]) + tail
        parameter = draw.one(["expression", "expr", "query", "input", "formula", names.word(draw).lower()])
    description = draw.one(["Evaluate an arithmetic expression.", "Do math.", "A calculator for arithmetic.",
                            "Evaluates an expression.", "Calculate the value of an expression.",
                            "Compute a result."])
    return name, parameter, function(name, description, schema(draw, {parameter: "string"}))


def problem(draw: Draw) -> tuple[str, str]:
    """A question and the expression that answers it."""
    if draw.chance(0.25):
        text, sign = draw.phrase(STORIES)
        a, b = str(draw.integer(2, 999)), str(draw.integer(2, 999))
        slots = {"a": a, "b": b, "i": draw.one(CONTAINERS), "s": draw.one(GOODS), "n": names.first_name(draw)}
        return text.format(**slots), f"{a} {sign} {b}"
    sign = draw.one(list(WORDS))
    a, b = number(draw), number(draw)
    expression, spoken = f"{a} {sign} {b}", f"{a} {draw.one(WORDS[sign])} {b}"
    if draw.chance(0.2):
        other, c = draw.one(list(WORDS)), number(draw)
        expression, spoken = f"{expression} {other} {c}", f"{spoken} {draw.one(WORDS[other])} {c}"
        if draw.chance(0.3):
            expression = spoken = f"({a} {sign} {b}) {other} {c}"
    if draw.chance(0.15) and spoken == expression:
        spoken = spoken.replace(" ", "")
    return draw.phrase(ASK).format(spoken), expression


def result_turns(draw: Draw) -> list[Message]:
    """A tool result in one of the shapes tools return, and the answer made from it."""
    value = draw.one(["", "", "", "-"]) + number(draw)
    return [tool_result(draw.one(RESULTS).format(value)), assistant(f"The answer is {value}.")]


def calculator(draw: Draw) -> Sample:
    """A question, the call and mostly the result and the answer."""
    name, parameter, tool = calculator_tool(draw)
    question, expression = problem(draw)
    messages = [user(question), call(name, {parameter: expression})]
    if draw.chance(0.6):
        messages += result_turns(draw)
        for _ in range(draw.one([0, 0, 0, 1, 2])):
            question, expression = problem(draw)
            messages += [user(question), call(name, {parameter: expression}), *result_turns(draw)]
    return Sample("calculator", messages, [tool])


def two_numbers(draw: Draw) -> Sample:
    """A tool that takes its two operands apart, as `def multiply(a, b)` declares."""
    sign, verb = draw.one([("+", "add"), ("*", "multiply"), ("-", "subtract"), ("/", "divide")])
    first, second = draw.one([("a", "b"), ("x", "y"), ("first", "second"), ("left", "right")])
    a, b = draw.integer(0, 999), draw.integer(0, 999)
    name = verb + draw.one(["", "", "_numbers", "_" + names.word(draw).lower()])
    kind = draw.one(["integer", "number"])
    tool = function(name, draw.one([f"{verb.capitalize()} two numbers.",
                                    f"{verb.capitalize()} {first} and {second}."]),
                    schema(draw, {first: kind, second: kind}))
    question = draw.phrase(ASK).format(f"{a} {draw.one(WORDS[sign])} {b}")
    if draw.chance(0.2):
        question = {"+": f"Add {a} and {b}.", "*": f"Multiply {a} by {b}.", "-": f"Subtract {b} from {a}.",
                    "/": f"Divide {a} by {b}."}[sign]
    messages = [user(question), call(name, {first: a, second: b})]
    if draw.chance(0.5):
        messages += result_turns(draw)
    return Sample("two numbers", messages, [tool])


def no_calculator(draw: Draw) -> Sample:
    return Sample("no calculator", [user(problem(draw)[0]), assistant(NO_TOOL)])


