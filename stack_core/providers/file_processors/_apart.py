"""Files that are read in a process of their own, with a limit of time."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from stack_core.errors import InvalidRequest, MissingPackage
from stack_core.providers.file_processors._document import Document, Section

CHILD = Path(__file__).with_name("_child.py")


async def read_apart(path: Path, format: str, name: str, *, seconds: float, password: str = "") -> Document:
    """Read a PDF or an office file. The process ends with the call, however that ends.

    Raises:
        InvalidRequest: the file is at fault, or takes too long.
        MissingPackage: what reads this format is not installed.
    """
    package, extra = ("pypdf", "pdf") if format == "pdf" else ("markitdown", "office")
    if find_spec(package) is None:
        raise MissingPackage(package, needed_by=f"reading {name}", extra=extra)
    asked = {"path": str(path), "format": format, "password": password, "seconds": int(seconds) + 1}
    # Not the working directory: files there must not stand in for modules.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", str(CHILD), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_environment(), limit=2**20
    )
    try:
        async with asyncio.timeout(seconds):
            out, complaints = await process.communicate(to_json(asked))
    except TimeoutError:
        raise InvalidRequest(
            f"{name} takes longer than {seconds:g} s to read", "split it, or raise timeout_secs"
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise InvalidRequest(f"{name} cannot be read: {_last_line(complaints)}", "it may be damaged")
    return _document(from_json(out), name, package)


def _document(found: dict[str, Any], name: str, method: str) -> Document:
    if "error" in found:
        raise InvalidRequest(f"{name} {found['error']}", found["hint"])
    sections = [Section(text, page) for text, page in found["sections"]]
    return Document(sections, method, found["facts"], found["pages"])


def _environment() -> dict[str, str]:
    """Ours, with the places where this process finds its modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": "utf-8"}


def _last_line(complaints: bytes) -> str:
    lines = complaints.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "the process that read it was ended"
