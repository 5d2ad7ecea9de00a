"""`stack-core run NAME|FILE`"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stack_core.stack import Unavailable

HELP = "Serve a distribution or a run file over HTTP, until Ctrl-C."
EXAMPLE = "stack-core run notebook --port 8321"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`NAME|FILE [--host] [--port] [--workers] [--with-deps [--yes]] [--log-format]`"""
    parser.add_argument("source", nargs="?", default="notebook", metavar="NAME|FILE", help="default: notebook")
    parser.add_argument("--host", help="address to listen on (default: the run file's, else 127.0.0.1)")
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("LLAMA_STACK_PORT"),
        help="port to listen on; 0 takes a free one (default: LLAMA_STACK_PORT, else the run file's, else 8321)",
    )
    parser.add_argument(
        "--workers",
        type=_workers,
        metavar="N",
        help="processes that share the port; they need PostgreSQL or Redis stores",
    )
    parser.add_argument(
        "--with-deps",
        action="store_true",
        help="first offer to install the packages that its providers and stores miss",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="with --with-deps: install without asking")
    parser.add_argument(
        "--log-format", choices=("text", "json"), help="json: one object a line on stderr, and a line a request"
    )


def run(options: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        StackError: what keeps it from serving, with a hint.
    """
    from stack_core.cli._install import offer
    from stack_core.errors import InvalidRequest, MissingPackage

    for package in ("fastapi", "uvicorn"):
        if find_spec(package) is None:
            raise MissingPackage(package, needed_by="stack-core run", extra="server")
    if options.yes and not options.with_deps:
        raise InvalidRequest("--yes answers what --with-deps asks", "say --with-deps --yes")
    if options.with_deps:
        offer(options.source, ask=not options.yes)
    from stack_core.server.run import run as serve

    announce = _announce_json if options.json else _announce
    serve(
        options.source,
        host=options.host,
        port=options.port,
        announce=announce,
        workers=options.workers,
        log_format=options.log_format,
    )


def _announce(name: str, unavailable: list[Unavailable], url: str) -> None:
    for row in unavailable:
        print(f"not available: {row.api} {row.provider_id}: {row.reason}", file=sys.stderr)
    print(f"{name} answers at {url}/v1, documented at {url}/docs; Ctrl-C stops it", file=sys.stderr)
    sys.stderr.flush()


def _announce_json(name: str, unavailable: list[Unavailable], url: str) -> None:
    missing = [{"api": row.api, "provider_id": row.provider_id, "reason": row.reason} for row in unavailable]
    print(json.dumps({"name": name, "url": url, "unavailable": missing}), flush=True)


def _workers(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes (1 to 256)")
    return int(text)


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)
