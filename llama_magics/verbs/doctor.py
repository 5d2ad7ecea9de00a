"""`doctor`: what is installed, what answers, keys that stand in the notebook, room on the disk, free ports."""

from __future__ import annotations

import platform
import shutil
import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from llama_magics import health, source
from llama_magics.keys import PATTERNS
from llama_magics.results import Check, Report
from llama_magics.session import Session
from stack_core import __version__

if TYPE_CHECKING:
    from llama_magics.cell import Cell

_OPTIONAL = {
    "openai": "openai",
    "fastapi": "server",
    "jupyterlab": "lab",
    "keyring": "keyring",
    "onnxruntime": "onnx",
    "pandas": None,
}
"""Import name → the extra that installs it, or None for a package of its own."""
_LEAST_MB = 500
_PORT = 8321


def run(cell: Cell) -> Report:
    """Look at everything."""
    return doctor(cell.session, source.call("doctor", out=cell.line.options.get("out")))


def doctor(session: Session, code: str = "") -> Report:
    """Every check, the bad ones with what mends them. Opens no stack and asks no model."""
    checks = [*_versions(), *_packages(), *_providers(session), *_keys(session), *_leaks(session), _disk(), _port()]
    return Report(checks, code)


def _versions() -> Iterator[Check]:
    yield Check("llama-magics", "ok", __version__)
    yield Check("python", "ok", platform.python_version())
    for name in ("ipython", "ipykernel", "pydantic", "httpx2", "xllamacpp"):
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            yield Check(name, "bad", "not installed", f"pip install {name}")


def _packages() -> Iterator[Check]:
    for name, extra in _OPTIONAL.items():
        if find_spec(name) is None:
            command = f"pip install 'llama-magics[{extra}]'" if extra else f"pip install {name}"
            yield Check(name, "warn", "not installed (optional)", command)


def _providers(session: Session) -> Iterator[Check]:
    opened = session.stacks.get(session.current or "")
    if opened is None:
        yield Check("stack", "ok", "none is open; the first %stack ask opens the default")
        return
    for line in health.provider_lines(session, opened):
        status = {"OK": "ok", "Error": "bad"}.get(line.status, "warn")
        yield Check(f"{line.api} {line.provider_id}", status, line.message or line.status, line.fix)


def _keys(session: Session) -> Iterator[Check]:
    for name, where in session.keys.known().items():
        yield Check(name, "ok", f"set in the {where}")


def _leaks(session: Session) -> Iterator[Check]:
    """Cells whose source or result holds a key. Only the cell's number is told."""
    if session.shell is None:
        return
    found: dict[int, set[str]] = {}
    for number, text in enumerate(session.shell.user_ns.get("In", [])):
        if _has_key(session, str(text)):
            found.setdefault(number, set()).add("source")
    for number, value in session.shell.user_ns.get("Out", {}).items():
        if isinstance(value, str | bytes | int | float | list | dict | tuple | set) and _has_key(session, repr(value)):
            found.setdefault(number, set()).add("output")
    for number, places in sorted(found.items()):
        yield Check(
            f"cell {number}",
            "bad",
            f"a key stands in its {' and '.join(sorted(places))}",
            "remove it, store it with %stack key NAME, and make a new key at the service",
        )
    if not found:
        yield Check("keys in cells", "ok", "none in the sources and results of this session")


def _has_key(session: Session, text: str) -> bool:
    return bool(PATTERNS.search(text)) or any(secret in text for secret in session.keys.secrets())


def _disk() -> Check:
    free = shutil.disk_usage(Path.home()).free / 1e6
    if free < _LEAST_MB:
        return Check("disk", "warn", f"{free:.0f} MB free in the home folder", "make room before pulling models")
    return Check("disk", "ok", f"{free / 1e3:.1f} GB free in the home folder")


def _port() -> Check:
    with socket.socket() as probe:
        probe.settimeout(0.3)
        taken = probe.connect_ex(("127.0.0.1", _PORT)) == 0
    message = f"{_PORT} is in use: a server may run there" if taken else f"{_PORT} is free for stack-core run"
    return Check("port", "ok", message, f"%stack use http://localhost:{_PORT}" if taken else None)
