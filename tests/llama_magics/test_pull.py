"""`pull` from an Ollama: its protocol as Ollama's API document has it, one JSON object a line."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stack_core.errors import NotFound, ProviderError, ProviderUnavailable
from tests.llama_magics.conftest import Notebook


class Ollama(BaseHTTPRequestHandler):
    """Pulls `tiny` and knows no other model."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        lines = [{"status": "pulling"}, {"status": "x", "total": 10, "completed": 5}, {"status": "success"}]
        if asked != {"model": "tiny"} or self.path != "/api/pull":
            lines = [{"error": "pull model manifest: file does not exist"}]
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def ollama(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ollama)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("OLLAMA_URL", f"{url}/v1")
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_pulled_with_progress(notebook: Notebook, ollama: str) -> None:
    report = notebook.run("%stack pull ollama/tiny")
    assert [(check.name, check.status) for check in report.checks] == [("ollama/tiny", "ok")]
    seen: list[tuple[int, int | None]] = []
    from llama_magics.verbs.pull import pull

    pull(notebook.session, "ollama/tiny", lambda done, total: seen.append((done, total)))
    assert seen == [(5, 10)]


def test_what_cannot_be_pulled(notebook: Notebook, ollama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not exist" in notebook.fails("%stack pull ollama/other", ProviderError).message
    notebook.fails("%stack pull hf/a/b.gguf", NotFound)
    monkeypatch.setenv("OLLAMA_URL", "http://127.0.0.1:9")
    notebook.fails("%stack pull ollama/tiny", ProviderUnavailable)
