# mypy: disable-error-code="import-not-found", allow-subclassing-any
"""A small Llama: RMSNorm, rotary grouped-query attention, SwiGLU, tied embeddings.

Rotary pairs are interleaved (dims 2i and 2i+1 turn together), which is what llama.cpp expects of architecture
`llama`, so the query and key weights go into the file without a permutation. Submodule names are the tensor
names of the GGUF file for the same reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The sizes that define the network; every row length is a multiple of 32, as Q8_0 needs."""

    vocab: int = 2048
    width: int = 192
    layers: int = 5
    heads: int = 4
    kv_heads: int = 2
    head_width: int = 64
    hidden: int = 512
    context: int = 2048  # tokens the file promises to accept
    theta: float = 500_000.0
    epsilon: float = 1e-5


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """`x @ weight.T` in the type of `x`: master weights stay F32, activations may be BF16."""
    return F.linear(x, weight.to(x.dtype))


class Norm(nn.Module):
    """RMSNorm over the last axis; the mean square is taken in F32, the rest in the type of the input."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """`[..., width]` to the same shape."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(length.square() / x.shape[-1] + self.epsilon)
        return x * scale.to(x.dtype) * self.weight.to(x.dtype)


@dataclass
class Positions:
    """What attention needs to know of positions: rotations `[length, head_width]`, the quarter turn of
    interleaved pairs as a matrix `[head_width, head_width]`, and the causal mask `[length, length]`."""

    cos: Tensor
    sin: Tensor
    turn: Tensor
    mask: Tensor

    @classmethod
    def of(cls, shape: Shape, length: int, dtype: torch.dtype) -> Positions:
        even = torch.arange(0, shape.head_width, 2)
        frequency = shape.theta ** (-even.float() / shape.head_width)
        angle = (torch.arange(length).float()[:, None] * frequency).repeat_interleave(2, 1)
        turn = torch.zeros(shape.head_width, shape.head_width)
        turn[even + 1, even], turn[even, even + 1] = -1.0, 1.0
        mask = torch.full((length, length), float("-inf")).triu(1)
        return cls(*(t.to(dtype) for t in (angle.cos(), angle.sin(), turn, mask)))

    def rotate(self, x: Tensor) -> Tensor:
        """Turn the interleaved pairs of `[..., length, head_width]` by their position.

        The quarter turn as a product with a constant matrix is quicker on a CPU than strided halves.
        """
        return x * self.cos + (x @ self.turn) * self.sin


class Projection(nn.Module):
    """A bias-free linear layer, `[..., inputs]` to `[..., outputs]`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight)


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
        self.attn_norm = Norm(shape.width, shape.epsilon)
        self.attn_q = Projection(shape.width, queries)
        self.attn_k = Projection(shape.width, keys)
        self.attn_v = Projection(shape.width, keys)
        self.attn_output = Projection(queries, shape.width)
        self.ffn_norm = Norm(shape.width, shape.epsilon)
        self.ffn_gate = Projection(shape.width, shape.hidden)
        self.ffn_up = Projection(shape.width, shape.hidden)
        self.ffn_down = Projection(shape.hidden, shape.width)

    def attention(self, x: Tensor, positions: Positions) -> Tensor:
        """Causal attention over `[batch, length, width]`, result of the same shape.

        The query heads that share a key head are stacked along the length, so that each product is one
        batched matrix product; for sequences this short that is over twice as quick as the fused kernel
        on a CPU.
        """
        batch, length, _ = x.shape
        shared, head = self.shape.kv_heads, self.shape.head_width
        repeat = self.shape.heads // shared
        query = self.attn_q(x).view(batch, length, shared, repeat, head).permute(0, 2, 3, 1, 4)
        key = positions.rotate(self.attn_k(x).view(batch, length, shared, head).transpose(1, 2))
        value = self.attn_v(x).view(batch, length, shared, head).transpose(1, 2)
        stacked = (positions.rotate(query) * head**-0.5).reshape(batch, shared, repeat * length, head)
        scores = (stacked @ key.transpose(2, 3)).view(batch, shared, repeat, length, length)
        weights = (scores + positions.mask).softmax(-1).view(batch, shared, repeat * length, length)
        mixed = (weights @ value).view(batch, shared, repeat, length, head)
        out: Tensor = self.attn_output(mixed.permute(0, 3, 1, 2, 4).reshape(batch, length, -1))
        return out

    def forward(self, x: Tensor, positions: Positions) -> Tensor:
        """`[batch, length, width]` to the same shape."""
        x = x + self.attention(self.attn_norm(x), positions)
        h = self.ffn_norm(x)
        out: Tensor = x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))
        return out


class Llama(nn.Module):
    """The network; the output layer is the embedding table itself."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocab, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape.width, shape.epsilon)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                gain = 0.5 if "output" in name or "down" in name else 1.0
                std = 0.02 if "embd" in name else gain * weight.shape[1] ** -0.5
                nn.init.normal_(weight, std=std)

    @property
    def blocks(self) -> list[Block]:
        return [block for block in self.blk if isinstance(block, Block)]

    def hidden(self, ids: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Token ids `[batch, length]` to normed states `[batch, length, width]` of type `dtype`."""
        positions = Positions.of(self.shape, ids.shape[1], dtype)
        x = self.token_embd(ids).to(dtype)
        for block in self.blocks:
            x = block(x, positions)
        out: Tensor = self.output_norm(x)
        return out

    def forward(self, ids: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Token ids `[batch, length]` to logits `[batch, length, vocab]`."""
        return linear(self.hidden(ids, dtype), self.token_embd.weight)
