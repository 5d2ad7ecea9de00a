"""Documents put in and found, by our own calls and by Llama Stack's client."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import InvalidRequest, StackError, UnknownId, Unsupported
from stack_core.transport import in_process_transport
from tests.stack_core.providers.responses.speaking import Speaking, run_file

RAG = {"tool_runtime": [{"provider_id": "rag-runtime", "provider_type": "inline::rag-runtime", "config": {}}]}
TEXTS = {"cats": "The cat sleeps.", "moon": "The moon is far.", "tea": "Tea {metadata} is hot."}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Any]:
    """Open, with the tool that searches documents."""
    async with Stack.open(run_file(tmp_path, providers=RAG)) as found:
        yield found


@pytest.fixture
async def store(stack: Any) -> str:
    """A vector store with three documents."""
    made = await stack.vector_stores.create_vector_store(name="s")
    documents = [
        {"document_id": name, "content": text, "mime_type": "text/plain", "metadata": {"kind": name}}
        for name, text in TEXTS.items()
    ]
    await stack.tool_runtime.insert(documents=documents, vector_db_id=made.id, chunk_size_in_tokens=128)
    return str(made.id)


def texts(result: Any) -> list[str]:
    return [item.text for item in result.content]


async def test_what_is_put_in_is_found(stack: Any, store: str) -> None:
    found = await stack.tool_runtime.query(content="a cat", vector_db_ids=[store])
    head, first, *_, end, foot = texts(found)
    assert head.startswith("knowledge_search tool found 3 chunks:")
    assert first.startswith("Result 1\nContent: The cat sleeps.\nMetadata: {")
    assert (end, '"a cat"' in foot) == ("END of knowledge_search tool results.\n", True)
    assert found.metadata["document_ids"][0] == "cats"
    assert found.metadata["chunks"][0] == "The cat sleeps."
    assert found.metadata["vector_db_ids"] == [store] * 3
    assert found.metadata["scores"] == sorted(found.metadata["scores"], reverse=True)


async def test_the_config_is_honoured(stack: Any, store: str) -> None:
    async def ask(**config: Any) -> Any:
        return await stack.tool_runtime.query(content="tea", vector_db_ids=[store], query_config=config)

    template = "{index}:{chunk.content}"
    one = await ask(max_chunks=1, chunk_template=template)
    assert texts(one)[1:2] == ["1:Tea {metadata} is hot."]  # what a document says is no name of the template
    assert len(one.metadata["chunks"]) == 1
    short = await ask(max_tokens_in_context=12, chunk_template=template)
    assert len(short.metadata["chunks"]) == 1
    assert (await ask(max_tokens_in_context=1)).content is None
    words = await ask(mode="keyword")
    assert words.metadata["document_ids"] == ["tea"]
    both = await ask(mode="hybrid", ranker={"type": "weighted", "alpha": 0.0}, max_chunks=1)
    assert both.metadata["document_ids"] == ["tea"]
    both = await ask(mode="hybrid", ranker={"type": "rrf", "impact_factor": 10.0}, max_chunks=1)
    assert both.metadata["document_ids"] == ["tea"]
    with pytest.raises(InvalidRequest, match=r"lacks \{index\}"):
        await ask(chunk_template="{chunk.content}")


async def test_a_model_writes_the_query(stack: Any, store: str) -> None:
    Speaking.say(["moon"])
    generator = {"type": "llm", "model": "up/m", "template": "About {{ messages[0].content }}?"}
    found = await stack.tool_runtime.query(
        content="nights", vector_db_ids=[store], query_config={"query_generator_config": generator, "max_chunks": 1}
    )
    assert found.metadata["document_ids"] == ["moon"]
    assert Speaking.asked[0].messages[0].content == "About nights?"
    with pytest.raises(InvalidRequest, match="template"):
        await stack.tool_runtime.query(
            content="x",
            vector_db_ids=[store],
            query_config={"query_generator_config": {**generator, "template": "{{ ''.__class__.__mro__ }}"}},
        )


async def test_the_tool_has_its_groups_args(stack: Any, store: str) -> None:
    register, invoke = stack.tool_groups.register_tool_group, stack.tool_runtime.invoke_tool
    await register(toolgroup_id="builtin::rag", provider_id="rag-runtime", args={"vector_db_ids": [store]})
    assert [tool.name for tool in (await stack.tool_groups.list_tools("builtin::rag")).data] == ["knowledge_search"]
    found = await invoke(tool_name="knowledge_search", kwargs={"query": "cat"})
    assert "The cat sleeps." in texts(found)[1]
    await stack.tool_groups.unregister_tool_group("builtin::rag")
    await register(toolgroup_id="builtin::rag", provider_id="rag-runtime")
    named = await invoke(tool_name="knowledge_search", kwargs={"query": "cat", "vector_store_ids": [store]})
    assert named.metadata["document_ids"][0] == "cats"
    for kwargs, kind, said in [
        ({"query": "cat"}, InvalidRequest, "no vector store is named"),
        ({"vector_store_ids": [store]}, InvalidRequest, "query"),
        ({"query": "cat", "vector_db_ids": [store], "speed": 1}, InvalidRequest, "does not take speed"),
        ({"query": "cat", "vector_db_ids": ["none"]}, UnknownId, "none"),
    ]:
        with pytest.raises(kind, match=said):
            await invoke(tool_name="knowledge_search", kwargs=kwargs)


async def test_documents_of_other_forms(stack: Any, store: str) -> None:
    body = base64.b64encode(b"Snow is white.").decode()
    for name, content in {
        "b64": {"uri": f"data:text/plain;base64,{body}"},
        "percent": "data:text/plain,Snow%20is%20cold.",
        "items": [{"type": "text", "text": "Snow"}, {"type": "text", "text": "falls."}],
    }.items():
        await stack.tool_runtime.insert(
            documents=[{"document_id": name, "content": content, "metadata": {}}], vector_db_id=store
        )
    found = await stack.tool_runtime.query(content="snow", vector_db_ids=[store], query_config={"max_chunks": 3})
    assert sorted(found.metadata["document_ids"]) == ["b64", "items", "percent"]
    for document, kind, said in [
        ({"content": {"uri": "http://127.0.0.1/x"}}, Unsupported, "fetches none"),
        ({"content": {"uri": "data:text/plain;base64,%%"}}, InvalidRequest, "cannot be read"),
        ({"content": "x", "metadata": {"list": [1]}}, InvalidRequest, "metadata"),
    ]:
        with pytest.raises(kind, match=said):
            given = {"document_id": "d", "metadata": {}, **document}
            await stack.tool_runtime.insert(documents=[given], vector_db_id=store)
    with pytest.raises(StackError, match="none"):
        await stack.tool_runtime.insert(documents=[], vector_db_id="none")


async def test_llama_stacks_client(stack: Any, store: str) -> None:
    package = pytest.importorskip("llama_stack_client", reason="llama-stack-client is not installed")
    import httpx

    http_client = httpx.AsyncClient(transport=in_process_transport(stack, httpx))
    async with package.AsyncLlamaStackClient(base_url="http://s", http_client=http_client, max_retries=0) as llama:
        await llama.toolgroups.register(
            toolgroup_id="builtin::rag", provider_id="rag-runtime", args={"vector_db_ids": [store]}
        )
        assert [group.identifier for group in await llama.toolgroups.list()] == ["builtin::rag"]
        assert [tool.name for tool in await llama.tools.list(toolgroup_id="builtin::rag")] == ["knowledge_search"]
        assert [tool.name for tool in await llama.tool_runtime.list_tools()] == ["knowledge_search"]
        assert (await llama.tools.get("knowledge_search")).toolgroup_id == "builtin::rag"
        await llama.tool_runtime.rag_tool.insert(
            documents=[{"document_id": "sun", "content": "The sun is warm.", "metadata": {}}],
            vector_db_id=store,
            chunk_size_in_tokens=128,
        )
        found = await llama.tool_runtime.rag_tool.query(
            content="sun", vector_db_ids=[store], query_config={"max_chunks": 1}
        )
        assert found.metadata["document_ids"] == ["sun"]
        result = await llama.tool_runtime.invoke_tool(tool_name="knowledge_search", kwargs={"query": "sun"})
        assert "The sun is warm." in result.content[1].text
        await llama.toolgroups.unregister("builtin::rag")
        assert await llama.tool_runtime.list_tools() == []
