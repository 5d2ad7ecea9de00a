"""The engine's HTTP server as one more OpenAI-compatible service: at a socket's path instead of an address."""

from __future__ import annotations

from stack_core.apis.providers import ProviderId
from stack_core.http import Client, Network, open_client
from stack_core.providers.inference import _rerank as rerank
from stack_core.providers.inference._config import ServiceConfig, config_model
from stack_core.providers.inference._engine.dialect import tidy, without_surrogates
from stack_core.providers.inference._engine.process import Engine
from stack_core.providers.inference._upstream import Target, Upstream
from stack_core.providers.inference.openai_compatible import OpenAICompatible
from stack_core.providers.inference.rows import Row

SLOWEST = 3600.0
"""Seconds that a prompt may take before its first token; a large model on a small machine takes minutes."""
ROW = Row(
    "inline::llama-cpp",
    "llama.cpp",
    "http://engine",
    offers=("chat", "completions", "embeddings", "rerank"),
    rerank=rerank.documents("/rerank"),
    steps=(without_surrogates, tidy),  # UTF-8 has no form for the former
)


class EngineClient(OpenAICompatible):
    """The calls of one engine process."""

    def __init__(self, engine: Engine, provider_id: str) -> None:
        config = config_model(ROW).model_validate({ROW.url_field: ROW.url, ROW.key_field: engine.key})
        super().__init__(config, ProviderId(provider_id))
        self._upstream = _SocketUpstream(config, provider_id, str(engine.socket))


class _SocketUpstream(Upstream):
    """Connects to a Unix socket, anew for each call: the server drops a connection after a hundred calls or a few idle
    seconds, and to find that out costs more than to connect. Nothing is repeated: an engine that ended is reported and
    started anew."""

    def __init__(self, config: ServiceConfig, provider_id: str, socket: str) -> None:
        super().__init__(config, provider_id)
        self._socket = socket

    @property
    def client(self) -> Client:
        """The pooled client."""
        if self._client is None:
            once = {"connection": "close"}
            self._client = open_client(network=Network(timeout=SLOWEST), headers=once, uds=self._socket, retries=0)
        return self._client

    async def target(self) -> Target:
        """The one place; a caller's provider data does not change it."""
        if self._own is None:
            self._own = await self._resolve(self._config, own=True)
        return self._own
