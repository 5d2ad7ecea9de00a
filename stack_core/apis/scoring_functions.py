"""The scoring functions: those that providers bring and those that are registered."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._resources import Resource, ResourceId
from stack_core.apis._scoring import ScoringFnParams
from stack_core.apis._shapes import Shape, Strict


class ParamType(Strict):
    """The type of a value, such as what a scoring function gives. Shape: Llama Stack 0.3.5."""

    type: Literal[
        "string",
        "number",
        "boolean",
        "array",
        "object",
        "json",
        "union",
        "chat_completion_input",
        "completion_input",
        "agent_turn_input",
    ]


class ScoringFn(Resource):
    """A scoring function. Shape: Llama Stack 0.3.5."""

    type: Literal["scoring_function"] = "scoring_function"
    description: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    return_type: ParamType
    params: ScoringFnParams | None = None


class ScoringFnList(Shape):
    """All scoring functions."""

    data: list[ScoringFn]


class RegisterScoringFnRequest(Strict):
    """Arguments of `register_scoring_function`."""

    scoring_fn_id: ResourceId
    description: str
    return_type: ParamType
    provider_scoring_fn_id: str | None = Field(None, description="The provider's function; the id where left out.")
    provider_id: str | None = Field(None, description="May be left out where only one provider serves scoring.")
    params: ScoringFnParams | None = None


class ScoringSource(Protocol):
    """What a provider of scoring implements that brings functions of its own."""

    async def scoring_functions(self) -> list[ScoringFn]:
        """What it brings, identifiers such as `basic::equality`."""
        ...


class ScoringFunctions(Protocol):
    """The scoring functions: those that providers bring and those that are registered."""

    @route("GET", "/scoring-functions", sdk="scoring_functions.list")
    async def list_scoring_functions(self) -> ScoringFnList:
        """Registered functions, then what each provider brings."""
        ...

    @route("GET", "/scoring-functions/{scoring_fn_id:path}", sdk="scoring_functions.retrieve")
    async def get_scoring_function(self, scoring_fn_id: str) -> ScoringFn:
        """One scoring function."""
        ...

    @route("POST", "/scoring-functions", sdk="scoring_functions.register")
    async def register_scoring_function(self, request: RegisterScoringFnRequest) -> None:
        """Give a provider's function with parameters of your own an id."""
        ...

    @route("DELETE", "/scoring-functions/{scoring_fn_id:path}", sdk="scoring_functions.unregister")
    async def unregister_scoring_function(self, scoring_fn_id: str) -> None:
        """Forget a registration. What a provider brings cannot be removed."""
        ...
