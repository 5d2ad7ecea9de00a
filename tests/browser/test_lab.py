"""In JupyterLab: the first notebook from top to bottom, a stream that grows, and an interrupt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.browser.notebook import Notebook
from tests.upstream import Upstream, upstream

FIRST = Path(__file__).parents[2] / "notebooks/01_start.ipynb"
VENDOR = "application/vnd.llama-stack."
DECLARE = """%%stack
name: slow
providers:
  inference:
  - openai: {{base_url: "{url}", api_key: none}}
models: {{slow: openai/tiny}}
"""


@pytest.fixture
def service() -> Iterator[Upstream]:
    """A service that takes 0.05 s over each of 60 words."""
    with upstream(chunks=60, delay=0.05) as running:
        yield running


def opened(notebook: Notebook, name: str, service: Upstream) -> None:
    """A notebook with a stack whose one model is slow, and a cell that asks it."""
    notebook.open(name, ["%load_ext llama_magics", DECLARE.format(url=service.url), "%%stack ask -o said\nGo on."])
    notebook.run(0)
    assert "slow" in plain_of(notebook, 1)


def plain_of(notebook: Notebook, index: int) -> str:
    notebook.run(index)
    return notebook.text(index)


def test_the_first_notebook_runs_from_top_to_bottom(notebook: Notebook, screenshots: Path) -> None:
    cells = nbformat.read(FIRST, as_version=4).cells
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.open("01_start", cells)
    notebook.command("notebook:run-all-cells")
    notebook.until_done(max(i for i, cell in enumerate(cells) if cell.cell_type == "code"))
    for name in ("Light", "Dark"):
        notebook.theme(f"JupyterLab {name}")
        notebook.picture(screenshots / f"01_start_{name.lower()}.png")
    for index, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        announced = "raises-exception" in cell.metadata.get("tags", [])
        found = notebook.outputs(index)
        assert any(output["output_type"] == "error" for output in found) == announced, (
            cell.source,
            notebook.text(index),
        )
        if cell.source.startswith(("%stack", "%%stack")) and not announced:
            kinds = [set(output.get("data", {})) for output in found]
            assert any({"text/html", "text/plain"} <= kind for kind in kinds), cell.source
            assert any(mime.startswith(VENDOR) for kind in kinds for mime in kind), cell.source


def test_an_answer_grows_before_it_is_done(notebook: Notebook, service: Upstream) -> None:
    opened(notebook, "grows", service)
    notebook.start(2)
    seen = []
    for word in ("w3", "w20", "w40"):
        notebook.until_text(2, word)
        seen.append(notebook.text(2))
    notebook.until_done(2)
    assert len(seen[0]) < len(seen[1]) < len(seen[2])
    assert "w59" not in seen[1]
    assert "w59" in notebook.text(2)
    assert len([output for output in notebook.outputs(2) if output["output_type"] == "display_data"]) == 1


def test_an_interrupt_keeps_what_had_come(notebook: Notebook, service: Upstream, screenshots: Path) -> None:
    opened(notebook, "stops", service)
    notebook.start(2)
    notebook.until_text(2, "w10")
    notebook.command("notebook:interrupt-kernel")
    notebook.until_done(2)
    notebook.picture(screenshots / "interrupted.png")
    text = notebook.text(2)
    assert "w10" in text
    assert "w59" not in text
    assert "stopped" in text.lower()
    assert service.requests()[-1]["state"] == "gone"
    notebook.write(2, "print(said.state, said.text[:9])")
    assert plain_of(notebook, 2).startswith("cancelled w0 w1 w2")
