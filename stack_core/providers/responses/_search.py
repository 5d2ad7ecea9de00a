"""File search: the model asks, vector stores answer, and the passages are told with the ids to cite."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from stack_core.apis._item_actions import FileSearchResult
from stack_core.apis._response_tools import FileSearchTool
from stack_core.apis.inference import FunctionSpec
from stack_core.apis.vector_stores import SearchRequest, VectorStores
from stack_core.errors import InvalidRequest, StackError
from stack_core.providers.responses._config import VectorStoresConfig
from stack_core.turns.loop import Found

NAME = "file_search"
MOST_RESULTS = 10
"""Passages of one search, unless the caller says otherwise."""
MOST_TEXT = 100_000
"""Characters of passages that the model is given: what comes after is left out, and said so."""
_SPEC = FunctionSpec(
    name=NAME,
    description="Search the user's files for passages that answer a question. Use it before answering about them.",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string", "description": "What to look for, in a few words."}},
        "required": ["query"],
    },
)


class FileSearch:
    """The tool of one response.

    Args:
        place: where the tool stands in the request, for errors.
    """

    spec = _SPEC

    def __init__(self, tool: FileSearchTool, stores: VectorStores, config: VectorStoresConfig, place: str) -> None:
        if not tool.vector_store_ids:
            raise InvalidRequest(f"{place}.vector_store_ids: at least one is needed")
        self._ids, self._stores, self._config = tool.vector_store_ids, stores, config
        self._most = tool.max_num_results or MOST_RESULTS
        ranking = tool.ranking_options.model_dump(exclude_none=True) if tool.ranking_options is not None else None
        filters = tool.filters.model_dump() if tool.filters is not None else None
        given = {"query": "x", "filters": filters, "max_num_results": self._most, "ranking_options": ranking}
        try:
            self._request = SearchRequest.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join(map(str, (place, *first["loc"])))
            raise InvalidRequest(f"{path}: {first['msg']}") from error

    async def check(self) -> None:
        """Raises:
        UnknownId: one of the stores is not there.
        """
        for store in self._ids:
            await self._stores.get_vector_store(store)

    async def run(self, arguments: dict[str, Any]) -> Found:
        """Search all the stores; the best passages of all."""
        queries = asked(arguments)
        if not queries:
            return Found('Not done: file_search needs {"query": "…"}.', [], failed=True)
        request = self._request.model_copy(update={"query": queries[0] if len(queries) == 1 else queries})
        results: list[FileSearchResult] = []
        try:
            for store in self._ids:
                page = await self._stores.search(store, request)
                results += [_result(row) for row in page.data]
        except StackError as error:
            return Found(f"The search failed: {error.message}", [], failed=True)
        best = sorted(results, key=lambda row: -(row.score or 0.0))[: self._most]
        return Found(told(best, queries, self._config), best)


def asked(arguments: Mapping[str, Any]) -> list[str]:
    """The queries of a call: `query`, or `queries` as some models write."""
    given = arguments.get("query", arguments.get("queries"))
    listed = given if isinstance(given, list) else [given]
    return [text for text in listed if isinstance(text, str) and text.strip()]


def _result(row: Any) -> FileSearchResult:
    text = "\n".join(piece.text for piece in row.content)
    return FileSearchResult(
        file_id=row.file_id, filename=row.filename, score=row.score, text=text, attributes=row.attributes or {}
    )


def told(results: Sequence[FileSearchResult], queries: Sequence[str], config: VectorStoresConfig) -> str:
    """The passages as the model reads them."""
    frame, context, citing = config.file_search_params, config.context_prompt_params, config.annotation_prompt_params
    parts = [frame.header_template.replace("{num_chunks}", str(len(results)))]
    room = MOST_TEXT
    for index, result in enumerate(results, 1):
        facts = {**(result.attributes or {}), "filename": result.filename, "score": result.score}
        names = {
            "{index}": str(index),
            "{file_id}": result.file_id or "",
            "{metadata}": json.dumps(facts, default=str),
            "{metadata_text}": ", ".join(f"{name}: {value}" for name, value in facts.items()),
            "{chunk_text}": result.text or "",
            "{chunk.content}": result.text or "",
        }
        template = citing.chunk_annotation_template if citing.enable_annotations else context.chunk_annotation_template
        passage = _filled(template, names)
        if len(passage) > room:
            parts.append(f"({len(results) - index + 1} more passages are left out: they are too long.)\n")
            break
        room -= len(passage)
        parts.append(passage)
    parts.append(frame.footer_template)
    instruction = citing.annotation_instruction_template if citing.enable_annotations else ""
    parts.append(
        _filled(context.context_template, {"{query}": "; ".join(queries), "{annotation_instruction}": instruction})
    )
    return "".join(parts)


def _filled(template: str, names: Mapping[str, str]) -> str:
    """The template with its names filled in, each once: what a document says is never taken for a name."""
    out, rest = [], template
    while rest:
        found = [(place, name) for name in names if (place := rest.find(name)) >= 0]
        if not found:
            break
        place, name = min(found)
        out += [rest[:place], names[name]]
        rest = rest[place + len(name) :]
    return "".join([*out, rest])
