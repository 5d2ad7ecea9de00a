"""`stack-core run` as a process: it starts, says where it is, refuses clearly, and ends cleanly."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import yaml

from stack_core.weights import PULLABLE
from tests.upstream import Upstream, upstream

pytestmark = pytest.mark.slow

HI: list[Any] = [{"role": "user", "content": "hi"}]
SLOW = {"upstream": {"chunks": 5, "delay": 0.2}}


@pytest.fixture(scope="module")
def service() -> Iterator[Upstream]:
    """The service behind the stacks of this file."""
    with upstream(chunks=4) as found:
        yield found


@pytest.fixture
def run_file(service: Upstream, tmp_path: Path) -> Callable[..., str]:
    """Writes a run file with these settings of the server and gives its path."""

    def write(**server: Any) -> str:
        entry = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"url": service.url}}
        path = tmp_path / "run.yaml"
        content = {"name": "served", "providers": {"inference": [entry]}, "server": server}
        path.write_text(yaml.safe_dump(content), "utf-8")
        return str(path)

    return write


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its URL; it is ended by its own id."""
    command = [sys.executable, "-m", "stack_core", "run", "--json", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"it did not start: {process.communicate(timeout=10)[1]}")
        yield process, json.loads(line)["url"]
    finally:
        process.kill()
        process.communicate(timeout=10)


def refused(*arguments: str) -> str:
    """What it says on stderr when it ends with status 1."""
    done = subprocess.run(
        [sys.executable, "-m", "stack_core", "run", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_serves_the_openai_sdk_and_ends_with_status_0(run_file: Callable[..., str]) -> None:
    with running(run_file(), "--port", "0") as (process, url):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        answer = client.chat.completions.create(model="up/tiny", messages=HI)
        assert answer.choices[0].message.content == "w0 w1 w2 w3 "
        assert httpx2.get(f"{url}/v1/health").json() == {"status": "OK"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_under_way_comes_to_its_end(run_file: Callable[..., str], number: signal.Signals) -> None:
    with running(run_file(), "--port", "0") as (process, url):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        stream = client.chat.completions.create(model="up/tiny", messages=HI, stream=True, extra_body=SLOW)
        pieces = iter(stream)
        next(pieces)
        process.send_signal(number)
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
        assert text == "w0 w1 w2 w3 w4 "
        assert process.wait(timeout=15) == 0
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/v1/health")


def test_a_second_signal_ends_it_at_once(run_file: Callable[..., str]) -> None:
    with running(run_file(), "--port", "0") as (process, url):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        endless = {"upstream": {"chunks": 10_000, "delay": 0.05}}
        stream = client.chat.completions.create(model="up/tiny", messages=HI, stream=True, extra_body=endless)
        next(iter(stream))
        process.send_signal(signal.SIGINT)
        threading.Timer(0.5, process.send_signal, [signal.SIGINT]).start()
        assert process.wait(timeout=8) == 0


def test_the_port_of_another_stack_and_of_another_program(run_file: Callable[..., str]) -> None:
    path = run_file()
    with running(path, "--port", "0") as (_, url):
        port = int(url.rpartition(":")[2])
        said = refused(path, "--port", str(port))
        assert f"port {port} is in use: a stack (version" in said
        assert f"--port {port + 1}" in said
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} is in use: another program listens there" in refused(path, "--port", str(port))


def test_what_it_refuses(run_file: Callable[..., str], tmp_path: Path) -> None:
    assert "server.auth is not available" in refused(run_file(auth={"provider_config": {"type": "x"}}))
    assert "'nothing' is neither a distribution nor a file" in refused("nothing")
    assert "is not an address of this machine" in refused(run_file(), "--host", "no.such.host.invalid", "--port", "0")
    assert "server.tls_certfile" in refused(run_file(tls_certfile="no.pem", tls_keyfile="no.pem"), "--port", "0")
    bad = tmp_path / "bad.pem"
    bad.write_text("not a certificate", "utf-8")
    assert "TLS files" in refused(run_file(tls_certfile=str(bad), tls_keyfile=str(bad)), "--port", "0")


def test_it_serves_over_tls(run_file: Callable[..., str], tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    made = subprocess.run(
        [*command.split(), "-keyout", str(key), "-out", str(certificate)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("openssl is not there to make a certificate")
    with running(run_file(tls_certfile=str(certificate), tls_keyfile=str(key)), "--port", "0") as (_, url):
        assert url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(certificate))
        assert httpx2.get(f"{url}/v1/health", verify=trust).json() == {"status": "OK"}


def test_secrets_are_masked_in_the_log(run_file: Callable[..., str], service: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    config = {"url": service.url, "api_token": "sk-in-the-run-file"}
    entry = {"provider_id": "up", "provider_type": "remote::vllm", "config": config}
    path.write_text(yaml.safe_dump({"name": "s", "providers": {"inference": [entry]}}), "utf-8")
    with running(str(path), "--port", "0") as (process, url):
        shown = httpx2.get(f"{url}/v1/providers").text
        assert "sk-in-the-run-file" not in shown
        process.send_signal(signal.SIGTERM)
        assert "sk-in-the-run-file" not in process.communicate(timeout=15)[1]


def test_the_notebook_distribution_answers_without_a_service() -> None:
    assert "minilm" in PULLABLE
    with running("notebook", "--port", "0") as (process, url):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        models = {model.id for model in client.models.list()}
        assert "llama-cpp/tutorial" in models
        stream = client.chat.completions.create(model="llama-cpp/tutorial", messages=HI, stream=True, max_tokens=16)
        assert "".join(piece.choices[0].delta.content or "" for piece in stream if piece.choices).strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
