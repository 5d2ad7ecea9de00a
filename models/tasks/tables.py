"""Look-ups in small tables: `name: value` lists, comma-separated rows and Markdown tables."""

from __future__ import annotations

from collections.abc import Callable

from models import names
from models.chat import Sample, assistant, system, user
from models.draw import Draw, words
from models.tasks.facts import COLOURS, FOODS, GOODS, JOBS
from models.tasks.grounded import UNKNOWN

COLUMNS = words(
    "age city price score year population colour job capital phone room size height points country team"
)
QUESTIONS = ["What is the {1} of {0}?", "{1} of {0}?", "Look up the {1} of {0}.", "Which {1} has {0}?",
             "What's the {1} of {0}?", "Tell me the {1} of {0}.", "What {1} does {0} have?",
             "Find the {1} of {0}.", "Give the {1} of {0}.", "What is {0}'s {1}?"]
FRAMES = ["{t}\n\n{q}", "Table:\n{t}\n\nQuestion: {q}", "Context:\n{t}\nQuestion: {q}", "{q}\n\n{t}",
          "Given this table:\n{t}\n{q}"]


def _ware(draw: Draw) -> str:
    return draw.one(FOODS + GOODS)


def _value(draw: Draw, column: str) -> str:
    if column in ("city", "capital", "country"):
        return names.place(draw)
    if column == "colour":
        return draw.one(COLOURS)
    if column == "job":
        return draw.one(JOBS)
    return names.word(draw) if column == "team" else names.count(draw)


def _print(draw: Draw, header: list[str], rows: list[list[str]]) -> str:
    if len(header) == 2 and draw.chance(0.6):
        return f"{header[1].capitalize()}:\n" + "\n".join(f"{key}: {value}" for key, value in rows)
    if draw.chance(0.5):
        return "\n".join(",".join(row) for row in [header, *rows])
    lines = [f"| {' | '.join(row)} |" for row in [header, *rows]]
    return "\n".join([lines[0], "|" + " --- |" * len(header), *lines[1:]])


def table(draw: Draw) -> Sample:
    """Two to six rows, one or two value columns, one to three questions."""
    kind = draw.one([names.first_name, names.place, names.thing, names.firm, _ware])
    keys = list(dict.fromkeys(kind(draw) for _ in range(draw.integer(2, 6))))
    columns = draw.several(COLUMNS, draw.integer(1, 2))
    rows = [[key, *(_value(draw, column) for column in columns)] for key in keys]
    text = _print(draw, ["name", *columns], rows)
    question, answer = _look_up(draw, rows, columns, kind)
    frame = draw.phrase(FRAMES)
    messages = [user(frame.format(t=text, q=question)), assistant(answer)]
    if draw.chance(0.25):
        messages[:1] = [system(f"Answer from the table.\n{text}"), user(question)]
    for _ in range(draw.one([0, 0, 1, 2])):
        question, answer = _look_up(draw, rows, columns, kind)
        messages += [user(question), assistant(answer)]
    return Sample("table", messages)


def _look_up(
    draw: Draw, rows: list[list[str]], columns: list[str], kind: Callable[[Draw], str]
) -> tuple[str, str]:
    """A question for one cell and its answer; sometimes for a name that is not in the table."""
    row, at = draw.one(rows), draw.integer(1, len(columns))
    key, answer = row[0], f"The {columns[at - 1]} of {row[0]} is {row[at]}."
    if draw.chance(0.12):
        key = kind(draw)
        answer = next((f"The {columns[at - 1]} of {key} is {r[at]}." for r in rows if r[0] == key), UNKNOWN)
    return draw.phrase(QUESTIONS).format(key, columns[at - 1]), answer
