"""What is installed: the wheel's files, the light imports, and that each imported package is a declared dependency."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("stack_core", "llama_magics")


def name_of(requirement: str) -> str:
    """`httpx2` for `httpx2>=2.16`, in the form that package indexes compare."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]).lower()


def run(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that a running program meets: what stands under `if TYPE_CHECKING` is for the type checker alone."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from run(child)


@cache
def imported() -> dict[str, set[str]]:
    """Third-party import name → our files that import it."""
    found: dict[str, set[str]] = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in run(ast.parse(file.read_text("utf-8"))):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                for name in names:
                    top = name.split(".", 1)[0]
                    if top not in {*sys.stdlib_module_names, *PACKAGES, "__main__"}:
                        found.setdefault(top, set()).add(str(file.relative_to(ROOT)))
    return found


def test_every_import_is_a_declared_dependency() -> None:
    extras = [item for extra, items in PROJECT["optional-dependencies"].items() if extra != "test" for item in items]
    declared = {name_of(item) for item in [*PROJECT["dependencies"], *extras]}
    by_import = packages_distributions()
    guests = {"pandas"}  # used where the notebook has it, never needed
    missing = {}
    for name, files in imported().items():
        distributions = {name_of(found) for found in by_import.get(name, [name])}
        # what comes with a declared dependency of the same family: traitlets with IPython, pydantic_core with pydantic
        family = {"traitlets": "ipython", "pydantic-core": "pydantic", "opentelemetry-api": "opentelemetry-sdk",
                  "markupsafe": "jinja2", "starlette": "fastapi", "comm": "ipykernel",
                  "opentelemetry-semantic-conventions": "opentelemetry-sdk"}  # fmt: skip
        distributions |= {family[found] for found in distributions if found in family}
        if name not in guests and not distributions & declared:
            missing[name] = sorted(files)
    assert missing == {}


def test_every_base_dependency_is_imported() -> None:
    """One that nothing imports only makes the installation bigger."""
    by_import = packages_distributions()
    used = {name_of(found) for name in imported() for found in by_import.get(name, [name])}
    assert {name_of(item) for item in PROJECT["dependencies"]} - used <= {"ipykernel"}  # the kernel itself


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_is_light_and_silent(package: str) -> None:
    heavy = ["httpx2", "pydantic", "openai", "fastapi", "numpy", "IPython", "xllamacpp", "opentelemetry", "yaml"]
    code = f"import sys, {package}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checked-in files in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("a folder")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file() and name.startswith((*PACKAGES, "pyproject.toml", "README", "LICENSE")):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder / "out"), "."]
    subprocess.run(command, cwd=folder / "source", check=True, stdin=subprocess.DEVNULL)
    (built,) = (folder / "out").glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_has_what_the_packages_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "stack_core/bundled/tutorial.gguf",
        "stack_core/distributions/notebook.yaml",
        "stack_core/distributions/starter.yaml",
        "stack_core/py.typed",
        "llama_magics/py.typed",
        "llama_magics/render/css/base.css",
    ):
        assert needed in names
    assert not [name for name in names if name.startswith(("tests/", "models/", "benchmarks/", "notebooks/"))]


@pytest.mark.slow
def test_a_stack_opens_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = """
import asyncio, stack_core
from stack_core import Stack
async def main():
    async with Stack.open("notebook") as stack:
        print(stack_core.__file__, [model.id for model in (await stack.models.list_models()).data])
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n{code}"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert "'llama-cpp/tutorial'" in done.stdout
