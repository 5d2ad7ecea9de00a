"""A docling server, as far as files are sent to one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import InvalidRequest, ProviderAuthFailed, ProviderError, ProviderUnavailable
from tests.stack_core.providers.file_processors.test_auto import run_file

BREAK = "<!-- stack: page break -->"


class _Handler(BaseHTTPRequestHandler):
    """Answers with what the file holds; asked for page breaks, it puts them where form feeds are."""

    asked: list[dict[str, list[str]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        form: dict[str, list[str]] = {}
        for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():  # type: ignore[attr-defined]  # as above
            name = part.get_param("name", header="content-disposition")
            form.setdefault(name, []).append(part.get_payload(decode=True).decode())
        self.asked.append(form)
        text = form["files"][0]
        answer: tuple[int, Any] = (200, {"status": "success", "document": {"md_content": text.replace("\f", BREAK)}})
        if self.headers["x-api-key"] != "secret-key":
            answer = 401, {"detail": "Api key is invalid: " + str(self.headers["x-api-key"])}
        elif text == "damaged":
            answer = (
                200,
                {"status": "failure", "document": {"md_content": None}, "errors": [{"error_message": "no PDF"}]},
            )
        elif text == "strange":
            answer = 200, ["?"]
        content = json.dumps(answer[1]).encode()
        self.send_response(answer[0])
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def service() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    asked: list[dict[str, list[str]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    server.shutdown()
    thread.join()
    server.server_close()


def _entry(url: str, key: str = "secret-key") -> dict[str, Any]:
    config = {"base_url": url, "api_key": key}
    return {"provider_id": "docling", "provider_type": "remote::docling-serve", "config": config}


async def test_pages_come_back_and_options_go_there(
    tmp_path: Path, service: tuple[str, list[dict[str, list[str]]]]
) -> None:
    url, asked = service
    async with Stack.open(run_file(tmp_path, _entry(url))) as stack:
        found = await stack.file_processors.process_file(
            file=("ä.pdf", b"# One\n\ntext\f# Two"), options={"do_ocr": False, "ocr_lang": ["de", "en"]}
        )
    assert found.chunks[0].content == "# One\n\ntext\n\n# Two"
    assert (found.metadata["processor"], found.metadata["page_count"]) == ("docling-serve", 2)
    assert (asked[0]["do_ocr"], asked[0]["ocr_lang"], asked[0]["to_formats"]) == (["false"], ["de", "en"], ["md"])


async def test_what_the_server_says_is_passed_on(
    tmp_path: Path, service: tuple[str, list[dict[str, list[str]]]]
) -> None:
    async with Stack.open(run_file(tmp_path, _entry(service[0]))) as stack:
        with pytest.raises(InvalidRequest, match=r"a\.pdf cannot be read: no PDF"):
            await stack.file_processors.process_file(file=("a.pdf", b"damaged"))
        with pytest.raises(ProviderError, match="cannot be read"):
            await stack.file_processors.process_file(file=("a.pdf", b"strange"))
        with pytest.raises(InvalidRequest, match=r"options\.to_formats"):
            await stack.file_processors.process_file(file=("a.pdf", b"x"), options={"to_formats": "json"})


async def test_a_wrong_key_is_not_repeated(tmp_path: Path, service: tuple[str, list[dict[str, list[str]]]]) -> None:
    async with Stack.open(run_file(tmp_path, _entry(service[0], "wrong-key-123"))) as stack:
        with pytest.raises(ProviderAuthFailed) as caught:
            await stack.file_processors.process_file(file=("a.pdf", b"x"))
    assert "wrong-key-123" not in str(caught.value)


async def test_no_server(tmp_path: Path) -> None:
    async with Stack.open(run_file(tmp_path, _entry("http://127.0.0.1:9/v1"))) as stack:
        with pytest.raises(ProviderUnavailable, match="cannot reach docling"):
            await stack.file_processors.process_file(file=("a.pdf", b"x"))
