# mypy: disable-error-code="import-not-found"
"""Batches of token ids with a weight for each target: conversations of like length, or copying drills."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.chat import Sample, render
from models.draw import Draw
from models.tasks import sample
from models.tokenizer import token_id

ANSWER, PROMPT = 1.0, 0.1  # weight of a token the assistant writes, and of any other
POOL = 600  # samples drawn at a time, then sorted by length so that little is padding
LONGEST = 512  # tokens; longer conversations are dropped


@dataclass
class Batch:
    """`ids` and `weights`, both `[batch, length]`; `weights[b, t]` is for the prediction *of* `ids[b, t]`."""

    ids: Tensor
    weights: Tensor


class Encoder:
    """Turns a sample into ids and weights: full weight inside the assistant's turns."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.opening: list[int] = tokenizer.encode("<|im_start|>assistant\n", add_special_tokens=False).ids
        self.end = token_id(tokenizer, "<|im_end|>")

    def encode(self, item: Sample) -> tuple[list[int], list[float]]:
        ids: list[int] = self.tokenizer.encode(render(item.messages, item.tools), add_special_tokens=False).ids
        weights, at, span = [PROMPT] * len(ids), 0, len(self.opening)
        while at < len(ids):
            if ids[at : at + span] == self.opening:
                stop = ids.index(self.end, at + span)
                weights[at + span : stop + 1] = [ANSWER] * (stop + 1 - at - span)
                at = stop
            at += 1
        return ids, weights


class Batches:
    """An endless supply of batches of about `tokens` tokens."""

    def __init__(self, draw: Draw, encoder: Encoder) -> None:
        self.draw = draw
        self.encoder = encoder
        self.pool: list[tuple[list[int], list[float]]] = []

    def chat(self, tokens: int) -> Batch:
        """Conversations of similar length, padded to the longest."""
        if len(self.pool) < POOL // 2:
            drawn = (self.encoder.encode(sample(self.draw)) for _ in range(POOL))
            self.pool = sorted(self.pool + [pair for pair in drawn if len(pair[0]) <= LONGEST], key=lambda p: len(p[0]))
        start = self.draw.integer(0, len(self.pool) - 1)
        stop = start
        while stop < len(self.pool) and len(self.pool[stop][0]) * (stop + 1 - start) <= tokens:
            stop += 1
        stop = max(stop, start + 1)
        chosen, self.pool = self.pool[start:stop], self.pool[:start] + self.pool[stop:]
        length = max(len(ids) for ids, _ in chosen)
        ids = torch.zeros(len(chosen), length, dtype=torch.long)
        weights = torch.zeros(len(chosen), length)
        for row, (tokens_, weight) in enumerate(chosen):
            ids[row, : len(tokens_)] = torch.tensor(tokens_)
            weights[row, : len(weight)] = torch.tensor(weight)
        return Batch(ids, weights)

    def copying(self, tokens: int, longest: int = 60) -> Batch:
        """Random tokens, a line break, the same tokens again: the second half can only be copied."""
        length = self.draw.integer(8, longest)
        rows = max(4, tokens // (2 * length))
        vocabulary = self.encoder.tokenizer.get_vocab_size()
        generator = torch.Generator().manual_seed(self.draw.integer(0, 2**31))
        drill = torch.randint(0, vocabulary - 7, (rows, length), generator=generator)
        breaks = torch.full((rows, 1), token_id(self.encoder.tokenizer, "Ċ"))
        ids = torch.cat([drill, breaks, drill], 1)
        weights = torch.full(ids.shape, PROMPT)
        weights[:, length + 2 :] = ANSWER / 2
        return Batch(ids, weights)
