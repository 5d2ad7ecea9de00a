"""Files that OpenAI keeps: what goes there, and what its refusals become."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import MissingCredential, NotFound, ProviderAuthFailed, ProviderUnavailable
from tests.contracts.test_files import HOUR, Place, run_file
from tests.stack_core.providers.files.services import OpenAIFiles, openai_files


@pytest.fixture
def service(tmp_path: Path) -> Iterator[OpenAIFiles]:
    with openai_files(tmp_path) as found:
        yield found


def _place(**config: Any) -> Place:
    return Place("remote::openai", config, set)


async def test_what_goes_there(service: OpenAIFiles, tmp_path: Path) -> None:
    async with Stack.open(run_file(_place(api_key=service.key, base_url=service.url), tmp_path)) as stack:
        file = await stack.files.create_file(file=("a.jsonl", b"{}"), purpose="batch_output", expires_after=HOUR)
        assert file.id in service.files, "the id is the service's"
        assert file.purpose == "batch_output"
        assert service.forms == [
            {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
        ]
        del service.files[file.id]
        with pytest.raises(NotFound, match=file.id):
            await stack.files.get_file_content(file.id)
        await stack.files.delete_file(file.id)


async def test_a_wrong_key_is_not_repeated(service: OpenAIFiles, tmp_path: Path) -> None:
    async with Stack.open(run_file(_place(api_key="sk-wrong-123456", base_url=service.url), tmp_path)) as stack:
        with pytest.raises(ProviderAuthFailed) as caught:
            await stack.files.create_file(file=b"x", purpose="batch")
    assert "sk-wrong" not in str(caught.value)


async def test_no_key(service: OpenAIFiles, tmp_path: Path) -> None:
    async with Stack.open(run_file(_place(base_url=service.url), tmp_path)) as stack:
        with pytest.raises(MissingCredential, match="no key"):
            await stack.files.create_file(file=b"x", purpose="batch")


async def test_no_service(tmp_path: Path) -> None:
    async with Stack.open(run_file(_place(api_key="k", base_url="http://127.0.0.1:9/v1"), tmp_path)) as stack:
        with pytest.raises(ProviderUnavailable, match="cannot reach"):
            await stack.files.create_file(file=b"x", purpose="batch")
