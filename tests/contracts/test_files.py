"""What every provider of files must do, wherever it keeps them. A new one joins by one entry in `PROVIDERS`."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stack_core import Stack, context
from stack_core.context import User
from stack_core.errors import InvalidRequest, NotFound, PayloadTooLarge
from tests.stack_core.providers.files.services import bucket_service, openai_files

HOUR = {"anchor": "created_at", "seconds": 3600}
ANN, BOB = User("ann"), User("bob")


class Place(NamedTuple):
    """A provider's type and config, and what it holds: its own names of contents."""

    type: str
    config: dict[str, Any]
    contents: Callable[[], set[str]]


def _localfs(folder: Path, exits: ExitStack) -> Place:
    files = folder / "files"
    return Place("inline::localfs", {"storage_dir": str(files)}, lambda: {path.name for path in files.iterdir()})


def _s3(folder: Path, exits: ExitStack) -> Place:
    service = exits.enter_context(bucket_service())
    config = {
        "bucket_name": "kept",
        "region": "eu-west-1",
        "endpoint_url": service.url,
        "aws_access_key_id": "k",
        "aws_secret_access_key": "s",
        "auto_create_bucket": True,
    }
    return Place("remote::s3", config, lambda: service.keys("kept"))


def _openai(folder: Path, exits: ExitStack) -> Place:
    service = exits.enter_context(openai_files(folder))
    return Place("remote::openai", {"api_key": service.key, "base_url": service.url}, service.ids)


PROVIDERS: dict[str, Callable[[Path, ExitStack], Place]] = {"localfs": _localfs, "s3": _s3, "openai": _openai}


