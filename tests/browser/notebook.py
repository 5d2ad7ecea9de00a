"""A notebook in JupyterLab, as a test drives it: open, run a cell, read outputs from Lab's own model, take pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

_IDLE = """() => { const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
                   return kernel && kernel.status === 'idle'; }"""
_NOTEBOOK = "window.jupyterapp.shell.currentWidget.content"
_RUN = f"""i => {{ {_NOTEBOOK}.activeCellIndex = i; void jupyterapp.commands.execute('notebook:run-cell'); }}"""
_OUTPUTS = f"i => {_NOTEBOOK}.widgets[i].model.outputs.toJSON()"
_WRITE = f"([i, source]) => {_NOTEBOOK}.widgets[i].model.sharedModel.setSource(source)"
_DONE = f"""i => {{ const model = {_NOTEBOOK}.widgets[i].model;
                   return model.executionState !== 'running' && model.executionCount !== null; }}"""
_HEIGHT = """() => { const cells = document.querySelectorAll('.jp-Notebook .jp-Cell');
                     return cells[cells.length - 1].getBoundingClientRect().bottom
                          - cells[0].getBoundingClientRect().top + 140; }"""
_TOP = "() => { document.querySelector('.jp-NotebookPanel .jp-WindowedPanel-outer').scrollTop = 0; }"


class Notebook:
    """One page with one notebook at a time."""

    def __init__(self, page: Any, lab: str, folder: Path) -> None:
        self.page, self._lab, self._folder = page, lab, folder

    def open(self, name: str, cells: list[Any]) -> None:
        """Write a notebook of these cells (source text, or nbformat cells) and open it with an idle kernel."""
        made = [nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": spec})
        nbformat.write(notebook, self._folder / f"{name}.ipynb")
        self.page.goto(f"{self._lab}/lab/tree/{name}.ipynb?reset")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=60_000)
        self.page.wait_for_function(_IDLE, timeout=60_000)

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Start one of Lab's commands without waiting for its end."""
        self.page.evaluate("([n, a]) => { void jupyterapp.commands.execute(n, a) }", [name, arguments or {}])

    def start(self, index: int) -> None:
        """Run a cell without waiting for it."""
        self.page.evaluate(_RUN, index)

    def write(self, index: int, source: str) -> None:
        """Replace a cell's text."""
        self.page.evaluate(_WRITE, [index, source])

    def run(self, index: int) -> list[dict[str, Any]]:
        """Run a cell to its end; gives its outputs."""
        self.start(index)
        self.until_done(index)
        return self.outputs(index)

    def until_done(self, index: int) -> None:
        """Wait for a cell to have run and the kernel to be idle."""
        self.page.wait_for_function(_DONE, arg=index, timeout=120_000)
        self.page.wait_for_function(_IDLE, timeout=60_000)

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Outputs of a cell, as nbformat has them."""
        found: list[dict[str, Any]] = self.page.evaluate(_OUTPUTS, index)
        return found

    def text(self, index: int) -> str:
        """The plain text of a cell's outputs."""
        return "\n".join(plain(output) for output in self.outputs(index))

    def until_text(self, index: int, part: str) -> None:
        """Wait until the page shows this text among the cell's outputs."""
        area = self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-OutputArea-output")
        area.get_by_text(part).first.wait_for(timeout=60_000)

    def theme(self, name: str) -> None:
        """`JupyterLab Light` or `JupyterLab Dark`."""
        self.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", name)
        kind = "false" if "Dark" in name else "true"
        self.page.wait_for_selector(f"body[data-jp-theme-light={kind}]", state="attached")

    def picture(self, file: Path) -> None:
        """The whole notebook, top to bottom."""
        size = self.page.viewport_size
        self.page.set_viewport_size({**size, "height": int(self.page.evaluate(_HEIGHT))})
        self.page.evaluate(_TOP)
        self.page.locator(".jp-NotebookPanel").first.screenshot(path=str(file))
        self.page.set_viewport_size(size)


def plain(output: dict[str, Any]) -> str:
    """The plain text of one output."""
    if output["output_type"] == "stream":
        return _joined(output["text"])
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    return _joined(output["data"].get("text/plain", ""))


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
