"""Several workers behind one port, on real shared stores: they keep what each other kept, and outlive one another."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import yaml

from stack_core.config import load_config
from stack_core.errors import ConfigError
from stack_core.server.workers import check_shared
from tests.stack_core.running import wait_for
from tests.upstream import upstream

HI: list[Any] = [{"role": "user", "content": "hi"}]


@contextlib.contextmanager
def running(path: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The supervisor and its URL; it is ended by its own id, and its workers with it."""
    command = [sys.executable, "-m", "stack_core", "run", "--json", path, "--port", "0", *arguments]
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


@pytest.fixture
def run_file(postgres_server: Any, redis_server: Any, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Writes a run file whose stores are PostgreSQL and Redis and gives its path."""
    with upstream(chunks=4) as service:

        def write(**server: Any) -> str:
            entry = {"provider_id": "up", "provider_type": "remote::vllm", "config": {"url": service.url}}
            storage = {
                "backends": {"kv": redis_server.backend(), "sql": postgres_server.backend()},
                "stores": {"metadata": {"backend": "kv"}, "inference": {"backend": "sql"}},
            }
            content = {"version": 2, "image_name": "many", "apis": ["inference", "models"], "storage": storage}
            path = tmp_path / "run.yaml"
            path.write_text(yaml.safe_dump({**content, "providers": {"inference": [entry]}, "server": server}))
            return str(path)

        yield write


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children() if "workers" in " ".join(_command(child))]


def _command(process: psutil.Process) -> list[str]:
    """Its command line; nothing of one that has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def ask(url: str, **more: Any) -> httpx2.Response:
    """A call on a connection of its own, so that any worker may get it."""
    return httpx2.post(f"{url}/v1/chat/completions", json={"model": "up/tiny", "messages": HI, **more}, timeout=20)


@pytest.mark.slow
def test_workers_share_what_they_keep_and_one_that_dies_is_replaced(run_file: Callable[..., str]) -> None:
    with running(run_file(), "--workers", "3", "--log-format", "json") as (process, url):
        before = workers_of(process)
        assert len(before) == 3
        ids = {ask(url).json()["id"] for _ in range(12)}
        for _ in range(6):
            listed = httpx2.get(f"{url}/v1/chat/completions", params={"limit": 100}).json()["data"]
            assert ids <= {row["id"] for row in listed}
        counted = 'route="inference.chat_completion",method="POST",status="200"} 12'
        assert wait_for(lambda: counted in httpx2.get(f"{url}/metrics").text)
        before[0].kill()
        assert wait_for(lambda: len(workers_of(process)) == 3 and before[0] not in workers_of(process), 15)
        assert ask(url).status_code == 200
        after = workers_of(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert not any(child.is_running() for child in after)
        assert process.stderr is not None
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
    assert any("a worker ended with status -9" in line["message"] for line in lines)
    assert sum(line.get("route") == "inference.chat_completion" for line in lines) >= 13


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_under_way_comes_to_its_end(run_file: Callable[..., str], number: signal.Signals) -> None:
    body = {"model": "up/tiny", "messages": HI, "stream": True, "upstream": {"chunks": 5, "delay": 0.2}}
    with running(run_file(workers=2)) as (process, url):
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=20) as response:
            pieces = response.iter_bytes()
            text = next(pieces)
            process.send_signal(number)
            text += b"".join(pieces)
        assert b"w4 " in text
        assert text.endswith(b"data: [DONE]\n\n")
        assert process.wait(timeout=20) == 0
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/v1/health")


@pytest.mark.slow
def test_workers_end_when_their_supervisor_is_killed(run_file: Callable[..., str]) -> None:
    with running(run_file(workers=2)) as (process, _):
        children = workers_of(process)
        process.kill()
        assert wait_for(lambda: not any(_alive(child) for child in children), 15)


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_server(run_file: Callable[..., str]) -> None:
    path = run_file(workers=2)
    content = yaml.safe_load(Path(path).read_text())
    content["providers"]["inference"].append({"provider_id": "x", "provider_type": "inline::nonsense"})
    Path(path).write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "stack_core", "run", path, "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 1
    assert "inline::nonsense" in done.stderr
    assert "Traceback" not in done.stderr


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("backends", "message"),
    [
        ({"kv": {"type": "kv_sqlite", "db_path": ":memory:"}}, "storage.backends.kv: 2 workers cannot share"),
        ({"sql": {"type": "sql_sqlite", "db_path": "a.db"}}, "sql_sqlite"),
        ({}, "stores that all of them can reach"),
    ],
)
def test_stores_of_one_process_are_refused(backends: dict[str, Any], message: str) -> None:
    config = load_config({"version": 2, "image_name": "x", "storage": {"backends": backends}, "server": {"workers": 2}})
    with pytest.raises(ConfigError, match=message) as caught:
        check_shared(config)
    assert "kv_postgres" in str(caught.value.hint)
