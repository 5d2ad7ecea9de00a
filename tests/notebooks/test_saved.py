"""The notebooks as they are saved: read without a kernel, they are whole, small and free of this or that machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST = 100_000
"""Characters of one output: GRAMMAR's bound."""


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.name)
def notebook(request: pytest.FixtureRequest) -> Any:
    """Each notebook."""
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_a_first_notebook() -> None:
    assert NOTEBOOKS[0].name == "01_start.ipynb"


def test_every_cell_was_run_in_order(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))


def test_only_announced_errors_are_there(notebook: Any) -> None:
    for cell in code_cells(notebook):
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in cell.metadata.get("tags", [])), cell.source


def test_what_a_cell_shows_reads_everywhere(notebook: Any) -> None:
    """Rich outputs carry plain text for the terminal and, without a script, HTML for GitHub and nbviewer."""
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert len(json.dumps(output)) < MOST
            data = output.get("data", {})
            if any(mime.startswith("application/vnd.llama-stack.") for mime in data):
                assert {"text/plain", "text/html"} <= set(data)
                assert "<script" not in data["text/html"]


def test_nothing_tells_of_the_machine_it_ran_on(notebook: Any) -> None:
    text = nbformat.writes(notebook)
    assert not re.search(r"/(?:home|root|work|Users|tmp)/", text)
    assert "Traceback" not in text
