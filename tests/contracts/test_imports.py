"""Who may import whom: the table of the architecture, held against every import statement of the two packages.

Imports inside functions and under TYPE_CHECKING count too: they couple as much as those at the top.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
EVERYWHERE = {"errors", "version", "redaction"}
"""Modules of stack_core without dependencies of their own, open to all its parts."""

MAY: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "redaction": set(),
    "context": set(),
    "apis": set(),
    "storage": set(),
    "distributions": set(),
    "substitution": set(),
    "yaml_text": set(),
    "events": set(),
    "text": set(),
    "http": {"events"},
    "background": {"context"},
    "lease": set(),
    "builtin": {"apis", "resources", "storage", "context", "background", "lease", "telemetry", "text"},
    "stores": {"storage", "config", "telemetry"},
    "resources": {"apis", "storage"},
    "routers": {"apis", "resources", "storage", "context"},
    "telemetry": {"apis", "resources", "storage", "context"},
    "tape": {"apis", "resources", "storage", "context"},
    "providers": {"apis", "context", "storage", "http", "background", "lease", "text", "turns"},
    "turns": {"apis"},
    "short_form": {"providers", "substitution"},
    "extends": {"short_form"},
    "external": {"apis", "providers", "yaml_text"},
    "weights": {"providers"},
    "config": {"extends", "short_form", "substitution", "distributions", "yaml_text"},
    "resolver": {
        "external",
        "apis",
        "resources",
        "routers",
        "telemetry",
        "context",
        "storage",
        "providers",
        "config",
        "builtin",
    },
    "stack": {
        "stores",
        "builtin",
        "apis",
        "resources",
        "routers",
        "storage",
        "config",
        "resolver",
        "telemetry",
        "tape",
        "context",
    },
    "wire": {"apis", "context"},
    "server": {"stack", "apis", "wire", "config", "distributions", "context"},
    "names": {"apis"},
    "loop": set(),
    "sync_client": {"client", "stack", "apis", "names", "loop"},
    "client": {"names", "stack", "apis", "wire", "config", "context", "http"},
    "transport": {"stack", "apis", "wire", "config", "context", "http", "server"},
    "cli": {
        "stack",
        "client",
        "names",
        "external",
        "storage",
        "yaml_text",
        "apis",
        "config",
        "distributions",
        "providers",
        "server",
        "weights",
        "resolver",
    },
    "": {"stack", "client", "sync_client", "weights"},
    "__main__": {"cli"},
}
"""Part of stack_core → the parts it may import besides those open to all. The empty name is the package itself."""

PUBLIC = {
    "Stack",
    "StackClient",
    "AsyncStackClient",
    "loop",
    "names",
    "sync_client",
    "errors",
    "pull",
    "version",
    "__version__",
    "config",
    "context",
    "short_form",
    "yaml_text",
    "apis",
    "distributions",
    "http",
    "redaction",
    "transport",
}
"""What llama_magics may take from stack_core."""

ONLY_IN = {
    "fastapi": "stack_core.server",
    "uvicorn": "stack_core.server",
    "opentelemetry": "stack_core.telemetry",
    "httpx": "stack_core.http",
    "httpx2": "stack_core.http",
}
"""A third-party package → the one module or package of ours that imports it."""

NOTEBOOK = {
    "IPython",
    "ipykernel",
    "ipywidgets",
    "anywidget",
    "jupyter_client",
    "jupyterlab",
    "traitlets",
    "llama_magics",
}


class Import(NamedTuple):
    """`module` imports `name` at `line`."""

    module: str
    name: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.module}:{self.line} imports {self.name}"


def imports(package: str, root: Path = ROOT) -> list[Import]:
    """Every import of a package, `from a import b` as `a.b`, relative ones resolved."""
    return [found for file in sorted((root / package).rglob("*.py")) for found in _of_file(file, root)]


def _of_file(file: Path, root: Path) -> Iterator[Import]:
    parts = file.relative_to(root).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    package = ".".join(parts[:-1])
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(
                    [*package.split(".")[: len(package.split(".")) - node.level + 1], *filter(None, [base])]
                )
            for alias in node.names:
                yield Import(module, f"{base}.{alias.name}", node.lineno)


def part(name: str) -> str:
    """`routers` for `stack_core.routers.dispatch`, the empty name for a name of the package itself."""
    _, _, rest = name.partition(".")
    head = rest.split(".", 1)[0]
    return head if head in MAY else ""


def broken_table(found: list[Import]) -> list[str]:
    """Imports within stack_core that the table does not have."""
    out = []
    for item in found:
        if item.name.split(".", 1)[0] != "stack_core":
            continue
        source, target = part(item.module), part(item.name)
        if target and target != source and target not in MAY[source] | EVERYWHERE:
            out.append(item.place)
    return out


def broken_homes(found: list[Import]) -> list[str]:
    """Third-party packages imported outside the one place they belong to."""
    out = []
    for item in found:
        home = ONLY_IN.get(item.name.split(".", 1)[0])
        if home and item.module != home and not item.module.startswith(home + "."):
            out.append(item.place)
    return out


def provider_module(name: str) -> str | None:
    """`inference.minilm` for a provider's module; None for the registry, the packages and an adapter base (`_…`)."""
    parts = name.split(".")
    if parts[:2] != ["stack_core", "providers"] or len(parts) < 4 or any(p.startswith("_") for p in parts[2:4]):
        return None
    return ".".join(parts[2:4])


