"""`stack-core stop [NAME|PORT]`"""

from __future__ import annotations

import argparse

HELP = "Stop servers that `stack-core run` started; requests under way are finished first."
EXAMPLE = "stack-core stop 8321"


def arguments(parser: argparse.ArgumentParser) -> None:
    """`[NAME|PORT] [--all]`"""
    parser.add_argument("which", nargs="?", metavar="NAME|PORT", help="may be left out where only one server runs")
    parser.add_argument("--all", action="store_true", help="every server of yours")


def run(options: argparse.Namespace) -> None:
    """Stop them and wait for their end.

    Raises:
        NotFound: no such server runs.
        InvalidRequest: several run, and none was named.
    """
    from stack_core.cli import _print
    from stack_core.errors import InvalidRequest, NotFound
    from stack_core.server import running

    found = running.servers()
    known = [name for server in found for name in (server.name, str(server.port))]
    if options.which is not None:
        chosen = [server for server in found if options.which in (server.name, str(server.port))]
        if not chosen:
            raise NotFound("running server", options.which, known, None if known else "no server of yours runs")
    elif options.all or len(found) <= 1:
        chosen = found
    else:
        raise InvalidRequest("several servers run", f"name one of {', '.join(known)}, or say --all")
    for server in chosen:
        running.stop(server)
    data = [{"name": server.name, "url": server.url, "pid": server.pid} for server in chosen]
    if data or options.json:
        _print.rows(data, ("name", "url", "pid"), as_json=options.json)
    else:
        print("no server of yours runs")
