"""The tools of an agent that the stack runs: those of its groups, and the search of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stack_core.apis._tools import AgentTool, ToolDef
from stack_core.apis.inference import FunctionSpec
from stack_core.apis.providers import Providers
from stack_core.apis.tool_groups import ToolGroups
from stack_core.apis.tool_runtime import InvokeToolRequest, ToolRuntime
from stack_core.apis.vector_stores import SearchRequest, SearchResult, VectorStores
from stack_core.errors import InvalidRequest, NotFound, StackError, Unsupported, nearest
from stack_core.providers.agents._asking import spec_of
from stack_core.providers.agents._guards import served
from stack_core.providers.agents._input import text
from stack_core.turns.loop import Found, StackTool

MOST_TEXT = 100_000
"""Characters of a tool's result that the model is given: what comes after is left out, and said so."""
RAG = "builtin::rag"
"""The group that searches documents; without a provider of it the stack's own vector stores are searched."""
SEARCH = "knowledge_search"
MOST_RESULTS = 5
"""Passages of one search (Llama Stack)."""
_STORES = ("vector_store_ids", "vector_db_ids")
"""How a caller may name the stores of a search."""


class GroupTool:
    """A tool of a provider.

    Args:
        args: what every call of it gets besides what the model gives; the model cannot change it.
    """

    def __init__(self, tool: ToolDef, args: Mapping[str, Any], runtime: ToolRuntime) -> None:
        self.spec = spec_of(tool, args)
        self._args, self._runtime = args, runtime

    async def run(self, arguments: dict[str, Any]) -> Found:
        """Call it; what goes wrong is told to the model."""
        request = InvokeToolRequest(tool_name=self.spec.name, kwargs={**arguments, **self._args})
        try:
            result = await self._runtime.invoke_tool(request)
        except StackError as error:
            return Found(f"The tool failed: {error.message}", failed=True)
        if result.error_message or (result.error_code or 0) >= 400:
            return Found(f"The tool failed: {shortened(result.error_message or str(result.error_code))}", failed=True)
        return Found(shortened(text(result.content or "")), result.metadata)


class Knowledge:
    """`knowledge_search` over vector stores."""

    spec = FunctionSpec(
        name=SEARCH,
        description="Search for information in the user's documents. Use it before answering about them.",
        parameters={
            "type": "object",
            "properties": {"query": {"type": "string", "description": "What to look for, in a few words."}},
            "required": ["query"],
        },
    )

    def __init__(self, args: Mapping[str, Any], stores: VectorStores) -> None:
        named = [args[name] for name in _STORES if name in args]
        if unknown := args.keys() - set(_STORES):
            raise InvalidRequest(f"toolgroups: {RAG} takes no {', '.join(sorted(unknown))}", f"it takes {_STORES[0]}")
        if len(named) != 1 or not isinstance(named[0], list) or not named[0]:
            raise InvalidRequest(f"toolgroups: {RAG} needs args.{_STORES[0]}", "give the ids of vector stores")
        self._ids, self._stores = [str(id) for id in named[0]], stores

    async def check(self) -> None:
        """Raises:
        UnknownId: one of the stores is not there.
        """
        for store in self._ids:
            await self._stores.get_vector_store(store)

    async def run(self, arguments: dict[str, Any]) -> Found:
        """The best passages of all the stores."""
        query = arguments.get("query")
        if not isinstance(query, str) or not query.strip():
            return Found(f'Not done: {SEARCH} needs {{"query": "…"}}.', failed=True)
        rows: list[SearchResult] = []
        try:
            for store in self._ids:
                rows += (
                    await self._stores.search(store, SearchRequest(query=query, max_num_results=MOST_RESULTS))
                ).data
        except StackError as error:
            return Found(f"The search failed: {error.message}", failed=True)
        best = sorted(rows, key=lambda row: -row.score)[:MOST_RESULTS]
        told = [
            f"Result {number} (from {row.filename}):\n" + "\n".join(piece.text for piece in row.content)
            for number, row in enumerate(best, 1)
        ]
        found = {"file_ids": [row.file_id for row in best], "scores": [row.score for row in best]}
        return Found(shortened("\n\n".join(told) or "Nothing was found."), found)


class Toolbox:
    """Finds the tools of groups."""

    def __init__(
        self, groups: ToolGroups, runtime: ToolRuntime | None, stores: VectorStores, providers: Providers
    ) -> None:
        self._groups, self._runtime, self._stores, self._providers = groups, runtime, stores, providers

    async def tools(self, wanted: Sequence[AgentTool]) -> dict[str, StackTool]:
        """The tools of groups by name. `group/tool` is one tool of a group.

        Raises:
            Unsupported: a group that nothing here serves.
            NotFound: no such group, or no such tool in it; names the nearest.
            InvalidRequest: two tools of one name, or arguments that are wrong.
        """
        found: dict[str, StackTool] = {}
        for one in wanted:
            name, args = (one, {}) if isinstance(one, str) else (one.name, one.args)
            for tool in await self._of(name, args):
                if tool.spec.name in found:
                    raise InvalidRequest(
                        f"toolgroups: there are several tools named {tool.spec.name}", "name each once"
                    )
                found[tool.spec.name] = tool
        return found

    async def _of(self, name: str, args: Mapping[str, Any]) -> list[StackTool]:
        group, _, only = name.partition("/")
        if self._runtime is not None:
            try:
                return [GroupTool(tool, args, self._runtime) for tool in await self._listed(name)]
            except NotFound:
                if group != RAG and await served(self._providers, "tool_runtime"):
                    raise
        if group != RAG:
            raise Unsupported(
                f"toolgroups: {name!r} has no provider: none of tool_runtime is configured",
                "add one under providers.tool_runtime",
            )
        if only not in ("", SEARCH):
            raise NotFound("tool", only, [SEARCH])
        search = Knowledge(args, self._stores)
        await search.check()
        return [search]

    async def _listed(self, name: str) -> list[ToolDef]:
        """The tools of a group; an id may hold a slash, so a whole one goes first."""
        try:
            return (await self._groups.list_tools(name)).data
        except NotFound:
            group, slash, only = name.rpartition("/")
            if not slash:
                raise
        tools = (await self._groups.list_tools(group)).data
        chosen = [tool for tool in tools if tool.name == only]
        if not chosen:
            names = [tool.name for tool in tools]
            close = nearest(only, names)
            hint = f"did you mean {close[0]}?" if close else f"{group} has {', '.join(names) or 'none'}"
            raise InvalidRequest(f"toolgroups: {group} has no tool {only!r}", hint)
        return chosen


def shortened(result: str) -> str:
    """A result that the model can be given."""
    if len(result) <= MOST_TEXT:
        return result
    return f"{result[:MOST_TEXT]}\n({len(result) - MOST_TEXT} more characters are left out: the result is too long.)"
