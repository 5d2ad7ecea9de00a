"""Models: which there are, which are registered, and under which names (an alias is a second registration)."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import BaseModel, Field, computed_field, model_validator

from stack_core.apis._declare import route
from stack_core.apis._shapes import Strict

ModelType = Literal["llm", "embedding", "rerank"]


class Model(BaseModel):
    """A model as both client families read it: Llama Stack's fields and OpenAI's.

    Shapes: Llama Stack 0.3.5 (`identifier`, `provider_id`, …) and OpenAI's model object (`id`, `object`, …).
    """

    identifier: str = Field(description="What callers write: provider_id/upstream_id, or an alias.")
    provider_id: str
    provider_resource_id: str = Field(description="The model's name at its provider.")
    type: Literal["model"] = "model"
    model_type: ModelType = "llm"
    metadata: dict[str, Any] = Field(
        default_factory=dict, description="For embeddings: embedding_dimension, context_length."
    )
    created: int = 0
    source: Literal["registered", "listed"] = Field("listed", exclude=True)

    @computed_field(description="The identifier, as OpenAI's clients read it.")  # type: ignore[prop-decorator]  # pydantic's documented form
    @property
    def id(self) -> str:
        return self.identifier

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented form
    @property
    def object(self) -> Literal["model"]:
        return "model"

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented form
    @property
    def owned_by(self) -> str:
        return self.provider_id

    @computed_field(description="The same as metadata, plus type and provider, for newer Llama Stack clients.")  # type: ignore[prop-decorator]  # pydantic's documented form
    @property
    def custom_metadata(self) -> dict[str, Any]:
        return {
            "model_type": self.model_type,
            "provider_id": self.provider_id,
            "provider_resource_id": self.provider_resource_id,
            **self.metadata,
        }


class ModelList(BaseModel):
    """All models. There are no pages, as at OpenAI."""

    object: Literal["list"] = "list"
    data: list[Model]


class RegisterModelRequest(Strict):
    """Arguments of `register_model`."""

    model_id: str = Field(min_length=1, description="The id that callers will write.")
    provider_model_id: str | None = Field(None, description="The name at the provider; the model id where left out.")
    provider_id: str | None = Field(None, description="May be left out where only one provider serves inference.")
    metadata: dict[str, Any] | None = None
    model_type: ModelType | None = None
    model_validation: bool = Field(False, description="Refuse a model that the provider does not list (OGX).")

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        """Clients send explicit nulls for what was not given."""
        return {k: v for k, v in data.items() if v is not None} if isinstance(data, dict) else data


class DeletedModel(BaseModel):
    """A registration that is there no more. Shape: OpenAI's."""

    id: str
    object: Literal["model"] = "model"
    deleted: bool = True


class ModelSource(Protocol):
    """What an inference provider implements when its service can list models."""

    async def models(self) -> list[Model]:
        """What the service offers now, identifiers already in the form provider_id/upstream_id."""
        ...


class Models(Protocol):
    """The models of the stack: those that providers list and those that were registered."""

    @route("GET", "/models", sdk="models.list models.openai.list")
    async def list_models(self) -> ModelList:
        """Registered models and what each provider lists."""
        ...

    @route("GET", "/models/{model_id:path}", sdk="models.retrieve")
    async def get_model(self, model_id: str) -> Model:
        """One model by its id or alias."""
        ...

    @route("POST", "/models", sdk="models.register")
    async def register_model(self, request: RegisterModelRequest) -> Model:
        """Give a provider's model an id of your own: a registration, or an alias of one."""
        ...

    @route("DELETE", "/models/{model_id:path}", sdk="models.unregister models.delete")
    async def unregister_model(self, model_id: str) -> DeletedModel:
        """Forget a registration. What a provider lists by itself cannot be removed."""
        ...
