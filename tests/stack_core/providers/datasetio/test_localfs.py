"""inline::localfs: formats, addresses, pages, bad rows, and what it must not read."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import gzip
import http.server
import json
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.errors import (
    AccessDenied,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    ProviderError,
    ProviderUnavailable,
    StackError,
    Unsupported,
)
from stack_core.providers.datasetio._appended import Appended
from stack_core.storage.backends import Backends
from tests.stack_core.builtin.toy_stacks import run_file

Read = Callable[..., Any]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """Its provider may read below `tmp_path/data`."""
    (tmp_path / "data").mkdir()
    config = {"roots": [str(tmp_path / "data")], "max_bytes": 4_000_000}
    local = {"provider_id": "localfs", "provider_type": "inline::localfs", "config": config}
    files = {"provider_id": "f", "provider_type": "inline::localfs", "config": {"storage_dir": str(tmp_path / "up")}}
    providers = {"datasetio": [local], "files": [files]}
    async with Stack.open(run_file(tmp_path, providers=providers)) as found:
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder that may be read."""
    return tmp_path / "data"


@pytest.fixture
def read(stack: Stack) -> Read:
    """The page of an address."""

    async def page(uri: str, **which: Any) -> Any:
        source = {"type": "uri", "uri": uri}
        await stack.datasets.register_dataset(dataset_id="d", purpose="eval/question-answer", source=source)
        return await stack.datasetio.iterrows("d", **which)

    return page


NUMBERS = [{"n": number} for number in range(2500)]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
@pytest.mark.parametrize("packed", [False, True])
async def test_pages_of_every_format(read: Read, data: Path, ending: str, packed: bool) -> None:
    path = data / f"rows{ending}"
    write(path, NUMBERS)
    if packed:
        packed_path = path.with_name(f"{path.name}.gz")
        packed_path.write_bytes(gzip.compress(path.read_bytes()))
        path = packed_path
    for start, limit in ((0, 3), (999, 3), (2400, 200), (2500, 1), (9999, 5), (None, None), (7, -1), (0, 0)):
        page = await read(path.name, start_index=start, limit=limit)
        first, most = start or 0, 5000 if limit in (None, -1) else limit
        assert [int(row["n"]) for row in page.data] == [row["n"] for row in NUMBERS[first : first + most]]
        assert page.has_more == (first + most < 2500)
        assert page.next_start_index == (first + most if page.has_more else None)
    assert page.url == "/v1beta/datasetio/iterrows/d"


