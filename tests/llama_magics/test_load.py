"""Loading the extension costs next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["pydantic", "stack_core", "yaml", "jinja2", "httpx2", "opentelemetry", "numpy", "xllamacpp", "dotenv"]
SCRIPT = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "llama_magics")
modules = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
print(json.dumps({"modules": modules}))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 1, "nothing is printed at import"
    found: dict[str, object] = json.loads(lines[0])
    return found


def test_nothing_heavy_is_imported(loaded: dict[str, object]) -> None:
    modules = loaded["modules"]
    assert isinstance(modules, list)
    assert "llama_magics" in modules
    assert [name for name in HEAVY if name in modules] == []


def test_the_public_names_are_lazy() -> None:
    script = (
        "import sys, llama_magics\nassert 'stack_core' not in sys.modules\nfrom llama_magics import stack\nprint(stack)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "stack (none is open)\n"