@pytest.fixture(params=["localfs", pytest.param("s3", marks=pytest.mark.slow), "openai"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as exits:
        yield PROVIDERS[request.param](tmp_path, exits)


@pytest.fixture
async def stack(place: Place, tmp_path: Path) -> AsyncIterator[Any]:
    async with Stack.open(run_file(place, tmp_path)) as found:
        yield found


def run_file(place: Place, folder: Path) -> dict[str, Any]:
    config = {**place.config, "metadata_store": {"table_name": "files_metadata", "backend": "sql"}}
    return {
        "image_name": "t",
        "providers": {"files": [{"provider_id": "kept", "provider_type": place.type, "config": config}]},
        "storage": {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
                "sql": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
            },
            "stores": {"metadata": {"namespace": "registry", "backend": "kv"}},
        },
    }


async def _read(stack: Any, id: str) -> bytes:
    return bytes(await (await stack.files.get_file_content(id)).read())


async def test_a_file_comes_back_as_it_was(stack: Any) -> None:
    content = bytes(range(256)) * 9000
    file = await stack.files.create_file(file=("Übung 1.bin", content, "application/x-thing"), purpose="user_data")
    assert (file.filename, file.bytes, file.purpose, file.status) == (
        "Übung 1.bin",
        len(content),
        "user_data",
        "processed",
    )
    assert file == await stack.files.get_file(file.id)
    back = await stack.files.get_file_content(file.id)
    assert (back.filename, back.media_type, back.size) == ("Übung 1.bin", "application/x-thing", len(content))
    assert await back.read() == content


async def test_an_empty_file_is_one(stack: Any) -> None:
    file = await stack.files.create_file(file=("none.txt", b""), purpose="batch_output")
    assert file.bytes == 0
    assert await _read(stack, file.id) == b""


async def test_a_deleted_file_is_gone_with_its_content(stack: Any, place: Place) -> None:
    file = await stack.files.create_file(file=b"x", purpose="batch")
    assert len(place.contents()) == 1
    assert (await stack.files.delete_file(file.id)).model_dump() == {"id": file.id, "object": "file", "deleted": True}
    assert place.contents() == set()
    for call in (stack.files.get_file, stack.files.get_file_content, stack.files.delete_file):
        with pytest.raises(NotFound, match="not found"):
            await call(file.id)


async def test_lists_are_paged_and_filtered(stack: Any) -> None:
    ids = []
    for at in range(5):
        file = await stack.files.create_file(file=(f"{at}.txt", b"x"), purpose="batch" if at % 2 else "vision")
        ids.append(file.id)
    page = await stack.files.list_files(limit=2, order="asc")
    assert ([f.id for f in page.data], page.has_more, page.first_id, page.last_id) == (ids[:2], True, ids[0], ids[1])
    rest = await stack.files.list_files(after=page.last_id, order="asc")
    assert ([f.id for f in rest.data], rest.has_more) == (ids[2:], False)
    assert [f.id for f in (await stack.files.list_files()).data] == ids[::-1], "newest first"
    assert [f.id for f in (await stack.files.list_files(purpose="batch")).data] == [ids[3], ids[1]]
    with pytest.raises(InvalidRequest, match=r"after.*not found"):
        await stack.files.list_files(purpose="batch", after=ids[0])
    with pytest.raises(InvalidRequest, match="limit"):
        await stack.files.list_files(limit=10001)


async def test_an_expired_file_is_gone_everywhere(stack: Any, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    short = await stack.files.create_file(file=b"a", purpose="batch", expires_after=HOUR)
    other = await stack.files.create_file(file=b"b", purpose="batch", expires_after=HOUR)
    stays = await stack.files.create_file(file=b"c", purpose="batch", expires_after={**HOUR, "seconds": 7300})
    assert short.expires_at == short.created_at + 3600
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3700)
    with pytest.raises(NotFound):
        await stack.files.get_file(short.id)
    assert len(place.contents()) == 2, "its content went when it was asked for"
    with pytest.raises(NotFound):
        await stack.files.get_file_content(other.id)
    assert [file.id for file in (await stack.files.list_files()).data] == [stays.id]
    monkeypatch.setattr(time, "time", lambda: now + 7400)
    assert (await stack.files.list_files()).data == []
    assert place.contents() == set(), "what nobody asks for goes with a list"


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        ({"anchor": "created_at", "seconds": 3599}, "seconds"),
        ({"anchor": "created_at", "seconds": 2592001}, "seconds"),
        ({"anchor": "last_active_at", "seconds": 3600}, "anchor"),
        ({"anchor": "created_at"}, "seconds"),
        ({"anchor": "created_at", "seconds": 3600, "days": 1}, "days"),
    ],
)
async def test_a_wrong_time_to_live_is_refused(stack: Any, after: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidRequest, match=fault):
        await stack.files.create_file(file=b"x", purpose="batch", expires_after=after)


async def test_each_sees_their_own(stack: Any) -> None:
    with context.request_scope(caller=ANN):
        hers = await stack.files.create_file(file=b"hers", purpose="batch")
    with context.request_scope(caller=BOB):
        assert (await stack.files.list_files()).data == []
        for call in (stack.files.get_file, stack.files.get_file_content, stack.files.delete_file):
            with pytest.raises(NotFound) as caught:
                await call(hers.id)
            assert hers.id not in str(caught.value.hint)
        with pytest.raises(InvalidRequest, match="after"):
            await stack.files.list_files(after=hers.id)
    with context.request_scope(caller=ANN):
        assert await _read(stack, hers.id) == b"hers"


