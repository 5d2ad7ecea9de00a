"""The head of a model file is read whole, and whatever is damaged is refused with a reason."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from stack_core.providers.inference._engine.gguf import DamagedFile, read_header
from tests.stack_core.providers.inference.gguf_files import header_only


def test_reads_what_a_model_says_of_itself(tmp_path: Path) -> None:
    header = read_header(header_only(tmp_path / "a.gguf"))
    assert (header.architecture, header.name, header.context_length, header.layers) == ("llama", "made up", 512, 2)
    assert not header.is_encoder
    assert header.cache_width == 4 * (16 + 16)
    assert header.memory(100) == header.size + 2 * 100 * 2 * 128


def test_encoders_and_rerankers_are_known(tmp_path: Path) -> None:
    assert read_header(header_only(tmp_path / "b.gguf", "bert")).is_encoder
    ranker = read_header(header_only(tmp_path / "c.gguf", "bert", **{"bert.pooling_type": 4}))
    assert ranker.is_reranker


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    whole = header_only(tmp_path / "whole.gguf").read_bytes()
    cut = tmp_path / "cut.gguf"
    data_begins = len(whole) - 2 * 64 * 4
    for length in range(0, data_begins + 1, 7):
        cut.write_bytes(whole[:length])
        with pytest.raises(DamagedFile):
            read_header(cut)


def test_garbled_heads_never_escape_as_other_errors(tmp_path: Path) -> None:
    whole = bytearray(header_only(tmp_path / "whole.gguf").read_bytes())
    chance = random.Random(5)
    refused = 0
    for number in range(300):
        garbled = bytearray(whole)
        for _ in range(3):
            garbled[chance.randrange(0, 300)] = chance.randrange(256)
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(garbled)
        try:
            read_header(path)
        except DamagedFile:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "starts with"),
        (b"GGUF\x01\x00\x00\x00" + bytes(16), "version 1"),
        (b"GGUF\x03\x00\x00\x00" + b"\xff" * 16, "claims"),
        (b"GGUF\x03\x00\x00\x00" + bytes(16), "claims 0 tensors"),
    ],
)
def test_reasons(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=reason):
        read_header(path)


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = header_only(tmp_path / "a.gguf")
    read_header(path)
    path.write_bytes(b"something else")
    with pytest.raises(DamagedFile):
        read_header(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(DamagedFile, match="no regular file"):
        read_header(tmp_path / "pipe.gguf")
