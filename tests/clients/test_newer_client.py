"""llama-stack-client 0.7.5 beside 0.3.5: the tests of `llama/` once more, in a process that finds the newer first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / ".make" / "new-client"
VERSION = "0.7.5"


@pytest.mark.skipif(not CLIENT.is_dir(), reason=f"llama-stack-client {VERSION} is not beside (make installs it there)")
def test_the_newer_client_drives_the_stack() -> None:
    paths = [str(CLIENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TESTED_LLAMA_STACK_CLIENT": VERSION}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent / "llama")]
    done = subprocess.run(command, check=False, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