ADAPTER = {"inference.openai_compatible", "inference.rows"}
"""The adapter base: open to the other modules of its API's folder."""


def broken_providers(found: list[Import]) -> list[str]:
    """Imports of a provider module by name."""
    out = []
    for item in found:
        target, source = provider_module(item.name), provider_module(item.module)
        if target is None or target == source:
            continue
        if target in ADAPTER and item.module.startswith("stack_core.providers.inference."):
            continue
        out.append(item.place)
    return out


def test_every_part_is_in_the_table() -> None:
    names = {p.stem if p.is_file() else p.name for p in (ROOT / "stack_core").iterdir() if not p.name.startswith("_")}
    code = {
        n
        for n in names
        if (ROOT / "stack_core" / f"{n}.py").exists() or (ROOT / "stack_core" / n / "__init__.py").exists()
    }
    assert sorted(code - set(MAY)) == []


def test_stack_core_keeps_to_the_table() -> None:
    assert broken_table(imports("stack_core")) == []


def test_apis_import_pydantic_and_the_standard_library_only() -> None:
    from sys import stdlib_module_names

    allowed = {*stdlib_module_names, "pydantic", "pydantic_core", "stack_core"}
    found = [item for item in imports("stack_core") if part(item.module) == "apis"]
    foreign = [item.place for item in found if item.name.split(".", 1)[0] not in allowed]
    assert foreign == []


def test_nothing_imports_a_provider_by_name() -> None:
    assert broken_providers(imports("stack_core") + imports("llama_magics")) == []


def test_stack_core_knows_no_notebook() -> None:
    assert [i.place for i in imports("stack_core") if i.name.split(".", 1)[0] in NOTEBOOK] == []


def test_each_heavy_package_has_one_home() -> None:
    assert broken_homes(imports("stack_core") + imports("llama_magics")) == []


def test_llama_magics_takes_public_names_only() -> None:
    taken = [i for i in imports("llama_magics") if i.name.split(".", 1)[0] == "stack_core"]
    assert [i.place for i in taken if i.name.partition(".")[2].split(".", 1)[0] not in PUBLIC] == []


@pytest.mark.parametrize(
    ("file", "line", "rule"),
    [
        ("stack_core/apis/files.py", "from stack_core.routers import dispatch", broken_table),
        ("stack_core/storage/redis.py", "from stack_core.apis.models import Model", broken_table),
        ("stack_core/providers/safety/guard.py", "def f():\n    from stack_core.resolver import build", broken_table),
        ("stack_core/routers/shields.py", "from ..server import app", broken_table),
        ("stack_core/routers/shields.py", "import httpx2", broken_homes),
        ("stack_core/cli/run.py", "from fastapi import FastAPI", broken_homes),
        ("stack_core/routers/tracing.py", "from opentelemetry import trace", broken_homes),
        ("stack_core/routers/models.py", "from stack_core.providers.inference.minilm import MiniLM", broken_providers),
        ("stack_core/providers/inference/x.py", "from stack_core.providers.inference import tgi", broken_providers),
    ],
)  # fmt: skip
def test_the_contract_notices(tmp_path: Path, file: str, line: str, rule: object) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    assert callable(rule)
    assert len(rule(imports("stack_core", tmp_path))) == 1
