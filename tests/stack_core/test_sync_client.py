"""`StackClient` at the end of its life: closed, forgotten, forked."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stack_core import StackClient
from stack_core.errors import InvalidRequest

NOTHING = {"version": 2, "image_name": "nothing", "providers": {}}


def test_a_closed_client_says_so() -> None:
    client = StackClient.open(NOTHING)
    assert client.models.list() == []
    client.close()
    client.close()
    with pytest.raises(InvalidRequest, match="the client is closed"):
        client.models.list()


def test_a_client_that_nobody_has_is_closed() -> None:
    client = StackClient.open(NOTHING)
    loop = client._end.peek()[2][0]  # type: ignore[index]  # it has not ended
    listing = client.models.list
    del client
    gc.collect()
    assert list(listing()) == []  # what was taken of it keeps it
    del listing
    gc.collect()
    assert not loop.alive


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_and_does_not_wait() -> None:
    with StackClient.open(NOTHING) as client:
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            try:
                client.models.list()
            except InvalidRequest as error:
                os._exit(0 if "forked" in error.message else 2)
            os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert client.models.list() == []


@pytest.mark.parametrize("ending", ["", "del client", "import sys; sys.exit(3)"])
def test_a_process_that_does_not_close_it_ends_quietly(tmp_path: Path, ending: str) -> None:
    storage = {
        "backends": {
            "kv": {"type": "kv_sqlite", "db_path": str(tmp_path / "kv.db")},
            "sql": {"type": "sql_sqlite", "db_path": str(tmp_path / "sql.db")},
        },
        "stores": {"metadata": {"backend": "kv"}, "inference": {"backend": "sql"}},
    }
    code = f"from stack_core import StackClient\nclient = StackClient.open({ {**NOTHING, 'storage': storage}!r})\n"
    code += f"client.conversations.create()\nclient.models.list()\n{ending}\n"
    run = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (3 if "exit" in ending else 0, b"")
