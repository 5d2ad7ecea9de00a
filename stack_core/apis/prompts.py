"""Prompts with variables, kept in versions. Shapes: Llama Stack 0.3.5 and OGX 0.8.0."""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import Field

from stack_core.apis._declare import route
from stack_core.apis._shapes import Listing, Open, Strict

Version = Annotated[int, Field(ge=1)]
Variables = Annotated[
    list[Annotated[str, Field(pattern=r"^[^{}]+$")]] | None,
    Field(description="Names that the text may hold as {{ name }}."),
]


class Prompt(Open):
    """One version of a prompt."""

    prompt: str | None = Field(None, description="The text, with variables as {{ name }}.")
    version: Version = Field(description="1 for the first; each update adds one.")
    prompt_id: str = Field(description="pmpt_ and 48 hex digits.")
    variables: list[str] = Field(default_factory=list, description="Names that the text may hold.")
    is_default: bool = Field(False, description="Whether it is given where no version is asked for.")


class PromptList(Listing[Prompt]):
    """Prompts, or the versions of one."""


class CreatePromptRequest(Strict):
    """Arguments of `create_prompt`."""

    prompt: str = Field(description="The text, with variables as {{ name }}.")
    variables: Variables = None


class UpdatePromptRequest(Strict):
    """Arguments of `update_prompt`, besides the prompt."""

    prompt: str = Field(description="The new text.")
    version: Version = Field(description="The latest version, which this one follows: a check against lost updates.")
    variables: Variables = None
    set_as_default: bool = Field(True, description="Give the new version where none is asked for.")


class Prompts(Protocol):
    """The prompts of the stack."""

    @route("GET", "/prompts", sdk="prompts.list")
    async def list_prompts(self) -> PromptList:
        """The default version of every prompt, newest first."""
        ...

    @route("POST", "/prompts", sdk="prompts.create")
    async def create_prompt(self, request: CreatePromptRequest) -> Prompt:
        """Keep a prompt."""
        ...

    @route("GET", "/prompts/{prompt_id}", sdk="prompts.retrieve")
    async def get_prompt(self, prompt_id: str, version: Version | None = None) -> Prompt:
        """A version of a prompt, the default one where none is named."""
        ...

    @route("PUT", "/prompts/{prompt_id}", sdk="prompts.update")
    async def update_prompt(self, prompt_id: str, request: UpdatePromptRequest) -> Prompt:
        """Keep a new version; the older ones stay."""
        ...

    @route("DELETE", "/prompts/{prompt_id}", sdk="prompts.delete")
    async def delete_prompt(self, prompt_id: str) -> None:
        """Forget a prompt with all its versions."""
        ...

    @route("PUT", "/prompts/{prompt_id}/set-default-version", sdk="prompts.set_default_version")
    async def set_default_version(self, prompt_id: str, version: Version) -> Prompt:
        """Say which version is given where none is asked for."""
        ...

    @route("GET", "/prompts/{prompt_id}/versions", sdk="prompts.versions.list")
    async def list_prompt_versions(self, prompt_id: str) -> PromptList:
        """All versions of a prompt, oldest first."""
        ...
