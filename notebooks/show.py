"""Run a notebook from top to bottom and print what its cells show: `python notebooks/show.py notebooks/01_start.ipynb`.

With `--save` the notebook keeps the new outputs. An error that no tag `raises-exception` announces ends it.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def text_of(output: Any) -> str:
    """An output as the terminal can show it."""
    if output.output_type == "stream":
        return str(output.text).rstrip("\n")
    if output.output_type == "error":
        return _COLOUR.sub("", "\n".join(output.traceback)) or f"{output.ename}: {output.evalue}"
    return str(output.data.get("text/plain", "")).rstrip("\n")


class Terminal:
    """Prints each cell as it is reached and its outputs when it has run."""

    def reached(self, cell: Any, cell_index: int) -> None:
        """A heading of the text, or the code about to run."""
        if cell.cell_type == "markdown":
            for line in _FENCED.sub("", cell.source).split("\n"):
                if line.startswith("#"):
                    print(f"\n{line.lstrip('# ').upper()}")
        elif cell.cell_type == "code":
            print("\n" + "\n".join(f"  > {line}" for line in cell.source.split("\n")), flush=True)

    def ran(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        """What the cell shows."""
        for output in cell.outputs:
            if text := text_of(output):
                print("\n".join(f"  {line}" for line in text.split("\n")), flush=True)


def run(file: Path, *, save: bool) -> None:
    """Execute and print.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(file, as_version=4)
    terminal = Terminal()
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(file.parent)}},
        on_cell_start=terminal.reached,
        on_cell_executed=terminal.ran,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],  # ipykernel warns that its sockets are not encrypted
    )
    client.execute()
    if save:
        nbformat.write(notebook, file)


def main() -> int:
    """Run the notebook that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--save", action="store_true", help="write the outputs into the notebook")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        run(given.file, save=given.save)
    except CellExecutionError as error:
        print(f"\nA cell of {given.file} failed: {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    print(f"\n{given.file} ran from top to bottom in {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
