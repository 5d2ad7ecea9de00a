"""Files of every format through the door: text, pages and chunks come out, or a clear word why not."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack, context
from stack_core.errors import InvalidRequest, MissingPackage, NotFound, PayloadTooLarge, Unsupported
from stack_core.providers.file_processors import _apart, _child, _processor
from tests.stack_core.providers.file_processors import samples

pytestmark = pytest.mark.slow

STATIC = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20}}
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": "1 + 1", "outputs": [{"text": "2"}]},
    ],
    "metadata": {},
    "nbformat": 4,
}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Any]:
    async with Stack.open(run_file(tmp_path)) as found:
        yield found


def run_file(folder: Path, *processors: dict[str, Any]) -> dict[str, Any]:
    files = {"provider_id": "files", "provider_type": "inline::localfs", "config": {"storage_dir": str(folder / "f")}}
    return {
        "image_name": "t",
        "providers": {"files": [files], **({"file_processors": list(processors)} if processors else {})},
        "storage": {
            "backends": {
                "kv": {"type": "kv_sqlite", "db_path": str(folder / "kv.db")},
                "sql": {"type": "sql_sqlite", "db_path": str(folder / "sql.db")},
            },
            "stores": {"metadata": {"namespace": "registry", "backend": "kv"}},
        },
    }


@cache
def two_pages() -> bytes:
    return samples.pdf("page one", "page two")


async def read(stack: Any, *file: Any, **more: Any) -> str:
    """The text of a file as one chunk."""
    found = await stack.file_processors.process_file(file=file, **more)
    assert len(found.chunks) == 1
    return str(found.chunks[0].content)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.txt", b"\xef\xbb\xbfplain\r\ntext\n", "plain\ntext"),
        ("a.md", b"# Head\n\ntext", "# Head\n\ntext"),
        ("a.json", b'{"a": [1, 2]}', '{"a": [1, 2]}'),
        ("a.csv", "a;ü\n1;2".encode(), "a;ü\n1;2"),
        ("a.py", b"print(1)\n", "print(1)"),
        ("noname", "ein Gedicht über Öl".encode("latin-1"), "ein Gedicht über Öl"),
        ("a.txt", "“quoted” text…".encode("cp1252"), "“quoted” text…"),
        ("a.txt", "UTF-16 öäü".encode("utf-16"), "UTF-16 öäü"),
        ("a.txt", "big endian".encode("utf-16-be"), "big endian"),
        ("a.txt", b"\xff\xfe\x00\x00" + "four bytes".encode("utf-32-le"), "four bytes"),
        ("a.txt", "日本語".encode(), "日本語"),
        ("a.html", b"<p>one<p>two &lt;3 <b>bold</b>", "one\n\ntwo <3 bold"),
        ("a.ipynb", json.dumps(NOTEBOOK).encode(), "# Title\nwords\n\n```\n1 + 1\n```"),
        ("a.dat", b"<!DOCTYPE html><title>T</title><h2>H</h2>x", "T\n\n## H\n\nx"),
    ],
)
async def test_text_of_all_kinds(stack: Any, name: str, content: bytes, text: str) -> None:
    assert await read(stack, name, content) == text


async def test_a_charset_that_is_said_counts(stack: Any) -> None:
    assert await read(stack, "a.txt", "日本語".encode("shift_jis"), "text/plain; charset=shift_jis") == "日本語"
    page = "<html><head><meta charset='euc-jp'></head>日本語".encode("euc-jp")
    assert await read(stack, "a.html", page) == "日本語"
    assert await read(stack, "a.txt", b"abc", "text/plain; charset=zip") == "abc"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.docx", lambda: samples.word("Head", "a paragraph"), "# Head\n\na paragraph"),
        ("a.pptx", lambda: samples.slides("one", "two"), "# one\n\n# two"),
        ("a.xlsx", lambda: samples.sheet(["a", "b"], [1, 2]), "## Sheet\n| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("a.epub", lambda: samples.book("a chapter"), "**Title:** Book\n\na chapter"),
        ("wrong.txt", lambda: samples.word("Head", "the content counts"), "# Head\n\nthe content counts"),
    ],
)
async def test_office_formats(stack: Any, name: str, content: Callable[[], bytes], text: str) -> None:
    assert await read(stack, name, content()) == text


async def test_a_pdf_has_pages_and_says_what_it_is(stack: Any) -> None:
    content = samples.pdf(*(f"Page {n} is about things. " * 30 for n in (1, 2, 3)))
    file = await stack.files.create_file(file=("a.pdf", content), purpose="assistants")
    found = await stack.file_processors.process_file(file_id=file.id, chunking_strategy=STATIC)
    told = found.metadata
    assert (told["processor"], told["extraction_method"], told["page_count"], told["title"]) == (
        "auto", "pypdf", 3, "A title",
    )  # fmt: skip
    assert [chunk.metadata["page"] for chunk in found.chunks] == sorted(
        chunk.metadata["page"] for chunk in found.chunks
    )
    assert {chunk.metadata["page"] for chunk in found.chunks} == {1, 2, 3}
    for chunk in found.chunks:
        assert chunk.metadata["file_id"] == chunk.chunk_metadata.document_id == file.id
        assert chunk.metadata["filename"] == chunk.chunk_metadata.source == "a.pdf"
        assert 0 < chunk.chunk_metadata.content_token_count <= 100
    again = await stack.file_processors.process_file(file_id=file.id, chunking_strategy=STATIC)
    assert [chunk.chunk_id for chunk in again.chunks] == [chunk.chunk_id for chunk in found.chunks]
    assert len({chunk.chunk_id for chunk in found.chunks}) == len(found.chunks)


async def test_chunks_of_our_own_size_where_the_caller_leaves_it_to_us(stack: Any) -> None:
    text = " ".join(f"word{n}" for n in range(3000)).encode()
    found = await stack.file_processors.process_file(file=("a.txt", text), chunking_strategy={"type": "auto"})
    sizes = [chunk.chunk_metadata.content_token_count for chunk in found.chunks]
    assert max(sizes) <= 800 < sum(sizes)
    assert len(found.chunks) > 5


async def test_an_encrypted_pdf_needs_its_password(stack: Any) -> None:
    content = samples.pdf("the secret plan", password="open sesame")
    with pytest.raises(InvalidRequest, match=r"a\.pdf is encrypted") as caught:
        await read(stack, "a.pdf", content)
    assert "password" in str(caught.value.hint)
    with pytest.raises(InvalidRequest, match="encrypted") as caught:
        await read(stack, "a.pdf", content, options={"password": "guess"})
    assert "wrong" in str(caught.value.hint)
    assert await read(stack, "a.pdf", content, options={"password": "open sesame"}) == "the secret plan"


async def test_options_change_how_a_pdf_is_read(stack: Any) -> None:
    found = await stack.file_processors.process_file(
        file=("a.pdf", samples.pdf("text")), options={"extract_metadata": False, "clean_text": False}
    )
    assert "title" not in found.metadata


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.txt", b"", r"a\.txt is empty"),
        ("a.txt", b" \n\t", r"a\.txt has no text"),
        ("a.pdf", b"this is none", r"a\.pdf is said to be pdf"),
        ("a.pdf", b"%PDF-1.7\njunk", r"a\.pdf is no PDF"),
        ("a.pdf", lambda: two_pages()[:-800], r"a\.pdf is "),
        ("a.pdf", lambda: samples.pdf(""), r"a\.pdf has no text"),
        ("a.docx", b"PK\x03\x04 and no more", r"a\.docx is damaged"),
        ("a.docx", lambda: samples.word("a", "b")[:-300], r"a\.docx is damaged"),
        ("a.docx", b"words", r"a\.docx is said to be docx"),
        ("a.docx", samples.bomb, r"a\.docx would unpack to 67,108,"),
        pytest.param(
            "a.xlsx",
            lambda: samples.bomb("xl/workbook.xml", 600),
            r"a\.xlsx would unpack to 629,",
            marks=pytest.mark.slow,
        ),
        ("a.docx", lambda: samples.bomb(megabytes=1), r"a\.docx cannot be read"),
        ("a.zip", lambda: samples.bomb("a.txt", 1), r"a\.zip is a zip archive"),
        ("a.txt", bytes(range(256)) * 20, r"a\.txt is no text"),
        ("a.txt", b"text\x00with\x00nul", r"a\.txt is no text"),
        ("a.png", b"\x89PNG\r\n\x1a\n", r"a\.png is a picture"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"a\.doc is a file of Office 97"),
        ("a.ipynb", b"{}", r"a\.ipynb is no Jupyter notebook"),
        ("a.ipynb", b'{"cells": [3]}', r"a\.ipynb is no Jupyter notebook"),
        ("../../x/b.txt", b"", r"^b\.txt is empty"),
    ],
)
async def test_what_cannot_be_read_is_named(
    stack: Any, name: str, content: bytes | Callable[[], bytes], why: str
) -> None:
    file = (name, content if isinstance(content, bytes) else content())
    with pytest.raises(InvalidRequest, match=why):
        await stack.file_processors.process_file(file=file)


async def test_noise_is_no_text(stack: Any) -> None:
    with pytest.raises(InvalidRequest, match="is no text"):
        await stack.file_processors.process_file(file=("noise.txt", b"\x01" + os.urandom(100_000)))


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "one of file and file_id"),
        ({"file": b"x", "file_id": "file-1"}, "one of file and file_id"),
        ({"file": b"x", "options": {"pasword": "x"}}, r"options\.pasword"),
        ({"file": b"x", "options": {"password": 3}}, r"options\.password must be str"),
        ({"file": b"x", "chunking_strategy": "{"}, "chunking_strategy"),
        ({"file": b"x", "chunking_strategy": {"type": "semantic"}}, "chunking_strategy"),
        ({"file": b"x", "chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 99}}}, "100"),
        ({"file": b"x", "chunking_strategy": {"type": "static", "static": {"chunk_overlap_tokens": 401}}}, "half"),
        ({"file": b"x", "colour": 1}, "colour"),
    ],
)
async def test_a_wrong_request_is_refused(stack: Any, given: dict[str, Any], fault: str) -> None:
    with pytest.raises(InvalidRequest, match=fault):
        await stack.file_processors.process_file(**given)


async def test_a_strategy_may_come_as_text(stack: Any) -> None:
    found = await stack.file_processors.process_file(
        file=("a.txt", b"word " * 500), chunking_strategy=json.dumps(STATIC), options=""
    )
    assert len(found.chunks) > 4


async def test_a_file_of_another_owner_is_not_found(stack: Any) -> None:
    with context.request_scope(caller=context.User("ann")):
        hers = await stack.files.create_file(file=b"hers", purpose="assistants")
        assert (await stack.file_processors.process_file(file_id=hers.id)).chunks[0].content == "hers"
    with context.request_scope(caller=context.User("bob")), pytest.raises(NotFound):
        await stack.file_processors.process_file(file_id=hers.id)


async def test_what_is_too_large_is_refused(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_processor, "MOST", 1000)
    with pytest.raises(PayloadTooLarge, match=r"a\.txt is larger"):
        await stack.file_processors.process_file(file=("a.txt", b"x" * 1001))


async def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = tmp_path / "child.py"
    sleeper.write_text(
        f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    )
    monkeypatch.setattr(_apart, "CHILD", sleeper)
    auto = {"provider_id": "auto", "provider_type": "inline::auto", "config": {"timeout_secs": 1.5}}
    async with Stack.open(run_file(tmp_path, auto)) as stack:
        with pytest.raises(InvalidRequest, match=r"a\.pdf takes longer than 1\.5 s"):
            await stack.file_processors.process_file(file=("a.pdf", two_pages()))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_a_reader_that_dies_is_no_fault_of_ours(
    stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child.py"
    child.write_text("import sys\nsys.exit('MemoryError: too much')")
    monkeypatch.setattr(_apart, "CHILD", child)
    with pytest.raises(InvalidRequest, match=r"a\.pdf cannot be read: MemoryError"):
        await stack.file_processors.process_file(file=("a.pdf", two_pages()))


async def test_a_missing_package_names_the_command(stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_apart, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage) as caught:
        await stack.file_processors.process_file(file=("a.pdf", two_pages()))
    assert caught.value.hint == "pip install 'llama-magics[pdf]'"


async def test_pypdf_reads_nothing_else(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path, {"provider_id": "pypdf", "provider_type": "inline::pypdf"})) as stack:
        assert await read(stack, "a.pdf", two_pages()) == "page one\n\npage two"
        with pytest.raises(InvalidRequest, match=r"a\.txt is no PDF"):
            await stack.file_processors.process_file(file=("a.txt", b"x"))


async def test_docling_says_how_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    if _apart.find_spec("docling") is not None:
        pytest.skip("docling is installed here")
    async with Stack.open(run_file(tmp_path, {"provider_id": "d", "provider_type": "inline::docling"})) as stack:
        with pytest.raises(Unsupported) as caught:
            await stack.file_processors.process_file(file=("a.pdf", two_pages()))
    assert "llama-magics[docling]" in str(caught.value.hint)


def test_more_text_than_is_taken_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(two_pages())
    monkeypatch.setattr(_child, "MOST_TEXT", 10)
    with pytest.raises(_child.Unreadable, match="more than 10 characters"):
        _child.read_pdf(path, "")
