"""`stack-core conformance SPEC`"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "Count how much of an OpenAPI document, such as OpenAI's, this stack's own document has."
EXAMPLE = "stack-core conformance openai.yaml --min 90"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`SPEC`, `--ours`, `--min`, `--missing`"""
    parser.add_argument("spec", metavar="SPEC", type=Path, help="the OpenAPI document to compare with, YAML or JSON")
    parser.add_argument("--ours", metavar="FILE", type=Path, help="another document in place of this stack's own")
    parser.add_argument("--min", metavar="N", type=float, help="fail where a category has less than N of a hundred")
    parser.add_argument("--missing", action="store_true", help="name every path that is missing")


def run(options: argparse.Namespace) -> None:
    """Print one row a category, and the whole.

    Raises:
        InvalidRequest: a file is no OpenAPI document, or a category has less than `--min`.
    """
    from stack_core.cli import _print
    from stack_core.errors import InvalidRequest
    from stack_core.server import conformance

    reference = conformance.read(options.spec)
    found = conformance.conformance(reference, conformance.read(options.ours) if options.ours else _own())
    total = conformance.Category("overall", sum(row.covered for row in found), sum(row.total for row in found))
    rows = [_row(category, options.missing) for category in [*found, total]]
    columns = ["category", "percent", "covered", "total", "missing_operations"]
    _print.rows(rows, [*columns, "missing_paths"] if options.missing else columns, as_json=options.json)
    low = [row.name for row in found if options.min is not None and row.percent < options.min]
    if low:
        raise InvalidRequest(f"below {options.min:g}: {', '.join(low)}", "--missing names the paths")


def _row(category: Any, missing: bool) -> dict[str, Any]:
    return {
        "category": category.name,
        "percent": round(category.percent, 1),
        "covered": category.covered,
        "total": category.total,
        "missing_operations": category.missing_operations,
        **({"missing_paths": category.missing_paths} if missing else {}),
    }


def _own() -> dict[str, Any]:
    from stack_core.server.aliases import route_table
    from stack_core.server.openapi import document

    return document(route_table())
