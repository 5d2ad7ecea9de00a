"""Services that the file providers talk to in tests: moto's S3 server, and one that speaks OpenAI's files API."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from pathlib import Path
from typing import Any


@dataclass
class Buckets:
    """A running S3."""

    url: str

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.url, region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s"
        )

    def keys(self, bucket: str) -> set[str]:
        """The objects of a bucket; uploads that began and never ended count, too."""
        client = self.client()
        try:
            begun = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
            return {o["Key"] for o in [*client.list_objects_v2(Bucket=bucket).get("Contents", []), *begun]}
        except client.exceptions.NoSuchBucket:
            return set()


@contextmanager
def bucket_service() -> Iterator[Buckets]:
    """moto's server, in a process of its own on a port of its own choice."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                break
        else:
            raise AssertionError("moto's server did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Buckets(found[0])
    finally:
        process.terminate()
        process.wait()


@dataclass
class OpenAIFiles:
    """A running service of files."""

    folder: Path
    url: str = ""
    key: str = "sk-test-0123456789"
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)

    def ids(self) -> set[str]:
        return set(self.files)


@contextmanager
def openai_files(folder: Path) -> Iterator[OpenAIFiles]:
    """A service that speaks as much of OpenAI's API as files need, on a port of its own."""
    service = OpenAIFiles(folder)

    class Handler(_Handler):
        kept = service

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kept: OpenAIFiles

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        if not self._allowed():
            return
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        form = BytesParser(policy=HTTP).parsebytes(head + body)
        texts: dict[str, str] = {}
        content, name = b"", ""
        for part in form.iter_parts():  # type: ignore[attr-defined]  # a message of the HTTP policy has parts
            payload = part.get_payload(decode=True)
            if part.get_filename() is None:
                texts[part.get_param("name", header="content-disposition")] = payload.decode()
            else:
                content, name = payload, part.get_filename()
        self.kept.forms.append(texts)
        if texts["purpose"] not in ("assistants", "batch", "fine-tune", "vision", "user_data", "evals"):
            self._say(400, {"error": {"message": "wrong purpose", "type": "invalid_request_error"}})
            return
        now = int(time.time())
        file = {"id": f"file-{uuid.uuid4().hex[:24]}", "object": "file", "bytes": len(content), "created_at": now}
        if "expires_after[seconds]" in texts:
            file["expires_at"] = now + int(texts["expires_after[seconds]"])
        self.kept.files[str(file["id"])] = {**file, "content": content}
        self._say(200, {**file, "filename": name, "purpose": texts["purpose"], "status": "processed"})

    def do_GET(self) -> None:
        file = self._file()
        if file is not None:
            self.send_response(200)
            self.send_header("content-length", str(len(file["content"])))
            self.end_headers()
            self.wfile.write(file["content"])

    def do_DELETE(self) -> None:
        file = self._file()
        if file is not None:
            del self.kept.files[file["id"]]
            self._say(200, {"id": file["id"], "object": "file", "deleted": True})

    def _file(self) -> dict[str, Any] | None:
        if not self._allowed():
            return None
        file = self.kept.files.get(self.path.split("/")[3])
        if file is None:
            self._say(404, {"error": {"message": "No such File object", "type": "invalid_request_error"}})
        return file

    def _allowed(self) -> bool:
        right = self.headers["authorization"] == f"Bearer {self.kept.key}"
        if not right:
            self._say(401, {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}})
        return right

    def _say(self, status: int, payload: dict[str, Any]) -> None:
        body = dumps(payload).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""
