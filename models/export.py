# mypy: disable-error-code="import-not-found"
"""Write a run's checkpoint as one GGUF file: `python -m models.export --kind q8_0`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, TokenType
from numpy.typing import NDArray

from models.chat import TEMPLATE_PATH
from models.engine import BUNDLED
from models.tokenizer import CONTROL, VISIBLE

FILE_TYPES = {"f32": LlamaFileType.ALL_F32, "f16": LlamaFileType.MOSTLY_F16, "q8_0": LlamaFileType.MOSTLY_Q8_0}
END, PAD = "<|im_end|>", "<|endoftext|>"


@dataclass
class Vocabulary:
    """What llama.cpp needs of a byte-level BPE: tokens by id, their types, merges as `left right`."""

    tokens: list[str]
    types: list[int]
    merges: list[str]

    @classmethod
    def of(cls, tokenizer: Mapping[str, Any]) -> Vocabulary:
        """From the parsed `tokenizer.json`."""
        ids: dict[str, int] = dict(tokenizer["model"]["vocab"])
        ids.update({added["content"]: added["id"] for added in tokenizer["added_tokens"]})
        tokens = sorted(ids, key=ids.__getitem__)
        if sorted(ids.values()) != list(range(len(tokens))):
            raise ValueError("the token ids have gaps")
        merges = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]
        return cls(tokens, [int(token_type(token)) for token in tokens], merges)


def token_type(token: str) -> TokenType:
    """Control tokens end or frame turns; tool marks stay visible, because they are parsed from the text."""
    if token in CONTROL:
        return TokenType.CONTROL
    return TokenType.USER_DEFINED if token in VISIBLE else TokenType.NORMAL


def _add_shape(writer: GGUFWriter, shape: Mapping[str, Any]) -> None:
    writer.add_context_length(shape["context"])
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["hidden"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["kv_heads"])
    writer.add_layer_norm_rms_eps(shape["epsilon"])
    writer.add_rope_dimension_count(shape["head_width"])
    writer.add_key_length(shape["head_width"])
    writer.add_value_length(shape["head_width"])
    writer.add_rope_freq_base(shape["theta"])
    writer.add_vocab_size(shape["vocab"])


def _add_vocabulary(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    writer.add_token_merges(vocabulary.merges)
    end, pad = vocabulary.tokens.index(END), vocabulary.tokens.index(PAD)
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(end)
    writer.add_pad_token_id(pad)
    writer.add_bos_token_id(pad)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE_PATH.read_text(encoding="utf-8"))


def _add_weight(writer: GGUFWriter, name: str, weight: NDArray[np.float32], kind: str) -> None:
    if weight.ndim == 1 or kind == "f32":  # llama.cpp wants norms in F32
        writer.add_tensor(name, weight)
    elif kind == "f16":
        writer.add_tensor(name, weight.astype(np.float16))
    else:
        packed = gguf.quants.quantize(weight, GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)


def write(
    path: Path, weights: Mapping[str, NDArray[np.float32]], shape: Mapping[str, Any], vocabulary: Vocabulary, kind: str
) -> None:
    """One file of architecture `llama`; tied embeddings, so there is no output matrix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    writer = GGUFWriter(str(fresh), "llama")
    writer.add_name("Llama Magics tutorial model")
    writer.add_description("A tiny model for tutorials, trained on generated text. Not for real use.")
    writer.add_license("mit")
    writer.add_file_type(FILE_TYPES[kind])
    _add_shape(writer, shape)
    _add_vocabulary(writer, vocabulary)
    for name, weight in weights.items():
        _add_weight(writer, name, np.ascontiguousarray(weight, dtype=np.float32), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    fresh.replace(path)


def export(run: Path, path: Path, kind: str) -> None:
    """The checkpoint of a run's folder as a GGUF file of `kind`."""
    import torch  # writing needs it only to read the checkpoint

    from models.train import CHECKPOINT, CONFIG, TOKENIZER

    state = torch.load(run / CHECKPOINT)["model"]
    weights = {name: tensor.numpy() for name, tensor in state.items()}
    shape = json.loads((run / CONFIG).read_text())
    vocabulary = Vocabulary.of(json.loads((run / TOKENIZER).read_text(encoding="utf-8")))
    write(path, weights, shape, vocabulary, kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("models/runs/tutorial"))
    parser.add_argument("--to", type=Path, default=BUNDLED)
    parser.add_argument("--kind", choices=sorted(FILE_TYPES), default="q8_0")
    given = parser.parse_args()
    export(given.run, given.to, given.kind)
    print(f"{given.to}: {given.to.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
