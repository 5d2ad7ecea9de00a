"""What could crash or hang the engine is refused before it starts, with the place in the configuration and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stack_core.apis.inference import ChatCompletionRequest, EmbeddingRequest
from stack_core.apis.providers import ProviderId
from stack_core.errors import ConfigError, MissingPackage, NotFound, Unsupported
from stack_core.providers.inference._engine import process
from stack_core.providers.inference._engine.files import BUNDLED
from stack_core.providers.inference.llama_cpp import LlamaCpp
from tests.stack_core.providers.inference.gguf_files import header_only


def build(**config: Any) -> LlamaCpp:
    return LlamaCpp(LlamaCpp.Config.model_validate(config), ProviderId("local"))


def ask(model: str) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate({"model": model, "messages": [{"role": "user", "content": "hi"}]})


async def refused(provider: LlamaCpp, model: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        await provider.chat_completion(ask(model))
    health = await provider.health()
    assert (health.status, caught.value.message in (health.message or "")) == ("Error", True)
    assert caught.value.hint
    return caught.value


async def test_a_missing_file_names_its_place_and_what_is_near(tmp_path: Path) -> None:
    header_only(tmp_path / "llama-3.2-1b.gguf")
    error = await refused(build(model_path=str(tmp_path / "llama-3.1-1b.gguf")), "llama-3.1-1b")
    assert str(tmp_path / "llama-3.1-1b.gguf") in error.message
    assert error.where == "providers.inference.local.config.model_path"
    assert "llama-3.2-1b.gguf" in (error.hint or "")


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    error = await refused(build(models={"a": str(tmp_path)}), "a")
    assert "cannot be read" in error.message
    assert error.where == "providers.inference.local.config.models.a"


async def test_a_cut_or_foreign_file(tmp_path: Path) -> None:
    whole = header_only(tmp_path / "whole.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[:200])
    (tmp_path / "page.gguf").write_bytes(b"<html>not found</html>")
    provider = build(models={"cut": str(tmp_path / "cut.gguf"), "page": str(tmp_path / "page.gguf")})
    assert "cut off" in (await refused(provider, "cut")).message
    with pytest.raises(ConfigError, match="not with GGUF"):
        await provider.chat_completion(ask("page"))


async def test_an_embedding_model_cannot_chat(tmp_path: Path) -> None:
    path = header_only(tmp_path / "bert.gguf", "bert")
    error = await refused(build(model_path=str(path)), "bert")
    assert "embedding: true" in (error.hint or "")
    with pytest.raises(Unsupported, match="embed"):
        await build(model_path=str(path), embedding=True).chat_completion(ask("bert"))


async def test_a_chat_model_does_not_embed_unasked(tmp_path: Path) -> None:
    provider = build(model_path=str(header_only(tmp_path / "a.gguf")))
    with pytest.raises(Unsupported, match="not set to embed"):
        await provider.embeddings(EmbeddingRequest(model="a", input="x"))


async def test_more_context_than_trained(tmp_path: Path) -> None:
    error = await refused(build(model_path=str(header_only(tmp_path / "a.gguf")), n_ctx=2**30), "a")
    assert "512" in error.message
    assert error.where == "providers.inference.local.config.n_ctx"


async def test_more_memory_than_there_is(tmp_path: Path) -> None:
    changes = {"llama.context_length": 2**31, "llama.block_count": 900}
    path = header_only(tmp_path / "a.gguf", **changes)
    error = await refused(build(model_path=str(path), n_ctx=2**30), "a")
    assert "GiB" in error.message


@pytest.mark.parametrize("config", [{"n_parallel": 0}, {"n_ctx": 0}, {"n_threads": 0}, {"n_contex": 5}])
def test_impossible_settings_are_no_config(config: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        LlamaCpp.Config.model_validate(config)


async def test_an_unknown_model_names_the_nearest(tmp_path: Path) -> None:
    provider = build(models={"alpha": str(header_only(tmp_path / "a.gguf"))})
    with pytest.raises(NotFound, match="alpah") as caught:
        await provider.chat_completion(ask("alpah"))
    assert caught.value.nearest == ["alpha"]


async def test_models_say_what_they_are(tmp_path: Path) -> None:
    good = header_only(tmp_path / "good.gguf")
    provider = build(models={"good": str(good), "gone": str(tmp_path / "gone.gguf")})
    listed = {model.identifier: model for model in await provider.models()}
    assert listed["local/good"].metadata == {"file": good.name, "context_length": 512}
    assert "no file" in listed["local/gone"].metadata["problem"]
    embedding = build(model_path=str(header_only(tmp_path / "b.gguf", "bert")), embedding=True)
    (model,) = await embedding.models()
    assert (model.model_type, model.metadata["embedding_dimension"]) == ("embedding", 64)


async def test_nothing_configured_is_the_bundled_model() -> None:
    provider = build()
    (model,) = await provider.models()
    assert model.identifier == "local/tutorial"
    assert (model.metadata["tutorial"], model.metadata["file"]) == (True, BUNDLED.name)


async def test_without_the_engine_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage) as caught:
        await build(model_path=str(header_only(tmp_path / "a.gguf"))).chat_completion(ask("a"))
    assert caught.value.hint == "pip install xllamacpp"