async def test_deep_pages_do_not_read_from_the_beginning(
    read: Read, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(data / "rows.jsonl", NUMBERS)
    await read("rows.jsonl")
    from stack_core.providers.datasetio._text_tables import Lines

    taken: list[int] = []
    take = Lines.__next__
    monkeypatch.setattr(Lines, "__next__", lambda self: taken.append(1) or take(self))
    assert (await read("rows.jsonl", start_index=2005, limit=2)).data == NUMBERS[2005:2007]
    assert len(taken) == 8


async def test_a_changed_file_is_read_anew(read: Read, data: Path) -> None:
    write(data / "rows.csv", [{"a": 1}])
    assert (await read("rows.csv")).data == [{"a": "1"}]
    write(data / "rows.csv", [{"b": 2}, {"b": 3}])
    assert (await read("rows.csv")).data == [{"b": "2"}, {"b": "3"}]


async def test_records_over_several_lines_and_marks_at_the_beginning(read: Read, data: Path) -> None:
    (data / "a.csv").write_bytes(b'\xef\xbb\xbfq,a\r\n"two\r\nlines, and ""quotes""",1\r\n\r\nlast,"2"')
    rows = (await read("a.csv")).data
    assert rows == [{"q": 'two\r\nlines, and "quotes"', "a": "1"}, {"q": "last", "a": "2"}]
    (data / "b.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": "\xc3\xa4"}')
    assert (await read("b.jsonl")).data == [{"a": 1}, {"a": "ä"}]
    (data / "c.json").write_text('{"a": 1}\n{"a": 2}\n')
    assert (await read("c.json")).data == [{"a": 1}, {"a": 2}], "the ending json, one object a line"


async def test_values_that_json_does_not_have(read: Read, data: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    columns = {
        "nan": [float("nan"), 1.5],
        "at": [moment, None],
        "day": [moment.date(), None],
        "long": [datetime.timedelta(seconds=90), None],
        "price": [Decimal("1.10"), None],
        "raw": [b"\xff\x00", b"text"],
        "deep": [{"list": [1, 2], "when": moment}, None],
        "map": pyarrow.array([[("k", 1)], None], type=pyarrow.map_(pyarrow.string(), pyarrow.int64())),
    }
    parquet.write_table(pyarrow.table(columns), data / "v.parquet")
    first, second = (await read("v.parquet")).data
    assert json.loads(json.dumps(first)) == {
        "nan": None,
        "at": "2026-01-02T03:04:05+00:00",
        "day": "2026-01-02",
        "long": 90.0,
        "price": "1.10",
        "raw": "/wA=",
        "deep": {"list": [1, 2], "when": "2026-01-02T03:04:05+00:00"},
        "map": [["k", 1]],
    }
    assert (second["nan"], second["raw"], second["deep"]) == (1.5, "text", None)
    (data / "v.jsonl").write_text('{"a": NaN, "b": [Infinity], "c": "\\ud800"}')
    assert (await read("v.jsonl")).data == [{"a": None, "b": [None], "c": "?"}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"a": 1}\n\n{"a": \n', "a.jsonl, line 3: not JSON"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "a.jsonl, line 2: a list, no JSON object"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', "a.jsonl, line 2: not UTF-8"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl, line 1: "),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "a.csv, line 3: 3 values, but the header has 2"),
        ("a.csv", b"a,b\n1\n", "a.csv, line 2: 1 values"),
        ("a.csv", b"a,b,a\n1,2,3\n", "the column 'a' stands twice"),
        ("a.csv", b'a\n"open\n', "a.csv, line 2: unexpected end"),
        ("a.csv", "ä\n1\n".encode("latin-1"), "a.csv, line 1: not UTF-8"),
        ("a.json", b'[{"a": 1}, 2]', "a.json: entry 1 is a int"),
        ("a.json", b'[{"a": 1}', "a.json: not JSON"),
        ("a.parquet", b"PAR1 and nothing else", "a.parquet: not a Parquet file"),
        ("a.parquet", b"", "a.parquet: not a Parquet file"),
        ("a.csv.gz", b"\x1f\x8b\x08 broken", "a.csv.gz: not a whole gzip file"),
        ("a.bin", b"\x00\x01\x02", "the format of the rows is not known"),
    ],
)
async def test_what_cannot_be_read_says_where(read: Read, data: Path, name: str, content: bytes, said: str) -> None:
    (data / name).write_bytes(content)
    with pytest.raises(InvalidRequest) as wrong:
        await read(name)
    assert said in wrong.value.message
    assert str(data) not in wrong.value.message


async def test_a_bad_line_stops_only_its_own_page(read: Read, data: Path) -> None:
    (data / "a.jsonl").write_text('{"a": 1}\n{"a": 2}\nnonsense\n{"a": 4}\n')
    with pytest.raises(InvalidRequest, match="line 3"):
        await read("a.jsonl", limit=2)
    assert (await read("a.jsonl", limit=1)).data == [{"a": 1}]
    assert (await read("a.jsonl", start_index=3)).data == [{"a": 4}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv"])
async def test_an_empty_file_has_no_rows(read: Read, data: Path, name: str) -> None:
    (data / name).touch()
    page = await read(name, limit=5)
    assert (page.data, page.has_more) == ([], False)


async def test_columns_of_one_name_in_parquet(read: Read, data: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table([[1], [2]], names=["a", "a"]), data / "a.parquet")
    with pytest.raises(InvalidRequest, match="the column 'a' stands twice"):
        await read("a.parquet")


async def test_a_gzip_bomb_is_refused(read: Read, data: Path) -> None:
    (data / "bomb.jsonl.gz").write_bytes(gzip.compress(b" " * 5_000_000))
    with pytest.raises(PayloadTooLarge, match="unpacks to more"):
        await read("bomb.jsonl.gz")


async def test_only_files_below_the_roots(read: Read, data: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    write(secret, [{"a": 1}])
    (data / "link.csv").symlink_to(secret)
    (data / "loop.csv").symlink_to(data / "loop.csv")
    (data / "folder").mkdir()
    os.mkfifo(data / "pipe.csv")
    for uri in (str(secret), secret.as_uri(), "../secret.csv", "link.csv", "lsfs://../secret.csv", "/nowhere/at/all"):
        with pytest.raises(AccessDenied, match="outside the folders") as denied:
            await read(uri)
        assert "roots" in str(denied.value.hint)
    for uri in ("folder", "pipe.csv"):
        with pytest.raises(InvalidRequest, match="is not a file"):
            await read(uri)
    for uri in ("loop.csv", "nul\0l.csv"):
        with pytest.raises(StackError):
            await read(uri)
    write(data / "rows.csv", [{"a": 1}])
    for uri in ("rows.csv", str(data / "rows.csv"), (data / "rows.csv").as_uri(), "lsfs://rows.csv", "file:rows.csv"):
        assert (await read(uri)).data == [{"a": "1"}]
    with pytest.raises(NotFound) as missing:
        await read("row.csv")
    assert "rows.csv" in str(missing.value.hint)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://bucket/rows.csv", "addresses with s3:"),
        ("http://[::1/rows.csv", "Invalid IPv6"),
        ("file://elsewhere/rows.csv", "another machine"),
        ("data:text/csv;base64", "needs a comma"),
        ("data:text/csv;base64,***", "not base64"),
        ("data:image/png,abc", "format of the rows"),
    ],
)
async def test_addresses_that_are_not_served(read: Read, uri: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        await read(uri)


async def test_rows_inside_an_address(read: Read) -> None:
    content = base64.b64encode(b"q,a\n1+1,2\n").decode()
    for uri in (f"data:text/csv;base64,{content}", f"data:csv;base64,{content}", "data:text/csv,q,a%0A1%2B1,2"):
        assert (await read(uri)).data == [{"q": "1+1", "a": "2"}]
    assert (await read('data:application/jsonl,{"a":1}%0A{"a":2}')).data == [{"a": 1}, {"a": 2}]
    with pytest.raises(PayloadTooLarge):
        await read("data:text/csv," + "a" * 4_000_001)


async def test_an_uploaded_file(stack: Stack, read: Read) -> None:
    try:
        file = await stack.files.create_file(file=("rows.csv", b"q,a\n1+1,2\n"), purpose="assistants")
    except Unsupported:
        pytest.skip("this tree has no provider of files yet")
    assert (await read(file.id)).data == [{"q": "1+1", "a": "2"}]
    with pytest.raises(NotFound):
        await read("file-nobody")


class _Web(http.server.BaseHTTPRequestHandler):
    served = 0

    def do_GET(self) -> None:
        """Rows that say how often they were asked for, a large answer, a redirect, or nothing."""
        type(self).served += 1
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("location", "/rows.csv")
            self.end_headers()
            return
        known = self.path.startswith(("/rows", "/large"))
        body = b"n\n" + b"".join(b"%d\n" % (type(self).served * 10 + n) for n in range(3))
        body = b"x" * 4_000_001 if self.path.startswith("/large") else body
        self.send_response(200 if known else 404)
        self.send_header("content-type", "text/csv; charset=utf-8")
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def web() -> Iterator[str]:
    """A real web server."""
    _Web.served = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_download_is_made_anew_when_reading_begins(read: Read, web: str) -> None:
    page = await read(f"{web}/rows?key=secret", limit=2)
    assert [row["n"] for row in page.data] == ["10", "11"]
    assert [row["n"] for row in (await read(f"{web}/rows?key=secret", start_index=2)).data] == ["12"]
    assert _Web.served == 1
    assert [row["n"] for row in (await read(f"{web}/rows?key=secret")).data] == ["20", "21", "22"]
    assert len((await read(f"{web}/moved")).data) == 3


async def test_a_download_that_fails(read: Read, web: str) -> None:
    with pytest.raises(ProviderError, match="answered 404") as missing:
        await read(f"{web}/none?key=secret")
    assert "secret" not in missing.value.message
    with pytest.raises(PayloadTooLarge, match="larger than"):
        await read(f"{web}/large.csv")
    with pytest.raises(ProviderUnavailable):
        await read("http://127.0.0.1:1/rows.csv")


async def test_downloads_can_be_switched_off(tmp_path: Path) -> None:
    local = {"provider_id": "l", "provider_type": "inline::localfs", "config": {"downloads": False}}
    async with Stack.open(run_file(tmp_path, providers={"datasetio": [local]})) as stack:
        source = {"type": "uri", "uri": "http://127.0.0.1:1/rows.csv"}
        await stack.datasets.register_dataset(dataset_id="d", purpose="eval/question-answer", source=source)
        with pytest.raises(InvalidRequest, match="downloads nothing"):
            await stack.datasetio.iterrows("d")


async def test_appends_at_once_are_all_kept(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path)) as one, Stack.open(run_file(tmp_path)) as two:
        source = {"type": "rows", "rows": []}
        for name in ("d", "d:e", "d/e"):
            await one.datasets.register_dataset(dataset_id=name, purpose="eval/question-answer", source=source)
        await asyncio.gather(*((one, two)[n % 2].datasetio.append_rows("d", [{"n": n}, {"n": n}]) for n in range(40)))
        rows = (await two.datasetio.iterrows("d")).data
        assert sorted(row["n"] for row in rows) == sorted([*range(40), *range(40)])
        assert all(rows[i] == rows[i + 1] for i in range(0, 80, 2)), "what was appended together stays together"
        assert (await one.datasetio.iterrows("d:e")).data == []
        await one.datasetio.append_rows("d/e", [{"n": float("nan"), "at": datetime.date(2026, 1, 2)}])
        assert (await one.datasetio.iterrows("d/e")).data == [{"n": None, "at": "2026-01-02"}]


async def test_copies_do_not_fill_the_disk(read: Read, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stack_core.providers.datasetio import _sources

    monkeypatch.setattr(_sources, "MOST_COPIES", 3)
    monkeypatch.setattr(_sources, "MOST_OPEN", 3)
    folders: list[Any] = []
    made = _sources.tempfile.TemporaryDirectory
    monkeypatch.setattr(_sources.tempfile, "TemporaryDirectory", lambda **k: folders.append(made(**k)) or folders[-1])
    for number in range(8):
        assert (await read(f"data:text/csv,n%0A{number}")).data == [{"n": str(number)}]
        (data / f"{number}.csv.gz").write_bytes(gzip.compress(b"n\n%d\n" % number))
        assert (await read(f"{number}.csv.gz")).data == [{"n": str(number)}]
    assert (await read("data:text/csv,n%0A0")).data == [{"n": "0"}], "made again"
    assert len(os.listdir(folders[0].name)) <= 6


async def test_rows_that_were_not_acknowledged_are_not_there(tmp_path: Path) -> None:
    async with Backends({"kv": {"type": "kv_sqlite", "db_path": str(tmp_path / "kv.db")}}) as backends:
        store = backends.kv("kv", "rows")
        appended = Appended(store)
        await appended.add("d", [{"n": n} for n in range(1200)])
        assert [row["n"] for row in await appended.page("d", 499, 2)] == [499, 500]
        mark = (await store.scan("marks:"))[0][0]
        await store.delete(mark)  # as after a crash between the rows and their mark
        assert await appended.page("d", 0, None) == []
        await appended.forget("d")
        assert await store.scan() == []


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The rows in the format that the name says."""
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows))
        case ".parquet":
            import pyarrow
            from pyarrow import parquet

            parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=700)
        case suffix:
            separator = "," if suffix == ".csv" else "\t"
            lines = [separator.join(rows[0]), *(separator.join(map(str, row.values())) for row in rows)]
            path.write_text("".join(f"{line}\n" for line in lines))


async def test_a_known_caller_reaches_nothing_of_the_own_network(tmp_path: Path, web: str) -> None:
    async def read_as(stack: Stack, name: str, uri: str) -> Any:
        with context.request_scope(caller=context.User(name)):
            source = {"type": "uri", "uri": uri}
            await stack.datasets.register_dataset(dataset_id=name, purpose="eval/question-answer", source=source)
            return await stack.datasetio.iterrows(name)

    inner = web.replace("127.0.0.1", "localhost")
    async with Stack.open(run_file(tmp_path)) as stack:
        source = {"type": "uri", "uri": f"{web}/rows"}
        await stack.datasets.register_dataset(dataset_id="free", purpose="eval/question-answer", source=source)
        assert (await stack.datasetio.iterrows("free")).data, "alone at a notebook, this machine may be asked"
        for uri in (
            f"{web}/rows",
            f"{inner}/rows",
            "http://[::1]:1/x",
            "http://10.0.0.1/x",
            "http://[::ffff:127.0.0.1]/",
        ):
            with pytest.raises(AccessDenied, match="own network"):
                await read_as(stack, "ada", uri)
        source["uri"] = "http://169.254.169.254/latest/meta-data"
        await stack.datasets.register_dataset(dataset_id="cloud", purpose="eval/question-answer", source=source)
        with pytest.raises(AccessDenied, match="own network"):
            await stack.datasetio.iterrows("cloud")
    local = {"provider_id": "l", "provider_type": "inline::localfs", "config": {"private_hosts": True}}
    (tmp_path / "open").mkdir()
    async with Stack.open(run_file(tmp_path / "open", providers={"datasetio": [local]})) as stack:
        assert (await read_as(stack, "ada", f"{web}/rows")).data
