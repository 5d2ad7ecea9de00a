"""What every registered resource has: its id, the provider that serves it, and that provider's name for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, computed_field

from stack_core.apis._shapes import Shape, absent

ResourceId = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""What a caller may call a resource: no control characters."""
PageLimit = Annotated[int, Field(ge=1, le=10_000, description="Most entries to give; all where left out.")]


class Resource(Shape):
    """A registered resource. Shape: Llama Stack 0.3.5."""

    identifier: str = Field(description="What callers write.")
    provider_id: str
    provider_resource_id: str | None = Field(None, description="Its name at the provider.")
    owner: str | None = Field(None, exclude_if=absent, description="Who registered it, where callers are known.")

    @computed_field(description="The identifier, by which lists are paged.")  # type: ignore[prop-decorator]  # pydantic's documented form
    @property
    def id(self) -> str:
        return self.identifier
