"""Score a GGUF file on names and phrasings it was not trained on: `python -m models.evaluate`.

Every assistant turn of a conversation is asked for with the right history before it, greedily, and counts as
right when it equals the expected answer: the same text, the same call, or the same JSON values.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.chat import Message, Sample, openai_messages
from models.draw import Draw
from models.engine import BUNDLED, Engine
from models.tasks import FAMILIES, dressed
from models.tasks.extraction import schema_of

SEED = 987_654_321


@dataclass
class Question:
    """One assistant turn to be written: what it counts under, the request, the expected message."""

    task: str
    body: dict[str, Any]
    expected: Message


@dataclass
class Score:
    """Right answers out of those asked, and some of the wrong ones."""

    right: int = 0
    asked: int = 0
    misses: list[str] = field(default_factory=list)

    def count(self, right: bool, miss: str) -> None:
        self.asked += 1
        self.right += right
        if not right:
            self.misses.append(miss)

    @property
    def share(self) -> float:
        return self.right / self.asked


def questions(item: Sample) -> Iterator[Question]:
    """The assistant's turns that belong to the task itself."""
    for index, message in enumerate(item.messages):
        if message["role"] != "assistant" or index < item.start:
            continue
        body: dict[str, Any] = {"messages": openai_messages(item.messages[:index])}
        if item.tools:
            body["tools"] = item.tools
        label = item.task
        if message.get("tool_calls"):
            label += ": call"
        elif item.messages[index - 1]["role"] == "tool":
            label += ": answer from the result"
        elif item.task == "extraction, keys unsaid":
            body["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema_of(message["content"])}}
        yield Question(label, body, message)


def is_right(expected: Message, got: Message) -> bool:
    """Same call, same JSON or same text."""
    if calls := expected.get("tool_calls"):
        made = got.get("tool_calls") or []
        if len(made) != 1 or made[0]["function"]["name"] != calls[0]["function"]["name"]:
            return False
        return bool(_parsed(made[0]["function"]["arguments"]) == calls[0]["function"]["arguments"])
    text, wanted = got.get("content") or "", expected["content"]
    if wanted.startswith("{"):
        return bool(_parsed(text) == json.loads(wanted))
    return bool(text == wanted)


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def score(engine: Engine, draw: Draw, each: int, families: list[Callable[[Draw], Sample]]) -> dict[str, Score]:
    """`each` conversations of every family, in the surroundings of training."""
    scores: defaultdict[str, Score] = defaultdict(Score)
    for make in families:
        for _ in range(each):
            for question in questions(dressed(draw, make(draw))):
                got = engine.message(question.body)
                asked = question.body["messages"][-1]["content"]
                scores[question.task].count(is_right(question.expected, got), f"{asked!r} -> {shown(got)!r}")
    return dict(scores)


def shown(message: Message) -> str:
    """A message as one line of text."""
    if calls := message.get("tool_calls"):
        return f"{calls[0]['function']['name']}({calls[0]['function']['arguments']})"
    return str(message.get("content"))


def table(columns: dict[str, dict[str, Score]]) -> str:
    """Markdown: one row a task, one column a split."""
    lines = ["| task | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for task in sorted({task for scores in columns.values() for task in scores}):
        cells = (scores.get(task, Score()) for scores in columns.values())
        lines.append(f"| {task} | " + " | ".join(f"{c.right}/{c.asked}" for c in cells) + " |")
    return "\n".join(lines)


def speed(engine: Engine, tokens: int = 256) -> str:
    """Prompt and decode speed of one request, as the engine itself measures it."""
    prompt = "The river Zorvan is 12 miles long. " * 40
    asked = {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, "temperature": 0}
    timings = engine.post("/completion", asked)["timings"]
    return (
        f"{timings['prompt_n']} prompt tokens at {timings['prompt_per_second']:.0f} a second, "
        f"{timings['predicted_n']} written at {timings['predicted_per_second']:.0f} a second, one thread"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=BUNDLED)
    parser.add_argument("--each", type=int, default=60, help="conversations of each family")
    parser.add_argument("--misses", type=int, default=0, help="wrong answers to show of each task")
    given = parser.parse_args()
    splits = {
        "new names": Draw(SEED, held_out=True, held_out_phrases=False),
        "new names and phrasings": Draw(SEED, held_out=True),
    }
    with Engine(given.file) as engine:
        columns = {
            name: score(engine, draw, given.each, [family for family, _ in FAMILIES]) for name, draw in splits.items()
        }
        pace = speed(engine)
    print(table(columns))
    print(pace)
    for name, scores in columns.items():
        for task, result in sorted(scores.items()):
            for miss in result.misses[: given.misses]:
                print(f"{name} / {task}: {miss}")


if __name__ == "__main__":
    main()
