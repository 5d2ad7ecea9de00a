"""One open stack: in this kernel or at a URL. One task of its own enters and leaves it, since some SDKs demand it."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stack_core.errors import ConfigError, NotFound, StackError, Unsupported, nearest

if TYPE_CHECKING:
    from stack_core.config import RunConfig

GRACE = 3.0
INFO_TIMEOUT = 2.0
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelInfo:
    """What the footer says of a model: its full id, whether it is the tutorial model, and its price.

    `price` is (input, output) in US dollars per million tokens; zero for a model that runs in this kernel."""

    id: str
    tutorial: bool = False
    price: tuple[float, float] | None = None


@dataclass
class Opened:
    """A stack and what the session knows of it. `stack` has the APIs as attributes; `config` is None at a URL."""

    name: str
    stack: Any
    source: Any
    """What it was opened from, as the Python twin writes it."""
    config: RunConfig | None = None
    location: str | None = None
    seconds: float = 0.0
    names: set[str] = field(default_factory=set)
    """Model ids and aliases that have been seen, for completion."""
    known: dict[str, ModelInfo] = field(default_factory=dict)
    _closing: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Leave the stack, in the task that entered it."""
        self._closing.set()
        if self._task is not None:
            await _settle(self._task)

    def fault(self) -> StackError | None:
        """Why this stack cannot do anything: no provider has started. A mistake in the file comes before a part that
        this version lacks."""
        faults: list[StackError | None] = [
            provider.error for provider in self.stack.providers_by_key.values() if provider.declared
        ]
        if not faults or not all(faults):
            return None
        return next((fault for fault in faults if not isinstance(fault, Unsupported)), faults[0])

    async def default_fault(self) -> ConfigError | None:
        """Why the configured default model cannot be: it is no alias, of no provider here, and listed by none."""
        if self.config is None or not (name := self.config.default_model) or name in self.config.aliases:
            return None
        provider, slash, _ = name.partition("/")
        here = {row.provider_id for row in self.config.providers.get("inference", [])}
        here |= {row.provider_id for row in self.config.off}
        if slash and provider in here:
            return None
        if name in {word for model in await self.models() for word in (model.identifier, model.provider_resource_id)}:
            return None
        close = nearest(name, [*self.config.aliases, *self.names])
        hint = f"did you mean {' or '.join(close)}?" if close else "name an alias of `models`, or provider_id/model"
        return ConfigError(f"there is no model {name!r}", hint, where="default")

    async def info(self, model: str) -> ModelInfo:
        """What is known of a model, asked once; only its name where the stack cannot say in time."""
        if model not in self.known:
            try:
                async with asyncio.timeout(INFO_TIMEOUT):
                    self.known[model] = await self._look_up(model)
            except (StackError, TimeoutError):
                return ModelInfo(model)
            self.names.add(model)
        return self.known[model]

    async def _look_up(self, model: str) -> ModelInfo:
        found = await self.stack.models.get_model(model)
        full = f"{found.provider_id}/{found.provider_resource_id}"
        if full != model:  # an alias has its own metadata, which wins over that of the model it stands for
            try:
                base = await self.stack.models.get_model(full)
                found = found.model_copy(update={"metadata": {**base.metadata, **found.metadata}})
            except NotFound:
                log.debug("%s is not listed by its provider", full)
        return ModelInfo(full, bool(found.metadata.get("tutorial")), self._price(found))

    async def models(self) -> list[Any]:
        """Every model that is registered or that a provider lists; their names are remembered."""
        listed: list[Any] = (await self.stack.models.list_models()).data
        self.names.update(model.identifier for model in listed)
        return listed

    async def default_model(self) -> str:
        """The model to ask where none is named: the configured one, else the first language model; empty where none."""
        if self.config is not None and self.config.default_model:
            return self.config.default_model
        listed = await self.models()
        llms = [m for m in listed if m.model_type == "llm" or m.custom_metadata.get("model_type") == "llm"]
        return llms[0].identifier if llms else ""

    def _price(self, model: Any) -> tuple[float, float] | None:
        price = model.metadata.get("price")
        if isinstance(price, dict):
            return float(price.get("input") or 0), float(price.get("output") or 0)
        entries = self.config.providers.get("inference", []) if self.config else []
        inline = any(e.provider_id == model.provider_id and e.provider_type.startswith("inline::") for e in entries)
        return (0.0, 0.0) if inline else None


async def enter(name: str, manager: AbstractAsyncContextManager[Any], source: Any) -> Opened:
    """Open a stack in a task of its own.

    Raises:
        StackError: it could not be opened; nothing is left open.
    """
    started = time.perf_counter()
    ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    closing = asyncio.Event()
    task = asyncio.get_running_loop().create_task(_live(manager, ready, closing), name=f"stack {name}")
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        await _settle(task)
        raise
    if not ready.done():
        await task
    opened = Opened(name, ready.result(), source, _closing=closing, _task=task)
    opened.seconds = time.perf_counter() - started
    return opened


async def _live(manager: AbstractAsyncContextManager[Any], ready: asyncio.Future[Any], closing: asyncio.Event) -> None:
    async with manager as stack:
        ready.set_result(stack)
        await closing.wait()


async def _settle(task: asyncio.Task[None]) -> None:
    """Wait for a task to end, for as long as a clean-up may take; what goes wrong then is logged, not raised."""
    done, _ = await asyncio.wait({task}, timeout=GRACE)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE)
    elif not task.cancelled() and (error := task.exception()) is not None:
        log.warning("closing %s: %s", task.get_name(), error)
