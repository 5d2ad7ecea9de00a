"""`python -m benchmarks [--json FILE] [--installed] [PART …]` prints the table."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from datetime import date
from pathlib import Path

from benchmarks import calls, engine, idle, kernel, pages, responses, serving, starting, stored, vectors
from benchmarks.measure import Figure
from benchmarks.upstream import service

PARTS = ("calls", "responses", "server", "stored", "start", "kernel", "engine", "vectors", "pages", "idle")


def measure(parts: list[str], *, installed: bool) -> list[Figure]:
    """The figures of these parts, each printed as it comes."""
    found: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder, service() as url:
        stores = Path(folder)
        if "calls" in parts:
            found += shown(asyncio.run(calls.measure(url, stores)))
        if "responses" in parts:
            found += shown(asyncio.run(responses.measure(url, stores)))
        if "server" in parts:
            found += shown(serving.measure(url, stores))
        if "stored" in parts:
            found += shown(stored.measure(url, stores))
        if "idle" in parts:
            found += shown(idle.measure(stores))
        if "start" in parts:
            found += shown(starting.measure(stores))
        if "kernel" in parts:
            found += shown(kernel.measure(stores))
        if "engine" in parts:
            found += shown(asyncio.run(engine.measure(stores)))
        if "vectors" in parts:
            found += shown(asyncio.run(vectors.measure(stores)))
        if "pages" in parts:
            found += shown(asyncio.run(pages.measure(stores)))
        if installed:
            found += shown(starting.installed())
    return found


def shown(figures: list[Figure]) -> list[Figure]:
    """Print a line a figure."""
    for figure in figures:
        floor = "-" if figure.floor is None else f"{_number(figure.floor)}  {figure.floor_name}"
        mark = "✓" if figure.kept else "✗"
        print(f"{mark} {figure.what:<30} {_number(figure.ours):>8} {figure.unit:<18} {figure.promise:<15} {floor}")
    sys.stdout.flush()
    return figures


def markdown(figures: list[Figure]) -> str:
    """The table as the README has it."""
    lines = ["| what | this project | beside it | promise |", "| --- | --- | --- | --- |"]
    for figure in figures:
        beside = "-" if figure.floor is None else f"{_number(figure.floor)}, {figure.floor_name}"
        lines.append(f"| {figure.what}, {figure.unit} | {_number(figure.ours)} | {beside} | {figure.promise} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed and memory, beside a floor.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--markdown", action="store_true", help="print the README's table at the end")
    parser.add_argument("--installed", action="store_true", help="also install the base into a fresh environment")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    where = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"{date.today().isoformat()}, {where}; medians; compare ratios, wall times wander\n")
    print(f"  {'what':<30} {'ours':>8} {'unit':<18} {'promise':<15} beside it")
    figures = measure(given.parts or list(PARTS), installed=given.installed)
    if given.json:
        result = {"date": date.today().isoformat(), "machine": where, "figures": [f.to_dict() for f in figures]}
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    if given.markdown:
        print("\n" + markdown(figures))


if __name__ == "__main__":
    main()
