# mypy: disable-error-code="import-not-found"
"""A starting point that can copy: a previous-token head and an induction head, wired by hand.

In a trial, a tiny model that started from noise learned the forms of answers and no copying of new names.
Here layer 0 is given a head that looks one token back and layer 1 a head that finds where the current token
stood before and repeats what followed it. Only weight values change: the file stays an ordinary Llama.

The stream is laid out as: dim 0 a constant, then the token's identity, and in the last `half` dims a
projection of the previous token's identity, which layer 0 writes and layer 1 matches against.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.network import Block, Llama

EMBEDDING = 0.08  # standard deviation of an identity dim
CONSTANT = 5.0  # the constant dim, in units of EMBEDDING
POSITION_GAIN = 12.0  # score of one token back over its neighbours
MATCH_GAIN = 14.0  # score of the place where the current token stood before
COPY_GAIN = 5.0  # what the induction head writes, in units of EMBEDDING
FAST_PAIRS = 4  # rotary pairs that tell neighbouring positions apart
QUIET = 0.05  # factor on everything that is not part of the circuit


@dataclass
class _Layout:
    """Where things stand in the stream, and what one identity or constant dim is worth after RMSNorm."""

    width: int
    head: int
    constant: float
    identity: float

    @property
    def half(self) -> int:
        return self.head // 2

    @property
    def known(self) -> slice:
        return slice(1, self.width - self.half)

    @property
    def size(self) -> int:
        return self.width - self.half - 1


def _embed(model: Llama, generator: torch.Generator) -> _Layout:
    """Random identities of equal length, so that RMSNorm leaves the constant dim constant."""
    width, head = model.shape.width, model.shape.head_width
    size = width - head // 2 - 1
    table = model.token_embd.weight
    table.normal_(0, EMBEDDING, generator=generator)
    table[:, width - head // 2 :] = 0
    table[:, 0] = 0
    table.mul_(EMBEDDING * size**0.5 / table.norm(dim=1, keepdim=True))
    table[:, 0] = CONSTANT * EMBEDDING
    scale = EMBEDDING / table.pow(2).mean(-1).sqrt().mean().item()
    return _Layout(width, head, CONSTANT * scale, scale)


def _clear_first_head(block: Block, head: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Query, key, value and output weights with head 0 zeroed."""
    query, key, value = block.attn_q.weight, block.attn_k.weight, block.attn_v.weight
    output = block.attn_output.weight
    query[:head], key[:head], value[:head], output[:, :head] = 0, 0, 0, 0
    return query, key, value, output


def _previous_token_head(block: Block, layout: _Layout, frequency: Tensor, project: Tensor) -> None:
    """Head 0 attends one token back and writes that token's projected identity."""
    query, key, value, output = _clear_first_head(block, layout.head)
    fast = frequency[:FAST_PAIRS]
    margin = (1 - fast.cos()).sum().item()  # of distance 1 over distances 0 and 2
    gain = (POSITION_GAIN * layout.head**0.5 / margin) ** 0.5 / layout.constant
    query[0 : 2 * FAST_PAIRS : 2, 0] = gain
    key[0 : 2 * FAST_PAIRS : 2, 0] = gain * fast.cos()
    key[1 : 2 * FAST_PAIRS : 2, 0] = gain * fast.sin()
    value[: layout.half, layout.known] = project
    output[layout.width - layout.half :, : layout.half] = torch.eye(layout.half) * EMBEDDING / layout.identity


def _induction_head(
    block: Block, layout: _Layout, frequency: Tensor, project: Tensor, generator: torch.Generator
) -> None:
    """Head 0 attends to what followed an earlier occurrence of this token, and writes its identity."""
    query, key, value, output = _clear_first_head(block, layout.head)
    slowest = torch.argsort(frequency)[: layout.half // 2]  # nearly free of position
    dims = torch.stack((2 * slowest, 2 * slowest + 1), 1).flatten()
    strength = (MATCH_GAIN * layout.head**0.5 / layout.half) ** 0.5
    query[dims, layout.known] = project * strength
    key[dims, layout.width - layout.half :] = torch.eye(layout.half) * strength
    basis = torch.linalg.qr(torch.randn(layout.size, layout.size, generator=generator))[0][: layout.head]
    value[: layout.head, layout.known] = basis
    output[layout.known, : layout.head] = basis.T * COPY_GAIN * EMBEDDING


def wire_copying(model: Llama, seed: int = 0) -> None:
    """Set the circuit in `model` and quieten the rest."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layout = _embed(model, generator)
        project = torch.linalg.qr(torch.randn(layout.size, layout.size, generator=generator))[0][: layout.half]
        frequency = model.shape.theta ** (-torch.arange(0, layout.head, 2).float() / layout.head)
        _previous_token_head(model.blocks[0], layout, frequency, project)
        _induction_head(model.blocks[1], layout, frequency, project, generator)
        for index, block in enumerate(model.blocks):
            free = slice(layout.head if index < 2 else 0, None)
            block.attn_output.weight[:, free] *= QUIET
            block.ffn_down.weight.mul_(QUIET)
