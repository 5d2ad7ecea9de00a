"""What came of one request: a row of the output file or of the error file, and the tokens it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from stack_core.apis.batches import BatchUsage
from stack_core.errors import StackError
from stack_core.providers.batches._lines import Line


@dataclass(frozen=True)
class Outcome:
    """A row as it is kept until the batch is over, and whether it goes into the output file."""

    good: bool
    row: dict[str, Any]

    def text(self) -> str:
        """How it is kept."""
        return to_json({"good": self.good, "row": self.row}).decode()

    @classmethod
    def read(cls, text: str) -> Outcome:
        """What `text` wrote."""
        kept = from_json(text)
        return cls(kept["good"], kept["row"])


def answered(line: Line, result: BaseModel) -> Outcome:
    """An answer. Shape: OpenAI's batch output; the body is an object, as a single call would have given it."""
    return Outcome(True, _row(line, 200, result.model_dump(mode="json", by_alias=True)))


def failed(line: Line, error: StackError) -> Outcome:
    """A request that was refused or failed: its row says what a single call would have said."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    told = {"message": error.message, "type": kind, "code": error.code, "param": None, "hint": error.hint}
    return Outcome(False, _row(line, error.status, {"error": told}))


def faulty(line: Line) -> Outcome:
    """A line that is no request."""
    assert line.fault is not None
    told = {"code": line.fault.code, "message": line.fault.message, "line": line.number}
    row = {"id": _request_id(), "custom_id": line.custom_id, "response": None, "error": told}
    return Outcome(False, row)


def unanswered(line: Line, code: str, message: str) -> Outcome:
    """A request that was not made, because its batch ended before."""
    row = {"id": _request_id(), "custom_id": line.custom_id, "response": None}
    return Outcome(False, {**row, "error": {"code": code, "message": message}})


def count_tokens(usage: BatchUsage, row: dict[str, Any]) -> None:
    """Add the tokens of an answer to those of its batch."""
    body = (row.get("response") or {}).get("body") or {}
    found = body.get("usage") or {}
    given = found.get("prompt_tokens", found.get("input_tokens", 0)) or 0
    made = found.get("completion_tokens", found.get("output_tokens", 0)) or 0
    inner = found.get("prompt_tokens_details") or found.get("input_tokens_details") or {}
    outer = found.get("completion_tokens_details") or found.get("output_tokens_details") or {}
    usage.input_tokens += given
    usage.output_tokens += made
    usage.total_tokens += found.get("total_tokens") or given + made
    usage.input_tokens_details.cached_tokens += inner.get("cached_tokens") or 0
    usage.output_tokens_details.reasoning_tokens += outer.get("reasoning_tokens") or 0


def _row(line: Line, status: int, body: dict[str, Any]) -> dict[str, Any]:
    response = {"status_code": status, "request_id": uuid4().hex, "body": body}
    return {"id": _request_id(), "custom_id": line.custom_id, "response": response, "error": None}


def _request_id() -> str:
    return f"batch_req_{uuid4().hex}"
