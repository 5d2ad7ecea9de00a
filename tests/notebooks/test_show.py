"""`notebooks/show.py`: what `make demo` prints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

SHOW = Path(__file__).parents[2] / "notebooks/show.py"


def show(folder: Path, *cells: tuple[str, list[str]]) -> subprocess.CompletedProcess[str]:
    """Run the program on a notebook of code cells with tags, after a heading."""
    made = [nbformat.v4.new_markdown_cell("## Sums\n\n```\n# no heading\n```")]
    made += [nbformat.v4.new_code_cell(source, metadata={"tags": tags}) for source, tags in cells]
    file = folder / "a book.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=made), file)
    command = [sys.executable, str(SHOW), str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_it_prints_headings_code_and_what_cells_show(tmp_path: Path) -> None:
    done = show(tmp_path, ("print(2 + 3)\n'six'", []), ("raise ValueError('seven')", ["raises-exception"]), ("8", []))
    assert done.returncode == 0, done.stderr
    assert "SUMS" in done.stdout
    assert "NO HEADING" not in done.stdout
    assert "  > print(2 + 3)" in done.stdout
    assert "\n  5\n  'six'\n" in done.stdout
    assert "ValueError: seven" in done.stdout
    assert done.stdout.index("seven") < done.stdout.index("\n  8\n")
    assert "ran from top to bottom" in done.stdout


@pytest.mark.slow
def test_an_error_ends_it(tmp_path: Path) -> None:
    done = show(tmp_path, ("1 / 0", []), ("print('after')", []))
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "\n  after\n" not in done.stdout
