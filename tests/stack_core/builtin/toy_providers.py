"""Third parties' providers of safety, eval, scoring and tools, small enough to see which of them a call reached.

Named by `module: tests.stack_core.builtin.toy_providers` in the run files of these tests.
"""

from __future__ import annotations

from pydantic import BaseModel

from stack_core.apis._tools import ToolDef
from stack_core.apis.eval import Eval
from stack_core.apis.safety import Safety
from stack_core.apis.scoring import Scoring
from stack_core.apis.scoring_functions import ParamType, ScoringFn
from stack_core.apis.tool_groups import ToolGroup
from stack_core.apis.tool_runtime import ToolRuntime
from stack_core.errors import ProviderUnavailable
from stack_core.providers._registry import provider


class ToyConfig(BaseModel):
    """`broken` makes the provider fail at its start, `silent` when it is asked what it has."""

    broken: bool = False
    silent: bool = False
    tools: list[str] = ["add", "multiply"]


class _Toy:
    Config = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        if config.broken:
            raise ProviderUnavailable("the toy is broken", "mend it")
        self.config = config


@provider("inline::toy-guard")
class Guard(_Toy, Safety):
    """A guard."""


@provider("inline::toy-eval")
class Evaluation(_Toy, Eval):
    """An evaluation."""


@provider("inline::toy-scoring")
class Scorer(_Toy, Scoring):
    """Brings one function."""

    async def scoring_functions(self) -> list[ScoringFn]:
        """The one."""
        if self.config.silent:
            raise ProviderUnavailable("the toy says nothing")
        return [ScoringFn(identifier="toy::same", provider_id="toy-scoring", return_type=ParamType(type="number"))]


@provider("inline::toy-tools")
class Tools(_Toy, ToolRuntime):
    """Has the configured tools in every group."""

    async def tools(self, group: ToolGroup) -> list[ToolDef]:
        """The configured ones."""
        if self.config.silent:
            raise ProviderUnavailable("the toy says nothing")
        return [ToolDef(name=name, description=f"{name} of {group.identifier}") for name in self.config.tools]