async def test_what_is_over_the_limit_leaves_nothing(stack: Any, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("_kept", "s3"):
        monkeypatch.setattr(f"stack_core.providers.files.{module}.MOST", 1000, raising=True)
    with pytest.raises(PayloadTooLarge, match=r"big\.txt is larger"):
        await stack.files.create_file(file=("big.txt", b"x" * 1001), purpose="batch")
    with pytest.raises(PayloadTooLarge, match=r"liar\.txt is larger"):
        await stack.files.create_file(file=("liar.txt", _Liar(b"x" * 1001)), purpose="batch")
    assert (await stack.files.list_files()).data == []
    assert place.contents() == set()


async def test_a_file_that_breaks_off_leaves_nothing(stack: Any, place: Place) -> None:
    with pytest.raises(InvalidRequest, match=r"torn\.bin cannot be read"):
        await stack.files.create_file(file=("torn.bin", _Torn(b"x" * 5_000_000)), purpose="batch")
    assert (await stack.files.list_files()).data == []
    assert place.contents() == set()


async def test_an_upload_that_is_cancelled_leaves_nothing(stack: Any, place: Place) -> None:
    reading = _Watched(b"x" * 30_000_000)
    upload = asyncio.ensure_future(stack.files.create_file(file=("a.bin", reading), purpose="batch"))
    await asyncio.to_thread(reading.begun.wait)
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert (await stack.files.list_files()).data == []
    assert place.contents() == set()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"), ("C:\\secret\\a.txt", "a.txt"), ("..", "upload"), ("", "upload"),
        ("a\r\nx-evil: 1.txt", "ax-evil: 1.txt"), ("\u202egnp.exe", "gnp.exe"), ('a"b.txt', 'a"b.txt'),
    ],
)  # fmt: skip
async def test_a_name_is_a_label(stack: Any, given: str, shown: str) -> None:
    file = await stack.files.create_file(file=(given, b"x"), purpose="batch")
    assert (await stack.files.get_file(file.id)).filename == shown
    assert await _read(stack, file.id) == b"x"


@pytest.mark.parametrize("id", ["../sql.db", "/etc/passwd", "file-" + "0" * 32, "file-*", "%2e%2e/x", "\x00", "é"])
async def test_no_id_leads_out_of_the_store(stack: Any, id: str) -> None:
    for call in (stack.files.get_file, stack.files.get_file_content, stack.files.delete_file):
        with pytest.raises(NotFound):
            await call(id)


async def test_what_was_kept_is_there_after_a_restart(place: Place, tmp_path: Path) -> None:
    async with Stack.open(run_file(place, tmp_path)) as first:
        file = await first.files.create_file(file=b"kept", purpose="batch")
    async with Stack.open(run_file(place, tmp_path)) as second:
        assert await _read(second, file.id) == b"kept"
        assert [f.id for f in (await second.files.list_files()).data] == [file.id]


async def test_two_on_one_store(place: Place, tmp_path: Path) -> None:
    async with Stack.open(run_file(place, tmp_path)) as one, Stack.open(run_file(place, tmp_path)) as two:
        made = await asyncio.gather(
            *(side.files.create_file(file=f"{at}".encode(), purpose="batch") for at in range(6) for side in (one, two))
        )
        assert {f.id for f in (await two.files.list_files()).data} == {f.id for f in made}
        await asyncio.gather(*((one, two)[at % 2].files.delete_file(file.id) for at, file in enumerate(made)))
        assert (await one.files.list_files()).data == (await two.files.list_files()).data == []


async def test_half_read_content_is_let_go(stack: Any) -> None:
    file = await stack.files.create_file(file=b"x" * 3_000_000, purpose="batch")
    content = await stack.files.get_file_content(file.id)
    async for _ in content.chunks():
        break
    await content.aclose()
    never_begun = await stack.files.get_file_content(file.id)
    await never_begun.aclose()
    await stack.files.delete_file(file.id)


class _Liar(io.BytesIO):
    """Says that it is short."""

    def seek(self, offset: int, whence: int = 0) -> int:
        return super().seek(offset, whence) and 10


class _Torn(io.BytesIO):
    """Fails after its first megabytes."""

    def read(self, most: int | None = -1) -> bytes:
        if self.tell() > 2_000_000:
            raise OSError("the disk is gone")
        return super().read(most)


class _Watched(io.BytesIO):
    """Says when it is being read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.begun = threading.Event()

    def read(self, most: int | None = -1) -> bytes:
        if self.tell():
            self.begun.set()
        return super().read(most)
