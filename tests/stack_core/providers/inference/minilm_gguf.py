"""all-MiniLM-L6-v2 as a GGUF file, so that the engine's embeddings can be held against ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stack_core.providers.inference._minilm.forward import LAYERS, read_safetensors
from tests.stack_core.providers.inference.gguf_files import write

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
NORMAL, UNKNOWN, CONTROL = 1, 2, 3
NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
LAYER_NAMES = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
SETTINGS = {
    "general.architecture": "bert",
    "general.name": "all-MiniLM-L6-v2",
    "bert.context_length": 512,
    "bert.embedding_length": 384,
    "bert.block_count": LAYERS,
    "bert.feed_forward_length": 1536,
    "bert.attention.head_count": 12,
    "bert.attention.layer_norm_epsilon": 1e-12,
    "bert.attention.causal": False,
    "bert.pooling_type": 1,
    "tokenizer.ggml.model": "bert",
    "tokenizer.ggml.token_type_count": 2,
    "tokenizer.ggml.padding_token_id": 0,
    "tokenizer.ggml.unknown_token_id": 100,
    "tokenizer.ggml.bos_token_id": 101,
    "tokenizer.ggml.eos_token_id": 102,
    "tokenizer.ggml.seperator_token_id": 102,
    "tokenizer.ggml.mask_token_id": 103,
}


def convert(weights: Path, path: Path) -> Path:
    """The weights folder as one file, matrices in 16 bits."""
    tokens = (weights / "vocab.txt").read_text("utf-8").split("\n")[:30522]
    kinds = [UNKNOWN if t == "[UNK]" else CONTROL if t in SPECIAL else NORMAL for t in tokens]
    names = dict(NAMES)
    for number in range(LAYERS):
        for theirs, ours in LAYER_NAMES.items():
            names[f"encoder.layer.{number}.{theirs}"] = f"blk.{number}.{ours}"
    tensors = {}
    for name, tensor in read_safetensors(weights / "model.safetensors").items():
        stem, _, part = name.rpartition(".")
        if stem in names:
            wide = tensor.ndim == 1 or stem.startswith(("embeddings.position", "embeddings.token_type"))
            tensors[f"{names[stem]}.{part}"] = np.ascontiguousarray(tensor, np.float32 if wide else np.float16)
    shown = [_phantom(token) for token in tokens]
    return write(path, {**SETTINGS, "tokenizer.ggml.tokens": shown, "tokenizer.ggml.token_type": kinds}, tensors)


def _phantom(token: str) -> str:
    """llama.cpp marks the pieces that begin a word, BERT those that do not."""
    if token in SPECIAL:
        return token
    return token[2:] if token.startswith("##") and len(token) > 2 else f"\u2581{token}"
