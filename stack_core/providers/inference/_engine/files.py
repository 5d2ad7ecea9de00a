"""The configured model files: where they are, what they say of themselves, and whether they can be loaded as asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack_core.apis.models import ModelType
from stack_core.errors import ConfigError, nearest
from stack_core.providers.inference._engine.gguf import DamagedFile, Header, read_header
from stack_core.providers.inference._engine.process import Settings

TUTORIAL = "tutorial"
BUNDLED = Path(__file__).parents[3] / "bundled" / f"{TUTORIAL}.gguf"
USUAL_CONTEXT = 8192
"""Tokens of a request where neither the configuration nor the file says a smaller number."""


@dataclass(frozen=True)
class ModelFile:
    """A file that was found fit. `where` is its place in the configuration."""

    name: str
    path: Path
    header: Header
    n_ctx: int
    embedding: bool
    where: str

    def settings(self, *, n_parallel: int, n_threads: int, n_gpu_layers: int) -> Settings:
        """What the engine's process is told."""
        pooling = "RANK" if self.header.is_reranker else None if self.header.pooling is not None else "MEAN"
        return Settings(
            path=str(self.path),
            name=self.name,
            n_ctx=self.n_ctx,
            n_parallel=n_parallel,
            n_threads=n_threads,
            n_gpu_layers=n_gpu_layers,
            embedding=self.embedding,
            pooling=pooling if self.embedding else None,  # type: ignore[arg-type]  # mypy widens the literals above
        )


class Files:
    """Files by model id; `model_path` alone is named after its file, and nothing at all means the bundled model."""

    def __init__(
        self,
        model_path: str | None,
        models: Mapping[str, str],
        *,
        n_ctx: int | None,
        n_parallel: int,
        embedding: bool,
        where: str,
    ) -> None:
        self._places = {name: (Path(path).expanduser(), f"{where}.models.{name}") for name, path in models.items()}
        if model_path is not None:
            path = Path(model_path).expanduser()
            self._places.setdefault(path.name.removesuffix(".gguf"), (path, f"{where}.model_path"))
        if not self._places:
            self._places = {TUTORIAL: (BUNDLED, where)}
        self._n_ctx, self._n_parallel, self._embedding, self._where = n_ctx, n_parallel, embedding, where

    @property
    def paths(self) -> dict[str, Path]:
        """Model id → file."""
        return {name: path for name, (path, _) in self._places.items()}

    def describe(self, name: str) -> tuple[ModelType, dict[str, Any]]:
        """What a model is for, and its metadata; a file that cannot be used has a `problem` there."""
        path, _ = self._places[name]
        metadata: dict[str, Any] = {"file": path.name} | ({"tutorial": True} if path == BUNDLED else {})
        try:
            file = self.check(name)
        except ConfigError as error:
            return "embedding" if self._embedding else "llm", metadata | {"problem": error.message}
        metadata["context_length"] = file.n_ctx
        if not self._embedding:
            return "llm", metadata
        if file.header.is_reranker:
            return "rerank", metadata
        return "embedding", metadata | {"embedding_dimension": file.header.embedding_length}

    def check(self, name: str) -> ModelFile:
        """The file of a model, fit to be loaded.

        Raises:
            ConfigError: it is missing, damaged, of the wrong kind, or larger than what is there; says what to do.
        """
        path, where = self._places[name]
        header = self._header(path, where)
        if header.is_encoder and not self._embedding:
            raise ConfigError(
                f"{path} is an embedding model ({header.architecture}), which cannot generate",
                "set embedding: true, in a provider of its own if others generate",
                where=where,
            )
        n_ctx = self._context(header)
        self._check_memory(path, header, n_ctx)
        return ModelFile(name, path, header, n_ctx, self._embedding, where)

    def _header(self, path: Path, where: str) -> Header:
        try:
            return read_header(path)
        except FileNotFoundError as error:
            raise ConfigError(f"there is no file {path}", _near(path), where=where) from error
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}", _near(path), where=where) from error
        except DamagedFile as error:
            raise ConfigError(
                f"{path} is no model file that can be loaded: {error}",
                "fetch it again; a model file ends in .gguf and is in llama.cpp's GGUF format",
                where=where,
            ) from error

    def _context(self, header: Header) -> int:
        trained = header.context_length or USUAL_CONTEXT
        if self._n_ctx is None:
            return min(trained, USUAL_CONTEXT)
        if self._n_ctx > trained:
            raise ConfigError(
                f"{self._n_ctx} tokens are more than the {trained} that this model was trained for",
                f"set n_ctx to at most {trained}, or leave it out",
                where=f"{self._where}.n_ctx",
            )
        return self._n_ctx

    def _check_memory(self, path: Path, header: Header, n_ctx: int) -> None:
        needed, there = header.memory(n_ctx * self._n_parallel), _memory()
        if there is not None and needed > there:
            raise ConfigError(
                f"{path.name} with {self._n_parallel} times {n_ctx} tokens needs about {needed / 2**30:.1f} GiB, "
                f"and this machine has {there / 2**30:.1f}",
                "set n_ctx or n_parallel lower, or take a smaller model",
                where=f"{self._where}.n_ctx",
            )


def _near(path: Path) -> str:
    """What to do about a file that is not there."""
    if path == BUNDLED:
        return "the bundled model is missing from this installation: install llama-magics again"
    try:
        others = [file.name for file in path.parent.glob("*.gguf")]
    except OSError:
        others = []
    close = nearest(path.name, others) or sorted(others)[:3]
    return f"{path.parent} has {', '.join(close)}" if close else "give the path of a .gguf file"


def _memory() -> int | None:
    """Bytes of memory that this machine has, where it says so."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
