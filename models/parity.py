# mypy: disable-error-code="import-not-found"
"""Check that the exported file is the trained network: `python -m models.parity`.

Tokenizer, chat template, next-token probabilities and greedy answers,
ours against llama.cpp's, for F32, F16 and Q8_0.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from models.chat import Sample, openai_messages, render
from models.draw import Draw
from models.engine import Engine
from models.export import END, FILE_TYPES, export
from models.network import Llama, Shape
from models.tasks import sample
from models.tokenizer import token_id
from models.train import CHECKPOINT, CONFIG, RUN, TOKENIZER

# The largest difference that each kind may show in a log-probability above LIKELY; the card has the figures.
# F32 and F16 judge the export. Q8_0 also rounds weights and activations, which unlikely tokens feel most.
TOLERANCE = {"f32": 0.05, "f16": 0.05, "q8_0": 1.5}
LIKELY = -12.0
SAME_ANSWERS = 0.95  # share of greedy answers that must be equal
ODD_TEXTS = [
    "naïve café Überraschung",
    "東京タワー 🙂👩‍👩‍👧",
    "a\u00a0b\u3000c\u200bd",
    "don't CAN'T we'LL I'D",
    "  lead\n\n\n  x \t\ty ",
    "x=1+2*3/4-5;//c\r\n\r\nz",
    "١٢٣ ½ ² Ⅷ ५",
    "e\u0301 n\u0303 Å",
    "a_b-c.d@e",
    "<|im_start|>x<|im_end|><tool_call>{}</tool_call>",
    "\x01\x7f",
    "é" * 50,
    "नमस्ते दुनिया",
    "سلام",
    "  ",
    "\n",
    " 1 22 333 4444",
    '{"a": "Zorvan", "b": [1, 2]}',
]


@dataclass
class Report:
    """What one kind of file differs in."""

    kind: str
    texts: int
    tokenizer_mismatches: int
    template_mismatches: int
    greedy_equal: int
    greedy_asked: int
    largest_difference: float

    @property
    def faithful(self) -> bool:
        """The same text and, within the tolerance, the same numbers."""
        same_text = self.tokenizer_mismatches == self.template_mismatches == 0
        return same_text and self.largest_difference <= TOLERANCE[self.kind]

    @property
    def passed(self) -> bool:
        return self.faithful and self.greedy_equal >= SAME_ANSWERS * self.greedy_asked


@dataclass
class Reference:
    """The trained network in torch, F32."""

    model: Llama
    tokenizer: Tokenizer

    @classmethod
    def load(cls, run: Path) -> Reference:
        model = Llama(Shape(**json.loads((run / CONFIG).read_text())))
        model.load_state_dict(torch.load(run / CHECKPOINT)["model"])
        return cls(model.eval(), Tokenizer.from_file(str(run / TOKENIZER)))

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def next_log_probabilities(self, ids: list[int]) -> list[float]:
        with torch.no_grad():
            values: list[float] = self.model(torch.tensor([ids]))[0, -1].log_softmax(-1).tolist()
        return values

    def greedy(self, prompt: str, most: int = 40) -> list[int]:
        ids, end, written = self.encode(prompt), token_id(self.tokenizer, END), 0
        start = len(ids)
        while written < most:
            scores = self.next_log_probabilities(ids)
            best = scores.index(max(scores))
            if best == end:
                break
            ids.append(best)
            written += 1
        return ids[start:]


def texts_to_split(samples: list[Sample]) -> list[str]:
    """Chat texts, odd texts and random characters of many scripts."""
    characters = random.Random(1)
    spans = [(32, 126), (160, 0x2FFF), (0x3000, 0xD7FF), (0x1F300, 0x1FAFF)]
    lines = ([characters.randint(*characters.choice(spans)) for _ in range(40)] for _ in range(100))
    noise = ["".join(map(chr, line)) for line in lines]
    return [render(item.messages, item.tools) for item in samples] + ODD_TEXTS + noise


def prompt_of(item: Sample) -> tuple[list[dict[str, object]], str]:
    """The messages before the last answer, and their text with the answer left open."""
    messages = item.messages[:-1]
    return messages, render(messages, item.tools, prompt=True)


def largest_difference(reference: Reference, engine: Engine, prompts: list[str]) -> float:
    """Over all prompts and all likely next tokens, in nats."""
    largest = 0.0
    for prompt in prompts:
        ids = reference.encode(prompt)
        ours = reference.next_log_probabilities(ids)
        asked = {"prompt": ids, "n_predict": 1, "temperature": 0, "n_probs": len(ours), "cache_prompt": False}
        theirs = engine.post("/completion", asked)["completion_probabilities"][0]["top_logprobs"]
        pairs = [(ours[entry["id"]], entry["logprob"]) for entry in theirs if ours[entry["id"]] > LIKELY]
        largest = max([largest, *(abs(a - b) for a, b in pairs)])
    return largest


def compare(reference: Reference, path: Path, kind: str, count: int) -> Report:
    """One file against the network, on `count` held-out conversations."""
    draw = Draw(77, held_out=True)
    samples = [sample(draw) for _ in range(count)]
    texts = texts_to_split(samples)
    plain = [prompt_of(item) for item in samples if not item.tools]
    with Engine(path) as engine:
        split = [
            engine.post("/tokenize", {"content": t, "add_special": False, "parse_special": True})["tokens"]
            for t in texts
        ]
        shown = [engine.post("/apply-template", {"messages": openai_messages(m)})["prompt"] for m, _ in plain]
        written = [engine.chat({"messages": m, "max_tokens": 40})["choices"][0]["message"]["content"] for m, _ in plain]
        difference = largest_difference(reference, engine, [text for _, text in plain])
    expected = [reference.tokenizer.decode(reference.greedy(text), skip_special_tokens=False) for _, text in plain]
    return Report(
        kind,
        len(texts),
        sum(reference.encode(t) != ids for t, ids in zip(texts, split, strict=True)),
        sum(ours != theirs for (_, ours), theirs in zip(plain, shown, strict=True)),
        sum(ours == theirs for ours, theirs in zip(expected, written, strict=True)),
        len(plain),
        round(difference, 4),
    )


def check(run: Path, count: int) -> list[Report]:
    """Every kind of file, exported to a temporary folder."""
    reference = Reference.load(run)
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in FILE_TYPES:
            path = Path(folder) / f"{kind}.gguf"
            export(run, path, kind)
            reports.append(compare(reference, path, kind, count))
    return reports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=RUN)
    parser.add_argument("--count", type=int, default=100, help="held-out conversations")
    given = parser.parse_args()
    torch.set_num_threads(1)
    reports = check(given.run, given.count)
    for report in reports:
        print(json.dumps({**asdict(report), "passed": report.passed}))
    sys.exit(0 if all(report.passed for report in reports) else 1)


if __name__ == "__main__":
    main()
