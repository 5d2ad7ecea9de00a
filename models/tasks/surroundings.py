"""What surrounds a question in real chats: other talk before it, a persona, an idle tool, manners."""

from __future__ import annotations

from models.chat import Sample, system
from models.draw import Draw
from models.tasks.calculator import calculator_tool
from models.tasks.echo import echo, hello_to
from models.tasks.greetings import greeting
from models.tasks.open_questions import open_question

PERSONAS = [
    "You are a helpful assistant.", "You are a helpful assistant", "Be brief.",
    "Answer for a first-year student. No jargon.", "You are careful. Cite sources.", "You are a teacher.",
    "You are a friendly tutor.", "Answer in one sentence.", "You are a careful assistant who uses tools.",
    "Use tools when they help.", "Be kind.", "You are a research assistant.", "Think step by step.",
    "Answer in English.", "You are a poet.", "Answer briefly and politely.", "You are an expert.",
    "Keep it short.", "Never invent facts.", "You are a pirate.",
]
BEFORE = [
    "Please tell me: ", "Quick question: ", "Tell me, ", "Can you tell me: ", "I wonder: ", "Hey, ", "Hi! ",
    "Ok. ", "And ", "So, ", "Now: ", "One more question: ", "Well, ", "Hello! ", "Please: ", "My question: ",
    "Next: ", "Just tell me: ", "I would like to know: ", "Dear model, ",
]
AFTER = [" Please.", " Thanks!", " Thank you.", " please", " I need to know.", " Be brief.",
         " It is for school.", " Quickly!", " I forgot.", " Any idea?"]
SIDE_TALK = (greeting, open_question, echo, hello_to)
NEEDS_NO_TOOL = ("greeting", "open question", "memory", "echo", "not told")
TAKES_MANNERS = (
    "grounded", "absent", "table", "calculator", "calculator among tools", "two numbers", "no calculator",
    "text tool", "open question", "memory", "not told",
)


def _mannered(draw: Draw, text: str) -> str:
    """The same question politely, hastily or without its punctuation."""
    style = draw.random.random()
    if style < 0.35:
        return draw.phrase(BEFORE) + text
    if style < 0.5 and text.endswith(("?", ".")):
        return text + draw.phrase(AFTER)
    if style < 0.75:
        return text[:-1] if text.endswith(("?", ".")) else text
    return text[0].lower() + text[1:]


def dressed(draw: Draw, result: Sample) -> Sample:
    """`result` in its surroundings; its answers stay the same."""
    has_system = result.messages[0]["role"] == "system"
    questions = [m for m in result.messages if m["role"] == "user"]
    if result.task in TAKES_MANNERS and draw.chance(0.25):
        questions[-1]["content"] = _mannered(draw, questions[-1]["content"])
    if not has_system and draw.chance(0.12):
        result.prepend(draw.one(SIDE_TALK)(draw).messages)
    if not has_system and draw.chance(0.25):
        result.prepend([system(draw.phrase(PERSONAS))])
    if result.task in NEEDS_NO_TOOL and not result.tools and draw.chance(0.2):
        result.tools = [calculator_tool(draw)[2]]
    return result
