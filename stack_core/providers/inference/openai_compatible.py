"""Every service that speaks OpenAI's protocol, more or less: one class, and a row of data for each in `rows.py`.

A call goes: model and key checked → the fields that the caller set → the row's steps → the wire → the answer mended. A
stream's chunks come out as they arrive; closing it, or cancelling the task that reads it, closes the connection.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

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
from stack_core.errors import InvalidRequest, NotFound, StackError, Unsupported
from stack_core.http import EventParser, HTTPError, InvalidURL, Response, body_of, open_client
from stack_core.providers._refusals import About, error_in
from stack_core.providers.inference import _answers
from stack_core.providers.inference._chunks import ChatStream, TextStream
from stack_core.providers.inference._config import ServiceConfig
from stack_core.providers.inference._quirks import image_urls
from stack_core.providers.inference._upstream import Target, Upstream

T = TypeVar("T")
FRESH_SECONDS, KEPT_SECONDS, LOCAL_SECONDS = 60.0, 3600.0, 10.0
"""How long a model list is kept: with `refresh_models`, without, and for services without a key (they are near)."""
HEALTH_SECONDS = 5.0
LINGER_SECONDS = 0.5
LARGEST_IMAGE = 20 * 2**20


class _Mender(Protocol[T]):
    """What mends a stream: `_chunks.ChatStream` or `_chunks.TextStream`."""

    def feed(self, payload: dict[str, Any]) -> T | None: ...
    def finish(self) -> list[T]: ...
    @property
    def empty(self) -> bool: ...


class OpenAICompatible(Inference):
    """A service that speaks OpenAI's protocol; what differs stands in its row (`config.row`)."""

    def __init__(self, config: ServiceConfig, provider_id: ProviderId) -> None:
        self.row, self.config, self.provider_id = config.row, config, str(provider_id)
        self._upstream = Upstream(config, self.provider_id)
        self._models: tuple[float, list[Model]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._upstream.aclose()

    async def chat_completion(
        self, request: ChatCompletionRequest
    ) -> ChatCompletion | AsyncIterator[ChatCompletionChunk]:
        """Answer a conversation; with `stream=True` in chunks, the usage in the last one."""
        target = await self._target("chat", request.model)
        body = self._body(request, "chat", target)
        if self.row.inline_images:
            await self._inline_images(body)
        path, tags = "/chat/completions", self.row.think
        if request.stream:
            response = await self._upstream.open_stream(path, body, target, request.model)
            return _Stream(self._upstream, target, request.model, response, ChatStream(request.model, tags))
        payload = await self._upstream.post(path, body, target, request.model)
        try:
            return _answers.chat(payload, request.model, tags)
        except _MALFORMED as error:
            raise self._upstream.refusals.unreadable(_fault(error), request.model) from error

    async def completion(self, request: CompletionRequest) -> Completion | AsyncIterator[Completion]:
        """Continue a prompt; with `stream=True` in pieces, the usage in the last one."""
        target = await self._target("completions", request.model)
        body = self._body(request, "completions", target)
        if request.stream:
            response = await self._upstream.open_stream("/completions", body, target, request.model)
            return _Stream(self._upstream, target, request.model, response, TextStream(request.model))
        payload = await self._upstream.post("/completions", body, target, request.model)
        try:
            return _answers.text(payload, request.model)
        except _MALFORMED as error:
            raise self._upstream.refusals.unreadable(_fault(error), request.model) from error

    async def embeddings(self, request: EmbeddingRequest) -> EmbeddingList:
        """Turn texts into vectors, in the order of the input and the asked encoding."""
        target = await self._target("embeddings", request.model)
        body = self._body(request, "embeddings", target)
        payload = await self._upstream.post("/embeddings", body, target, request.model)
        try:
            return _answers.vectors(payload, request.model, request.encoding_format or "float")
        except _MALFORMED as error:
            raise self._upstream.refusals.unreadable(_fault(error), request.model) from error

    async def rerank(self, request: RerankRequest) -> RerankResponse:
        """Order items by their relevance to a query, best first."""
        target = await self._target("rerank", request.model)
        try:
            results = await self.row.rerank(self._upstream, target, request) if self.row.rerank else []
        except _MALFORMED as error:
            raise self._upstream.refusals.unreadable(_fault(error), request.model) from error
        return RerankResponse(data=results[: request.max_num_results])

    async def models(self) -> list[Model]:
        """What the service offers and the config allows, kept for a while."""
        target = await self._upstream.target()
        if self._models and target.own and time.monotonic() < self._models[0]:
            return list(self._models[1])
        try:
            found = await self.row.listing(self._upstream, target)
        except _MALFORMED as error:
            raise self._upstream.refusals.unreadable(_fault(error), "model list") from error
        models = [
            Model(
                identifier=f"{self.provider_id}/{item.id}",
                provider_id=self.provider_id,
                provider_resource_id=item.id,
                model_type=item.type,
                metadata=item.metadata,
                created=item.created,
            )
            for item in {item.id: item for item in found}.values()  # NVIDIA lists some twice
            if self._allowed(item.id)
        ]
        if target.own:
            kept = KEPT_SECONDS if self.row.key else LOCAL_SECONDS
            self._models = (time.monotonic() + (FRESH_SECONDS if self.config.refresh_models else kept), models)
        return list(models)

    async def health(self) -> Health:
        """Ask the service's own health route, or its model list, within five seconds."""
        try:
            target = await self._upstream.target()
            if self.row.health is None:
                return Health(status="Not Implemented", message="the service has no check that costs nothing")
            async with asyncio.timeout(HEALTH_SECONDS):
                await self._check(self.row.health, target)
        except TimeoutError:
            return Health(status="Error", message=f"{self.provider_id} did not answer within {HEALTH_SECONDS:g} s")
        except StackError as error:
            return Health(status="Error", message=f"{error.message}{f'; {error.hint}' if error.hint else ''}")
        return Health(status="OK")

    async def _check(self, place: str, target: Target) -> None:
        if place == "list":
            await self.row.listing(self._upstream, target)
        else:
            await self._upstream.probe(place.format(root=target.root, base=target.base), target)

    async def _target(self, call: str, model: str) -> Target:
        """Where the call goes, after what can be refused without asking the service."""
        offered = {*self.row.offers, *(["rerank"] if self.row.rerank else [])}
        if call not in offered:
            offers = ", ".join(sorted(offered))
            raise Unsupported(f"{self.provider_id} ({self.row.type}) has no {call}", f"it has {offers}")
        if not self._allowed(model):
            allowed = self.config.allowed_models or []
            raise NotFound("model", model, allowed, f"allowed_models of {self.provider_id}: {', '.join(allowed)}")
        return await self._upstream.target()

    def _allowed(self, model: str) -> bool:
        allowed = self.config.allowed_models
        if allowed is None or model in allowed:
            return True
        return self.row.tagged and (f"{model}:latest" in allowed or model.removesuffix(":latest") in allowed)

    def _body(self, request: BaseModel, call: str, target: Target) -> dict[str, Any]:
        """What is sent: the fields that the caller set, then the row's steps."""
        body = request.model_dump(mode="json", exclude_none=True, by_alias=True)
        if body.get("stream"):
            if self.row.asks_usage:
                body["stream_options"] = {**body.get("stream_options", {}), "include_usage": True}
            else:
                body.pop("stream_options", None)
        for step in self.row.steps:
            step(body, call, target.config)
        return body

    async def _inline_images(self, body: dict[str, Any]) -> None:
        """The service fetches nothing: put the pictures themselves into the request."""
        places = list(image_urls(body))
        if not places:
            return
        async with open_client(network=self.config.network) as client:
            for place in places:
                place["url"] = await _data_url(client, place["url"])


class _Stream(AsyncIterator[T], Generic[T]):
    """The chunks of one answer. `aclose` closes the connection, read to the end or not."""

    def __init__(self, upstream: Upstream, target: Target, model: str, response: Response, mender: _Mender[T]) -> None:
        self._upstream, self._target, self._model = upstream, target, model
        self._response, self._mender = response, mender
        self._body = aiter(body_of(response))
        self._parser = EventParser()
        self._ready: deque[T] = deque()
        self._done = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._ready:
            if self._done:
                await self._leave()
                raise StopAsyncIteration
            whole = False
            try:
                await self._read()
                whole = True
            finally:
                if not whole:
                    await self.aclose()
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Close the connection; what was received but not given out is dropped."""
        self._done = True
        await self._response.aclose()

    async def _read(self) -> None:
        """Take the next piece of the body and turn its whole events into chunks."""
        try:
            piece = await anext(self._body, None)
        except (HTTPError, InvalidURL) as error:
            raise self._upstream.refusals.from_network(error, self._target.shown, streaming=True) from error
        events = self._parser.finish() if piece is None else self._parser.feed(piece)
        for name, data in events:
            if data == b"[DONE]":
                piece = None
                break
            self._take(name, data)
        if piece is None:
            self._end()

    async def _leave(self) -> None:
        """Read what is left after the last event, so that the connection can be used again; a service that keeps it
        open loses it."""
        if not self._response.is_closed:
            with contextlib.suppress(HTTPError, TimeoutError):
                async with asyncio.timeout(LINGER_SECONDS):
                    async for _ in self._body:
                        pass
            await self.aclose()

    def _take(self, name: str, data: bytes) -> None:
        try:
            payload = from_json(data)
        except ValueError as error:
            if not data.strip():
                return
            raise self._upstream.refusals.unreadable(_fault(error), self._model) from error
        if name == "error" or error_in(payload):
            raise self._upstream.refusals.from_payload(payload, About(self._model, self._target.secrets))
        try:
            chunk = self._mender.feed(payload)
        except _MALFORMED as error:
            raise self._upstream.refusals.unreadable(_fault(error), self._model) from error
        if chunk is not None:
            self._ready.append(chunk)

    def _end(self) -> None:
        if self._mender.empty:
            raise self._upstream.refusals.unreadable("the stream ended before anything came", self._model)
        try:
            self._ready.extend(self._mender.finish())
        except _MALFORMED as error:
            raise self._upstream.refusals.unreadable(_fault(error), self._model) from error
        self._done = True


_MALFORMED = (ValidationError, KeyError, TypeError, AttributeError)
"""What an answer of an unexpected shape raises when its fields are read."""


def _fault(error: Exception) -> str:
    """Where and why an answer cannot be read, without its content."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"[:200]


async def _data_url(client: Any, url: str) -> str:
    """The picture behind a URL as a `data:` URL.

    Raises:
        InvalidRequest: it cannot be fetched, is no picture, or is larger than 20 MiB.
    """
    try:
        async with client.stream("GET", url, follow_redirects=True) as response:
            kind = response.headers.get("content-type", "").partition(";")[0]
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > LARGEST_IMAGE:
                    raise InvalidRequest(f"the image {url} is larger than 20 MiB")
    except (HTTPError, InvalidURL) as error:
        raise InvalidRequest(f"the image {url} cannot be fetched: {error}", "check the address") from error
    if response.status_code != 200 or not kind.startswith("image/"):
        raise InvalidRequest(f"{url} is no image (status {response.status_code}, {kind or 'no type'})")
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
