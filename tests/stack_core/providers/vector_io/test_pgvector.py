"""pgvector's provider where the database goes away, refuses or is not there."""

from __future__ import annotations

from typing import Any

import pytest

from stack_core.apis.vector_io import Entry
from stack_core.errors import ProviderUnavailable
from stack_core.providers._registry import find

pytestmark = pytest.mark.slow


def provider(postgres_server: Any, **other: Any) -> Any:
    spec = find("vector_io", "remote::pgvector")
    given = {name: value for name, value in postgres_server.backend().items() if name != "type"}
    return spec.factory(spec.config.model_validate({**given, **other}), "pg")


async def test_a_server_that_stops_and_starts(postgres_server: Any) -> None:
    async with provider(postgres_server) as index:
        await index.create("c", 2)
        await index.put("c", [Entry("a", "text", [1.0, 2.0])])
        postgres_server.stop()
        try:
            for _ in range(2):
                with pytest.raises(ProviderUnavailable, match="cannot be used") as told:
                    await index.nearest("c", [1, 0], 1)
                assert told.value.provider_id == "pg" and told.value.hint
        finally:
            postgres_server.start()
        assert [hit.id for hit in await index.nearest("c", [1, 0], 1)] == ["a"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"password": "guess"}, "user and password"), ({"db": "nowhere"}, "createdb"), ({"port": 1}, "can be reached")],
)
async def test_what_it_says_of_a_wrong_setting(postgres_server: Any, wrong: dict[str, Any], says: str) -> None:
    async with provider(postgres_server, **wrong) as index:
        with pytest.raises(ProviderUnavailable) as told:
            await index.entries("c")
        assert says in (told.value.hint or "")
        assert "guess" not in told.value.message
