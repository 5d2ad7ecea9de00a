"""Forms with files: what comes in is the file and nothing else, what is left over is gone, what is wrong is said."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack_core.apis._content import PIECE, FileContent, Upload
from stack_core.apis.files import File
from stack_core.errors import InvalidRequest, PayloadTooLarge
from stack_core.server.aliases import route_table
from stack_core.wire.form_body import FormBody, disposition
from stack_core.wire.forms import MOST_PARTS, MOST_TEXT, is_form, parameters, read_form
from stack_core.wire.requests import outgoing
from stack_core.wire.results import file_facts, file_headers
from stack_core.wire.service import Broken, Gone, Request, Service
from tests.stack_core.probe import Probe

TABLE = route_table()
KIND = "multipart/form-data; boundary=xx"
CREATE = TABLE.match("POST", "/v1/files")[0]


def part(content: bytes, disposition: str = 'name="file"; filename="a.txt"', more: str = "") -> bytes:
    """One part of a form with the boundary `xx`."""
    return b"--xx\r\ncontent-disposition: form-data; %s\r\n%s\r\n%s\r\n" % (
        disposition.encode(),
        more.encode(),
        content,
    )


END = b"--xx--\r\n"
PURPOSE = part(b"batch", 'name="purpose"')


async def pieces(body: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def fields(body: bytes, *, kind: str = KIND, size: int = 7) -> dict[str, Any]:
    with ExitStack() as files:
        found = await read_form(kind, pieces(body, size), "file", files)
        upload = found.get("file")
        if isinstance(upload, Upload):
            found["file"] = (upload.filename, upload.media_type, b"".join([p async for p in upload.chunks()]))
    return found


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_file_and_texts_come_as_they_were_sent(size: int) -> None:
    body = part(b"some\r\n--x\r\nbytes", more="content-type: text/csv\r\n") + PURPOSE
    body += part(b"created_at", 'name="expires_after[anchor]"') + part(b"3600", 'name="expires_after[seconds]"')
    body += part(b"a", 'name="tags[]"') + part(b"b", 'name="tags[]"') + part("ü".encode(), 'name="note"') + END
    assert await fields(body, size=size) == {
        "file": ("a.txt", "text/csv", b"some\r\n--x\r\nbytes"),
        "purpose": "batch",
        "expires_after": {"anchor": "created_at", "seconds": "3600"},
        "tags": ["a", "b"],
        "note": "ü",
    }


async def test_an_empty_file_is_a_file() -> None:
    assert await fields(part(b"") + END) == {"file": ("a.txt", "text/plain", b"")}


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5])
async def test_what_is_big_goes_to_disk_and_is_gone_after_the_call(size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    with ExitStack() as files:
        found = await read_form(KIND, pieces(part(content) + END, 65_536), "file", files)
        assert b"".join([p async for p in found["file"].chunks()]) == content
        with found["file"].opened() as kept:
            assert hasattr(kept, "getbuffer") == (size < PIECE)
    assert size < PIECE or kept.closed


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="C:\\\\folder\\\\a.txt"', "a.txt"),
        ('filename="say \\"hi\\".txt"', 'say "hi".txt'),
        ("filename=plain.txt", "plain.txt"),
        ("filename=\"x\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt", "naïve €.txt"),
        ("filename*=iso-8859-1'en'%A3.txt", "£.txt"),
        ('filename="a;b=c.txt"', "a;b=c.txt"),
        ('filename="a\x00b.txt"', "ab.txt"),
        ('filename="grün.txt"', "grün.txt"),
    ],
)
async def test_a_files_name_is_its_last_part(given: str, name: str) -> None:
    assert (await fields(part(b"x", f'name="file"; {given}') + END))["file"][0] == name


async def test_a_name_that_is_no_utf8_is_latin_1() -> None:
    body = part(b"x", 'name="file"; filename="GR.txt"').replace(b"GR", b"gr\xfcn") + END
    assert (await fields(body))["file"][0] == "grün.txt"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (part(b"x"), "closing boundary"),
        (part(b"x")[:-9], "closing boundary"),
        (b"", "closing boundary"),
        (b"junk", "not a multipart form"),
        (b"{}", "not a multipart form"),
        (part(b"/etc/passwd", 'name="file"') + END, "file is needed, not a text"),
        (part(b"/etc/passwd", 'name="file[]"') + END, "file is needed, not a text"),
        (part(b"/etc/passwd", 'name="file[path]"') + END, "file is needed, not a text"),
        (part(b"", 'name="file"; filename=""') + END, "no name"),
        (part(b"", 'name="file"; filename=".."') + END, "no name"),
        (part(b"x") + part(b"y") + END, "there are two"),
        (part(b"x", 'name="other"; filename="a"') + END, "send it as 'file'"),
        (part(b"x", 'filename="a"') + END, "without a name"),
        (part(b"x", "") + END, "without a name"),
        (part(b"\xff\xfe", 'name="purpose"') + END, "not UTF-8"),
        (part(b"eA==", more="content-transfer-encoding: base64\r\n") + END, "content-transfer-encoding"),
        (part(b"x", more=f"x-long: {'y' * 10_000}\r\n") + END, "header size"),
        (part(b"x", more="".join(f"x-{i}: y\r\n" for i in range(50))) + END, "header count"),
        (part(b"1", 'name="a"') + part(b"1", 'name="a[b]"') + END, "as a text and as a mapping"),
    ],
)
async def test_a_form_that_is_wrong_is_refused_with_its_reason(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        await fields(body)
    assert caught.value.errors


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", f"{KIND}{'y' * 300}"])
async def test_a_boundary_is_needed(kind: str) -> None:
    with pytest.raises(InvalidRequest):
        await fields(END, kind=kind)


async def test_texts_and_parts_have_a_limit() -> None:
    with pytest.raises(PayloadTooLarge, match="texts"):
        await fields(part(b"x" * (MOST_TEXT + 1), 'name="a"') + END, size=65_536)
    with pytest.raises(PayloadTooLarge, match="parts"):
        await fields(part(b"x", 'name="a"') * (MOST_PARTS + 1) + END, size=65_536)


def test_what_is_a_form() -> None:
    assert is_form("POST", "multipart/form-data; boundary=x")
    assert is_form("POST", "Multipart/Form-Data;boundary=x")
    assert not is_form("GET", "multipart/form-data; boundary=x")
    assert not is_form("POST", "multipart/form-datax")
    assert not is_form("POST", "application/json")
    assert parameters('a/b; Boundary="q;r"; x=1 ; boundary=two') == {"boundary": b"q;r", "x": b"1"}


@pytest.mark.parametrize("name", ["a.txt", 'na"ïve\r\n €.txt', "ü;x=y\\z.bin"])
async def test_what_a_client_sends_is_what_the_server_reads(name: str) -> None:
    given = {"purpose": "batch", "expires_after": {"anchor": "created_at", "seconds": 3600}}
    args = CREATE.arguments((), {"file": (name, b"content", "text/x"), **given})
    form = outgoing(CREATE, args).body
    assert isinstance(form, FormBody)
    body = b"".join([piece async for piece in form])
    assert len(body) == await form.size()
    found = await fields(body, kind=form.content_type)
    shown = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").rpartition("\\")[2]
    assert found["file"] == (shown, "text/x", b"content")
    assert (found["purpose"], found["expires_after"]) == ("batch", {"anchor": "created_at", "seconds": "3600"})


@pytest.mark.parametrize("name", ["a.txt", 'na"ïve\r\n €;.txt', "100%.txt", ""])
def test_the_name_of_a_file_survives_its_header(name: str) -> None:
    headers = dict(file_headers(FileContent(pieces(b""), filename=name, media_type="text/csv", size=3)))
    headers["content-disposition"].encode("ascii")
    assert "\n" not in headers["content-disposition"]
    assert file_facts(headers) == {"filename": name, "media_type": "text/csv", "size": 3}
    assert "attachment" in disposition(name)


def test_a_media_type_cannot_add_a_header() -> None:
    headers = file_headers(FileContent(pieces(b""), media_type="text/html\r\nset-cookie: a=b"))
    assert headers[0] == ("content-type", "application/octet-stream")


PIECES = st.sampled_from(
    [
        *(b"--xx", b"--xx--", b"\r\n", b"\r", b"\n", b"--", b"-", b": ", b'; name="file"', b"; filename=", b'"', b"a"),
        *(b"[", b"]", b"content-disposition: form-data", b"content-type: text/plain", b"\x00", b"\xff", b"{"),
        *(part(b"x")[:-3], part(b"", 'name="a[b]"')[:-2], b"; filename*=utf-8''%ff"),
    ]
)


@given(st.lists(PIECES, max_size=40), st.integers(1, 9))
async def test_any_bytes_are_a_form_or_are_refused(words: list[bytes], size: int) -> None:
    with suppress(InvalidRequest):
        await fields(b"".join(words), size=size)


async def test_without_the_package_the_answer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_multipart.multipart", None)
    async with Service(Probe(_kept), TABLE).answer(_request(pieces(part(b"x") + END))) as reply:
        assert reply.status == 501
        assert json.loads(reply.body)["error"]["hint"] == "pip install 'llama-magics[server]'"


# ---- through the service ------------------------------------------------------------------------------------------


def _request(body: Any, kind: str = KIND, verb: str = "POST", path: str = "/v1/files") -> Request:
    return Request(verb, path, "", {"content-type": kind}, body)


def _kept(route: Any, args: dict[str, Any]) -> Any:
    uploads.append(args["request"])
    return File(id="file-1", bytes=1, created_at=1, filename=args["request"].file.filename, purpose="batch")


uploads: list[Any] = []


@pytest.mark.parametrize("path", ["/v1/files", "/v1/openai/v1/files"])
@pytest.mark.parametrize(
    "more",
    [
        part(b"created_at", 'name="expires_after[anchor]"') + part(b"3600", 'name="expires_after[seconds]"'),
        part(b'{"anchor": "created_at", "seconds": 3600}', 'name="expires_after"'),
    ],
)
async def test_a_call_gets_its_checked_request(path: str, more: bytes) -> None:
    async with Service(Probe(_kept), TABLE).answer(_request(pieces(part(b"x") + PURPOSE + more + END), path=path)) as r:
        assert (r.status, json.loads(r.body)["filename"]) == (200, "a.txt")
    assert uploads[-1].expires_after.seconds == 3600


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b'{"file": "/etc/passwd", "purpose": "batch"}', "application/json", 400, "must be a form"),
        (b"", "", 400, "must be a form"),
        (pieces(part(b"x") + END), KIND, 400, "purpose: Field required"),
        (pieces(PURPOSE + END), KIND, 400, "file: Field required"),
        (pieces(part(b"x") + PURPOSE + part(b"", 'name="nope"') + END), KIND, 400, "nope"),
        (pieces(part(b"x") + PURPOSE), KIND, 400, "closing boundary"),
    ],
)
async def test_a_wrong_upload_never_reaches_the_call(body: Any, kind: str, status: int, message: str) -> None:
    probe = Probe(_kept)
    async with Service(probe, TABLE).answer(_request(body, kind)) as reply:
        assert reply.status == status
        assert message.lower() in json.loads(reply.body)["detail"].lower()
    assert probe.calls == []


async def test_a_form_where_json_is_meant_is_refused() -> None:
    request = _request(pieces(part(b"x") + END), path="/v1/chat/completions")
    async with Service(Probe(_kept), TABLE).answer(request) as reply:
        assert reply.status == 400
        assert "takes JSON" in json.loads(reply.body)["detail"]


async def test_a_client_that_leaves_in_the_middle_stores_nothing() -> None:
    async def leaving() -> AsyncIterator[bytes]:
        yield part(b"x" * 100)
        raise Gone

    probe = Probe(_kept)
    with pytest.raises(Gone):
        async with Service(probe, TABLE).answer(_request(leaving())):
            raise AssertionError("there is nobody to answer")
    assert probe.calls == []


class Content:
    """A file whose reading can break, and that knows whether it was closed."""

    def __init__(self, *parts: bytes, then: Exception | None = None) -> None:
        self.parts, self.then, self.closed = parts, then, False

    async def _pieces(self) -> AsyncIterator[bytes]:
        for item in self.parts:
            yield item
        if self.then:
            raise self.then

    async def _close(self) -> None:
        self.closed = True

    def made(self) -> FileContent:
        return FileContent(self._pieces(), filename="ü.txt", media_type="text/plain", size=4, close=self._close)


async def test_a_file_is_answered_in_pieces_and_closed() -> None:
    content = Content(b"ab", b"cd")
    service = Service(Probe(lambda route, args: content.made()), TABLE)
    async with service.answer(_request(b"", "", "GET", "/v1/files/f/content")) as reply:
        assert reply.frames is not None
        assert [piece async for piece in reply.frames] == [b"ab", b"cd"]
        headers = dict(reply.headers)
    assert content.closed
    assert (headers["content-type"], headers["content-length"]) == ("text/plain", "4")
    assert headers["content-disposition"] == "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"
    async with service.answer(_request(b"", "", "HEAD", "/v1/files/f/content")) as reply:
        assert (reply.frames, reply.body, dict(reply.headers)["content-length"]) == (None, b"", "4")


async def test_a_file_that_breaks_at_once_has_a_status_and_later_breaks_the_answer() -> None:
    for parts in ((), (b"ab",)):
        content = Content(*parts, then=OSError("disk"))
        service = Service(Probe(lambda route, args, c=content: c.made()), TABLE)
        async with service.answer(_request(b"", "", "GET", "/v1/files/f/content")) as reply:
            if reply.frames is None:
                assert reply.status == 500
            else:
                with pytest.raises(Broken):
                    [piece async for piece in reply.frames]
        assert content.closed
