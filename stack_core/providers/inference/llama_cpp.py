"""The embedded engine: GGUF files run by llama.cpp, each in a child process that starts at the first call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis._call import close
from stack_core.apis.inference import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    Completion,
    CompletionRequest,
    EmbeddingList,
    EmbeddingRequest,
    Inference,
    RerankRequest,
    RerankResponse,
)
from stack_core.apis.models import Model
from stack_core.apis.providers import Health, ProviderId
from stack_core.errors import ConfigError, ContextTooLong, InvalidRequest, NotFound, ProviderError, Unsupported
from stack_core.providers._registry import provider
from stack_core.providers.inference._engine import dialect, fan_out
from stack_core.providers.inference._engine.files import BUNDLED, Files, ModelFile
from stack_core.providers.inference._engine.process import Engine

if TYPE_CHECKING:
    from stack_core.providers.inference._engine.client import EngineClient

C = TypeVar("C", ChatCompletionChunk, Completion)
R = TypeVar("R", ChatCompletionRequest, CompletionRequest)
T = TypeVar("T")
SMALL = 100 * 2**20
"""Bytes below which a model is small: one thread is fastest, and what schemas leave open is bounded."""
PATIENCE = 1.0
"""Seconds to wait for a process to end whose connection broke, before the break is reported as it is."""


@dataclass(frozen=True)
class _Running:
    """An engine process and the client of it."""

    engine: Engine
    client: EngineClient
    file: ModelFile

    @property
    def small(self) -> bool:
        return self.file.header.size < SMALL

    async def close(self) -> None:
        await self.client.__aexit__(None, None, None)
        await self.engine.close()


@provider("inline::llama-cpp", packages=("xllamacpp",))
class LlamaCpp(Inference):
    """Models in GGUF files, run by llama.cpp in a child process each, started at the first call.

    Without `model_path` and `models` it has the model `tutorial` that comes with this package: tiny, made to try things
    out. Needs no service and no key. Ends with the process that started it, however that ends. Closing a stream frees
    its slot at once; a cancelled call that was not streamed holds it for up to a second.
    """

    class Config(BaseModel):
        """Which files, and how much room and how many threads each gets."""

        model_config = ConfigDict(extra="forbid", protected_namespaces=())
        model_path: str | None = Field(None, description="One GGUF file; its id is the file's name without .gguf.")
        models: dict[str, str] = Field(default_factory=dict, description="Several GGUF files: id → path.")
        n_ctx: int | None = Field(
            None, ge=32, description="Tokens of one request, answer included; else the trained context, at most 8192."
        )
        n_parallel: int = Field(2, ge=1, le=64, description="Requests at once; each has n_ctx tokens of its own.")
        n_threads: int | None = Field(None, ge=1, le=512, description="Else 1 for files below 100 MB, or cores - 1.")
        n_gpu_layers: int = Field(0, ge=0, description="Layers on a GPU, where the installed engine has one.")
        embedding: bool = Field(False, description="These files embed or rerank; BERT-like ones need it.")

    def __init__(self, config: Config, provider_id: ProviderId) -> None:
        self._config, self._id = config, str(provider_id)
        self._files = Files(
            config.model_path,
            config.models,
            n_ctx=config.n_ctx,
            n_parallel=config.n_parallel,
            embedding=config.embedding,
            where=f"providers.inference.{self._id}.config",
        )
        self._running: dict[str, _Running] = {}
        self._starting: dict[str, asyncio.Lock] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        """Refuse to start where no file can be used; while one can, the others are listed with their problem.

        Raises:
            ConfigError: the first file's fault.
        """
        faults = []
        for name in self._files.paths:
            try:
                self._files.check(name)
                return self
            except ConfigError as error:
                faults.append(error)
        raise faults[0]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        for lock in self._starting.values():  # what is starting now has to be ended, too
            async with lock:
                pass
        running, self._running = self._running, {}
        await asyncio.gather(*(one.close() for one in running.values()))

    async def models(self) -> list[Model]:
        """The configured files; one that cannot be read is listed with its `problem`."""
        out = []
        for name in self._files.paths:
            kind, metadata = self._files.describe(name)
            out.append(
                Model(
                    identifier=f"{self._id}/{name}",
                    provider_id=self._id,
                    provider_resource_id=name,
                    model_type=kind,
                    metadata=metadata,
                )
            )
        return out

    async def health(self) -> Health:
        """Whether every file is there and can be loaded; starts nothing."""
        try:
            for name in self._files.paths:
                self._files.check(name)
        except ConfigError as error:
            return Health(status="Error", message=f"{error.message}{f'; {error.hint}' if error.hint else ''}")
        return Health(status="OK")

    async def chat_completion(
        self, request: ChatCompletionRequest
    ) -> ChatCompletion | AsyncIterator[ChatCompletionChunk]:
        """Answer a conversation. Several answers (`n`) are made at once, as far as there are slots.

        Raises:
            ConfigError: the file is missing, damaged, or does not fit the configuration.
            ContextTooLong: the prompt has more tokens than a slot.
            ProviderError: the engine ended, and how; the next call starts it anew.
            InvalidRequest: images, an unknown tool, a wrong schema.
        """
        running = await self._ready(request.model, generating=True)
        request = _greedy(request, running)
        asked, reading = dialect.chat_request(request, small=running.small)
        reader = dialect.ChatReader(reading, alternatives=bool(request.top_logprobs))
        singles = fan_out.single_requests(asked)
        calls: list[fan_out.Call] = [partial(running.client.chat_completion, one) for one in singles]
        if request.stream:
            return await self._stream(running, calls, 1, reader.piece)
        return reader.whole(await self._watched(running, fan_out.merged(calls)))

    async def completion(self, request: CompletionRequest) -> Completion | AsyncIterator[Completion]:
        """Continue a prompt, or several. Errors as for `chat_completion`."""
        running = await self._ready(request.model, generating=True)
        request = _greedy(request, running)
        dialect.check_text_request(request)
        reader = dialect.TextReader(request)
        singles = fan_out.single_requests(request)
        prompts = max(1, len(singles) // (request.n or 1))
        calls: list[fan_out.Call] = [partial(running.client.completion, one) for one in singles]
        if request.stream:
            return await self._stream(running, calls, prompts, reader.read)
        return reader.read(await self._watched(running, fan_out.merged(calls, prompts=prompts)))

    async def embeddings(self, request: EmbeddingRequest) -> EmbeddingList:
        """Turn texts into vectors. Errors as for `chat_completion`."""
        running = await self._ready(request.model, generating=False)
        size = running.file.header.embedding_length
        if request.dimensions not in (None, size):
            raise InvalidRequest(f"dimensions: {request.model} gives {size} and cannot shorten them")
        return await self._watched(running, running.client.embeddings(request))

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """Order items by their relevance to a query; scores are the model's own. Errors as for `chat_completion`."""
        running = await self._ready(request.model, generating=False)
        if not running.file.header.is_reranker:
            raise Unsupported(f"{request.model} cannot rerank", "name a reranker's GGUF file, or use inline::minilm")
        return await self._watched(running, running.client.rerank(request))

    async def _ready(self, model: str, *, generating: bool) -> _Running:
        """The engine of a model, started where it does not run."""
        if model not in self._files.paths:
            raise NotFound("model", model, self._files.paths)
        if generating and self._config.embedding:
            raise Unsupported(f"{self._id} is set to embed (embedding: true) and cannot generate")
        if not generating and not self._config.embedding:
            raise Unsupported(f"{self._id} is not set to embed", "set embedding: true, or use inline::minilm")
        running = self._running.get(model)
        if running is not None and running.engine.alive:
            return running
        async with self._starting.setdefault(model, asyncio.Lock()):
            if self._closed:
                raise ProviderError(f"{self._id} is closed", "open the stack again", provider_id=self._id)
            running = self._running.get(model)
            if running is not None and running.engine.alive:
                return running
            if running is not None:
                await self._running.pop(model).close()
            started = self._running[model] = await self._start(model)
            return started

    async def _start(self, model: str) -> _Running:
        from stack_core.providers.inference._engine.client import EngineClient  # here: it loads the HTTP client

        file = self._files.check(model)
        threads = self._config.n_threads or (1 if file.header.size < SMALL else max(1, (os.cpu_count() or 2) - 1))
        engine = await Engine.start(
            file.settings(
                n_parallel=self._config.n_parallel, n_threads=threads, n_gpu_layers=self._config.n_gpu_layers
            ),
            where=file.where,
        )
        client = EngineClient(engine, self._id)  # type: ignore[abstract]  # stored completions are the stack's
        return _Running(engine, client, file)

    async def _stream(
        self, running: _Running, calls: list[fan_out.Call], prompts: int, read: Callable[[C], C | None]
    ) -> AsyncIterator[C]:
        source: AsyncIterator[C] = await self._watched(running, fan_out.opened(calls, prompts=prompts))
        return _Stream(source, read, partial(self._explained, running=running))

    async def _watched(self, running: _Running, call: Awaitable[T]) -> T:
        try:
            return await call
        except ProviderError as error:
            raise await self._explained(error, running) from error

    async def _explained(self, error: ProviderError, running: _Running) -> ProviderError:
        """The error, or what stands behind it: an engine that ended, a text that was too long."""
        if error.upstream_status is None and (how := await running.engine.ended(PATIENCE)):
            who = f"{self._id}/{running.file.name}"
            return ProviderError(f"{who}: {how}", "ask again: the next call starts it anew", provider_id=self._id)
        if isinstance(error, ContextTooLong) or "too large to process" in error.message:
            return ContextTooLong(
                error.message,
                f"shorten it; a request has {running.file.n_ctx} tokens here (n_ctx, at most "
                f"{running.file.header.context_length} for this model)",
                provider_id=self._id,
                upstream_status=error.upstream_status,
            )
        return error


def _greedy(request: R, running: _Running) -> R:
    """The tutorial model takes the likeliest token unless told otherwise: a guess of so small a model is seldom good,
    and a tutorial reads the same each time."""
    if request.temperature is not None or running.file.path != BUNDLED:
        return request
    return request.model_copy(update={"temperature": 0.0})


class _Stream(AsyncIterator[C]):
    """Chunks as they were read; `aclose` closes the connection, which frees the engine's slot."""

    def __init__(
        self,
        source: AsyncIterator[C],
        read: Callable[[C], C | None],
        explain: Callable[[ProviderError], Awaitable[ProviderError]],
    ) -> None:
        self._source: AsyncIterator[C] = source
        self._read: Callable[[C], C | None] = read
        self._explain = explain

    async def __anext__(self) -> C:
        try:
            while True:
                chunk = self._read(await anext(self._source))
                if chunk is not None:
                    return chunk
        except ProviderError as error:
            await self.aclose()
            raise await self._explain(error) from error

    async def aclose(self) -> None:
        """End the answer here."""
        await close(self._source)
