"""Which provider keeps a store and which model embeds for it: what the caller says, else the run file's `vector_stores`
section, else what there is."""

from __future__ import annotations

from typing import Any, NamedTuple

from stack_core.apis.models import Model
from stack_core.builtin._ground import Ground
from stack_core.errors import InvalidRequest, NotFound, Unsupported

_OTHER = (
    "the run file names it in vector_stores.default_embedding_model: give another as embedding_model, or add "
    "a provider of one, such as inline::minilm"
)


class Embedder(NamedTuple):
    """A model and the length of its vectors; `shorten` where the model must be asked for that length."""

    model: str | None
    dimension: int
    shorten: bool = False


def provider(ground: Ground, wanted: str | None) -> str:
    """The id of the provider that keeps a new store: the one wanted, the default, the first that runs.

    Raises:
        NotFound: there is none of this id; names the nearest.
        Unsupported: no provider of vector IO is configured.
        ProviderUnavailable: it did not start.
    """
    there = ground.providers("vector_io")
    named = wanted or ground.section("vector_stores").get("default_provider_id")
    if named is not None:
        if named not in there:
            raise NotFound("provider of vector_io", str(named), there)
        there[named].required()
        return str(named)
    if not there:
        raise Unsupported(
            "no provider of vector_io is configured", "add one under providers.vector_io, such as inline::faiss"
        )
    running = [name for name, serving in there.items() if serving.error is None]
    if not running:
        next(iter(there.values())).required()
    return running[0]


async def embedder(ground: Ground, wanted: str | None, dimension: int | None) -> Embedder:
    """The model of a new store with the length of its vectors; where only a length is given and there is no embedding
    model, the store takes chunks that bring their vectors.

    Raises:
        NotFound: there is no such model; names the nearest.
        InvalidRequest: it is no embedding model, or cannot give vectors of this length.
        Unsupported: no model that embeds is there.
    """
    model = await _model(ground, wanted)
    if model is None:
        if dimension is None:
            raise Unsupported("there is no embedding model", "add a provider of one, such as inline::minilm")
        return Embedder(None, dimension)
    if model.model_type != "embedding":
        raise InvalidRequest(f"{model.identifier} is no embedding model but one of type {model.model_type}")
    known = model.metadata.get("embedding_dimension") or await measured(ground, model.identifier)
    if dimension in (None, int(known)):
        return Embedder(model.identifier, int(known))
    given = await measured(ground, model.identifier, dimension)
    if given != dimension:
        raise InvalidRequest(f"{model.identifier} gives vectors of {given} numbers, not {dimension}")
    return Embedder(model.identifier, given, shorten=True)


async def measured(ground: Ground, model: str, dimension: int | None = None) -> int:
    """How long the vectors of a model are, seen by embedding one text."""
    asked: dict[str, Any] = {"dimensions": dimension} if dimension else {}
    answer = await ground.bound("inference").embeddings(model=model, input=["text"], **asked)
    return len(answer.data[0].embedding)


async def _model(ground: Ground, wanted: str | None) -> Model | None:
    models = ground.bound("models")
    default = ground.section("vector_stores").get("default_embedding_model") or {}
    named = "/".join(str(default[part]) for part in ("provider_id", "model_id") if default.get(part))
    if wanted is not None or named:
        try:
            found: Model = await models.get_model(model_id=wanted or named)
        except NotFound as error:
            if wanted is None:
                error.hint = _OTHER
            raise
        return found
    return next((model for model in (await models.list_models()).data if model.model_type == "embedding"), None)
