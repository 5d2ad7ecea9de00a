"""The models of the stack: registrations, what providers list, and which of them a call means."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from stack_core.apis._call import Call, Handler
from stack_core.apis.models import DeletedModel, Model, ModelList, Models, ModelSource, RegisterModelRequest
from stack_core.errors import InvalidRequest, NotFound, ProviderUnavailable, StackError
from stack_core.resources import ResourceTable

LISTING_SECONDS = 5.0
"""How long a provider may take to list its models before the others are shown without it."""


class Serving(Protocol):
    """A configured provider, as the resolver keeps it."""

    provider_id: str
    instance: Any
    error: StackError | None

    def required(self) -> Any: ...


class ModelRouter(Models):
    """Answers the Models API, and finds the provider of a call that names a model.

    Args:
        off: provider id → the variable that is not set, for providers that the run file has and that are switched off.
    """

    def __init__(
        self, table: ResourceTable[Model], providers: Mapping[str, Serving], off: Mapping[str, str] | None = None
    ) -> None:
        self._table, self._providers, self._off = table, providers, off or {}
        self._listed: dict[str, list[Model]] = {}

    async def __call__(self, call: Call) -> Any:
        """Fill in who serves the model, put its upstream name into the request, give the provider.

        Raises:
            NotFound: no such model; names the nearest.
            ProviderUnavailable: its provider did not start.
        """
        request = call.args["request"]
        provider_id, upstream = await self._find(request.model)
        call.model, call.provider_id, call.upstream_model = request.model, provider_id, upstream
        call.args = {**call.args, "request": request.model_copy(update={"model": upstream})}
        return self._providers[provider_id].required()

    async def middleware(self, call: Call, proceed: Handler) -> Any:
        """A provider that does not have a model knows only its own names: say the caller's, and the nearest of all."""
        try:
            return await proceed(call)
        except NotFound as error:
            if error.kind != "model" or call.model != f"{call.provider_id}/{error.id}":
                raise
            known = [*await self._table.all(), *(model.identifier for model in await self._offered())]
            told = NotFound("model", call.model, known)
            told.hint = told.hint if told.nearest else error.hint or told.hint
            raise told from error

    async def _find(self, name: str) -> tuple[str, str]:
        if (registered := await self._table.get(name)) is not None:
            self._present(registered.provider_id)
            return registered.provider_id, registered.provider_resource_id
        provider_id, slash, upstream = name.partition("/")
        if slash and (provider_id in self._providers or provider_id in self._off):
            self._present(provider_id)
            return provider_id, upstream
        offered = await self._offered()
        same = [model for model in offered if model.provider_resource_id == name]
        if len(same) == 1:
            return same[0].provider_id, same[0].provider_resource_id
        if same:
            raise InvalidRequest(f"several providers have {name!r}", f"write {' or '.join(m.identifier for m in same)}")
        rows = await self._table.all()
        if (registered := rows.get(name)) is not None:  # another process has registered it since
            self._present(registered.provider_id)
            return registered.provider_id, registered.provider_resource_id
        known = [*rows, *(model.identifier for model in offered if model.identifier not in rows)]
        raise NotFound("model", name, known, None if known else "no provider lists models: write provider_id/model")

    async def list_models(self) -> ModelList:
        """Registered models, then what each provider lists."""
        rows = dict(await self._table.all())
        for model in await self._offered(fresh=True):
            rows.setdefault(model.identifier, model)
        return ModelList(data=list(rows.values()))

    async def get_model(self, model_id: str) -> Model:
        """One model by its id or alias, or by its provider's name for it where only one provider has that."""
        rows = await self._table.all()
        if (registered := rows.get(model_id)) is not None:
            return registered
        offered = {model.identifier: model for model in await self._offered(fresh=True)}
        same = [model for model in offered.values() if model.provider_resource_id == model_id]
        if model_id in offered or len(same) == 1:
            return offered.get(model_id) or same[0]
        raise NotFound("model", model_id, {**rows, **offered})

    async def register_model(self, request: RegisterModelRequest) -> Model:
        """Give a provider's model an id of your own."""
        provider_id = request.provider_id or self._only_provider()
        self._present(provider_id)
        model = Model(
            identifier=request.model_id,
            provider_id=provider_id,
            provider_resource_id=(request.provider_model_id or request.model_id).removeprefix(f"{provider_id}/"),
            model_type=request.model_type or "llm",
            metadata=request.metadata or {},
            created=int(time.time()),
        )
        if model.model_type == "embedding" and "embedding_dimension" not in model.metadata:
            raise InvalidRequest(
                "an embedding model needs metadata.embedding_dimension",
                'such as metadata={"embedding_dimension": 384}',
            )
        if request.model_validation:
            await self._check_listed(model)
        await self._table.put(model.identifier, model)
        return model

    async def unregister_model(self, model_id: str) -> DeletedModel:
        """Forget a registration."""
        if await self._table.remove(model_id):
            return DeletedModel(id=model_id)
        offered = {model.identifier for model in await self._offered()}
        if model_id in offered:
            raise InvalidRequest(
                f"{model_id} is its provider's own and cannot be removed", "allowed_models limits a list"
            )
        raise NotFound("model", model_id, await self._table.all())

    async def _check_listed(self, model: Model) -> None:
        rows = [row for row in await self._offered(fresh=True) if row.provider_id == model.provider_id]
        names = [row.provider_resource_id for row in rows]
        if model.provider_resource_id not in names:
            raise NotFound(f"model of {model.provider_id}", model.provider_resource_id, names)

    def _present(self, provider_id: str) -> None:
        """Refuse a provider that is not there, with the variable that would switch it on."""
        if provider_id in self._providers:
            return
        if (variable := self._off.get(provider_id)) is not None:
            message = f"{provider_id} is switched off: {variable} is not set"
            raise ProviderUnavailable(message, f"export {variable}=…", provider_id=provider_id)
        raise NotFound("provider", provider_id, self._providers)

    def _only_provider(self) -> str:
        if len(self._providers) == 1:
            return next(iter(self._providers))
        names = ", ".join(self._providers) or "none"
        raise InvalidRequest("provider_id is needed where several providers serve inference", f"providers: {names}")

    async def _offered(self, *, fresh: bool = False) -> list[Model]:
        """What the providers list; `fresh` asks those again that have not answered. A provider that fails or is slow
        is left out: its health says why."""
        asked = {
            name: cast(ModelSource, serving.instance)
            for name, serving in self._providers.items()
            if hasattr(serving.instance, "models") and (fresh or name not in self._listed)
        }
        found = await asyncio.gather(*(_listing(source) for source in asked.values()))
        for name, models in zip(asked, found, strict=True):
            if models is not None:
                self._listed[name] = models
            else:
                self._listed.pop(name, None)
        return [model for models in self._listed.values() for model in models]


async def _listing(source: ModelSource) -> list[Model] | None:
    try:
        async with asyncio.timeout(LISTING_SECONDS):
            return await source.models()
    except (StackError, TimeoutError):
        return None


def configured(entries: Iterable[Any], only: str | None) -> list[tuple[str, Model]]:
    """The run file's registered models; `only` is the provider of entries that name none."""
    return [
        (
            entry.model_id,
            Model(
                identifier=entry.model_id,
                provider_id=entry.provider_id or only or "",
                provider_resource_id=entry.provider_model_id or entry.model_id,
                model_type=entry.model_type,
                metadata=entry.metadata,
            ),
        )
        for entry in entries
    ]
