"""The config of `inline::meta-reference`: fields of Llama Stack 0.3.5's."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from stack_core.storage.references import KVReference, SqlReference


class Persistence(BaseModel):
    """Where agents are kept. `responses` stands beside it in run files of Llama Stack: it is the store of responses,
    and agents keep nothing there."""

    model_config = ConfigDict(extra="forbid")
    agent_state: KVReference | None = None
    responses: SqlReference | None = None


class AgentsConfig(BaseModel):
    """Where agents, their sessions and turns are kept."""

    model_config = ConfigDict(extra="forbid")
    persistence: Persistence = Field(default_factory=Persistence)
