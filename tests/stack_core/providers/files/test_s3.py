"""Files in buckets: which errors, what large ones cost, what comes back when the service does."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import NotFound, ProviderError, ProviderUnavailable
from tests.contracts.test_files import Place, run_file
from tests.stack_core.providers.files.services import Buckets, bucket_service

pytestmark = pytest.mark.slow
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def service() -> Iterator[Buckets]:
    with bucket_service() as found:
        yield found


def _place(service: Buckets, bucket: str, **more: Any) -> Place:
    config = {
        "bucket_name": bucket,
        "region": "us-east-1",
        "endpoint_url": service.url,
        "aws_access_key_id": "k",
        "aws_secret_access_key": "s",
        **more,
    }
    return Place("remote::s3", config, lambda: service.keys(bucket))


async def test_a_missing_bucket_is_named_and_may_be_made_later(service: Buckets, tmp_path: Path) -> None:
    async with Stack.open(run_file(_place(service, "later"), tmp_path)) as stack:
        with pytest.raises(ProviderError, match="no bucket 'later'") as caught:
            await stack.files.create_file(file=b"x", purpose="batch")
        assert "auto_create_bucket" in str(caught.value.hint)
        service.client().create_bucket(Bucket="later", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        file = await stack.files.create_file(file=b"x", purpose="batch")
        assert file.expires_at is None
        assert "expires_at" not in file.model_dump()
        assert service.keys("later") == {file.id}


async def test_the_first_region_needs_no_place(service: Buckets, tmp_path: Path) -> None:
    async with Stack.open(run_file(_place(service, "first", auto_create_bucket=True), tmp_path)) as stack:
        file = await stack.files.create_file(file=("a.txt", b"x"), purpose="batch")
        head = service.client().head_object(Bucket="first", Key=file.id)
        assert (head["ContentType"], head["ContentLength"]) == ("text/plain", 1)
        service.client().delete_object(Bucket="first", Key=file.id)
        with pytest.raises(NotFound, match=file.id):
            await stack.files.get_file_content(file.id)
        await stack.files.delete_file(file.id)


async def test_a_service_that_is_away(tmp_path: Path) -> None:
    place = Place("remote::s3", {"bucket_name": "b", "endpoint_url": "http://127.0.0.1:9"} | KEY, set)
    async with Stack.open(run_file(place, tmp_path)) as stack:
        with pytest.raises(ProviderUnavailable, match=r"127\.0\.0\.1:9"):
            await stack.files.create_file(file=b"x", purpose="batch")
        assert (await stack.files.list_files()).data == [], "the books need no service"


KEY = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}


async def test_two_hundred_megabytes_take_few(service: Buckets, tmp_path: Path) -> None:
    with tempfile.TemporaryFile() as large:
        for _ in range(200):
            large.write(os.urandom(MEGABYTE))
        async with Stack.open(run_file(_place(service, "large", auto_create_bucket=True), tmp_path)) as stack:
            tracemalloc.start()
            file = await stack.files.create_file(file=("large.bin", large), purpose="user_data")
            content: Any = await stack.files.get_file_content(file.id)
            size = 0
            async for piece in content.chunks():
                size += len(piece)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert file.bytes == size == 200 * MEGABYTE
    assert peak < 150 * MEGABYTE, "boto3 sends ten parts of 8 MB at a time"
