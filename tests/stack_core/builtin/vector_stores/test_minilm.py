"""A vector store with real embeddings and a real order, where the weights are on this machine."""

from __future__ import annotations

import pytest

from stack_core import Stack
from stack_core.errors import ConfigError
from stack_core.providers.inference._minilm.weights import locate
from tests.stack_core.builtin.vector_stores.conftest import Config
from tests.stack_core.builtin.vector_stores.texts import zoo


@pytest.mark.slow
async def test_a_question_in_other_words_finds_its_answer(config: Config) -> None:
    try:
        locate(None)
    except ConfigError:
        pytest.skip("the weights of all-MiniLM-L6-v2 are not on this machine")
    file = config()
    file["providers"]["inference"] = [{"provider_id": "minilm", "provider_type": "inline::minilm", "config": {}}]
    async with Stack.open(file) as stack:
        store, ids = await zoo(stack)
        assert (await stack.vector_stores.get_vector_store(store)).metadata["embedding_dimension"] == "384"
        for ranking in (None, {"ranker": "minilm/all-MiniLM-L6-v2"}):
            for query, best in (("which pet makes noise at intruders?", "dogs"), ("creatures of the ocean", "fish")):
                found = await stack.vector_stores.search(vector_store_id=store, query=query, ranking_options=ranking)
                assert found.data[0].file_id == ids[best]
        made = await stack.vector_stores.get_file(vector_store_id=store, file_id=ids["cats"])
        assert made.chunking_strategy.static.max_chunk_size_tokens == 256
