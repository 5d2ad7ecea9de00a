"""What the server writes to stderr: lines for people, or one JSON object a line with a line a request."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from stack_core.apis._declare import Route
from stack_core.wire.faults import scrubbed

ACCESS = logging.getLogger("stack_core.access")
"""One line a request, in the JSON format only."""


def log_to_stderr(secrets: Iterable[str], form: Literal["text", "json"]) -> None:
    """Send the records of the core and of the HTTP server to stderr; the root logger stays as it is."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Scrubbing(_JsonLines() if form == "json" else _LINES, secrets))
    for name, level in (("stack_core", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    ACCESS.setLevel(logging.INFO if form == "json" else logging.WARNING)


def request_line(route: Route | None, verb: str, path: str, status: int, **facts: Any) -> None:
    """Tell of a request that was answered. No body and no query: they may hold what nobody should read in a log.

    Args:
        facts: such as `ms`, `bytes`, `trace_id`, `user`; None is left out.
    """
    known = {name: value for name, value in facts.items() if value is not None}
    shown = {"method": verb[:20], "path": path[:300], "route": route.id if route else None, "status": status, **known}
    ACCESS.info("%s %s %s", shown["method"], shown["path"], status, extra={"facts": shown})


_LINES = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")


class _JsonLines(logging.Formatter):
    """A record as a JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content, default=str, ensure_ascii=False)


class _Scrubbing(logging.Formatter):
    """Masks the configuration's secrets in every line and traceback."""

    def __init__(self, inner: logging.Formatter, secrets: Iterable[str]) -> None:
        super().__init__()
        self._inner, self._secrets = inner, tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        line = self._inner.format(record).encode("utf-8", "replace")
        return scrubbed(line, self._secrets).decode("utf-8", "replace")
