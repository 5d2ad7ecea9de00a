"""From the steps of the loop to a response and the events that tell of its making.

The response is what the events add up to: whoever does not stream reads the same events and keeps the last.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from stack_core.apis import _response_events as events
from stack_core.apis._item_actions import FileSearchResult
from stack_core.apis._items import FileSearchCall, FunctionCall, Include, OutputMessage
from stack_core.apis._parts import OutputText
from stack_core.apis._response import IncompleteDetails, Response, ResponseFault
from stack_core.apis._tool_events import (
    ArgumentsDelta,
    ArgumentsDone,
    Event,
    FileSearchCompleted,
    FileSearchInProgress,
    FileSearchSearching,
)
from stack_core.errors import ContentFiltered, ContextTooLong, RateLimited, RequestError, StackError
from stack_core.providers.responses._ids import item_id
from stack_core.providers.responses._open_items import OpenMessage, OpenThought, Place
from stack_core.providers.responses._search import asked
from stack_core.turns.answer import Piece
from stack_core.turns.loop import Step, Used, Using, Wanted

E = TypeVar("E", bound=Event)
_CODES: Mapping[type[StackError], str] = {
    RateLimited: "rate_limit_exceeded",
    ContextTooLong: "invalid_prompt",
    ContentFiltered: "invalid_prompt",
    RequestError: "invalid_prompt",
}
"""Error → the code of OpenAI's that says it; all others are `server_error`."""
FOUND: Include = "file_search_call.results"


class Script:
    """One response in the making.

    Args:
        response: what it begins as; the output is filled in.
        files: id → name of files that may be cited from the beginning.
        summary: thoughts are told as a summary, which the caller asked for, and not as they are.
    """

    def __init__(
        self, response: Response, *, include: Sequence[Include], files: Mapping[str, str], summary: bool, cite: bool
    ) -> None:
        self.response = response
        self.output: list[Any] = []
        """Items as they are kept: with all that was found."""
        self._include, self._summary, self._cite = include, summary, cite
        self._files = dict(files)
        self._open: OpenMessage | OpenThought | None = None
        self._searches: dict[str, FileSearchCall] = {}
        self._number = 0

    # ---- the response

    def state(self, kind: type[events.ResponseEvent], **changes: Any) -> events.ResponseEvent:
        """An event that shows the response as it is now, with `changes`."""
        self.response = self.response.model_copy(update={**changes, "output": [self._shown(i) for i in self.output]})
        return self.event(kind, response=self.response)

    def ended(self, reason: str | None, **changes: Any) -> Iterator[Event]:
        """The last events: whole, or incomplete for a reason."""
        yield from self._closed("completed" if reason is None else "incomplete")
        if reason is None:
            done = {"status": "completed", "completed_at": int(time.time())}
            yield self.state(events.ResponseCompleted, **done, **self._text(), **changes)
            return
        details = IncompleteDetails(reason=reason)
        yield self.state(
            events.ResponseIncomplete, status="incomplete", incomplete_details=details, **self._text(), **changes
        )

    def failed(self, error: StackError, **changes: Any) -> Iterator[Event]:
        """The last events of a response that broke off."""
        yield from self._closed("incomplete")
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "server_error")
        message = f"{error.message} ({error.hint})" if error.hint else error.message
        fault = ResponseFault(code=code, message=message)
        yield self.state(events.ResponseFailed, status="failed", error=fault, **self._text(), **changes)

    def cancelled(self) -> None:
        """The response as it is kept when nobody waits for it any more."""
        for _ in self._closed("incomplete"):
            pass
        self.state(events.ResponseInProgress, status="cancelled", **self._text())

    def _text(self) -> dict[str, Any]:
        texts = [
            part.text
            for item in self.output
            if isinstance(item, OutputMessage)
            for part in item.content
            if isinstance(part, OutputText)
        ]
        return {"output_text": "".join(texts)} if texts else {}

    # ---- steps

    def add(self, step: Step) -> Iterator[Event]:
        """The events of a step."""
        if isinstance(step, Piece):
            yield from self._piece(step)
        elif isinstance(step, Using):
            yield from self._closed("completed")
            yield from self._using(step)
        elif isinstance(step, Used):
            yield from self._used(step)
        elif isinstance(step, Wanted):
            yield from self._closed("completed")
            yield from self._wanted(step)

    def _piece(self, piece: Piece) -> Iterator[Event]:
        kind = OpenThought if piece.kind == "thought" else OpenMessage
        if not isinstance(self._open, kind):
            yield from self._closed("completed")
            self._open = self._begun(kind)
            yield from self._open.begin()
        assert self._open is not None
        yield from self._open.add(piece)

    def _begun(self, kind: type[OpenMessage] | type[OpenThought]) -> OpenMessage | OpenThought:
        place = self._place("message" if kind is OpenMessage else "reasoning")
        if kind is OpenMessage:
            message = OpenMessage(place, self.event, self._files if self._cite else {})
            self.output.append(message.item)
            return message
        thought = OpenThought(place, self.event, summary=self._summary)
        self.output.append(thought.item)
        return thought

    def _closed(self, status: str) -> Iterator[Event]:
        """The end of the item that is under way."""
        if self._open is not None:
            yield from self._open.end(status)
            self._open = None

    def _wanted(self, step: Wanted) -> Iterator[Event]:
        place = self._place("function_call")
        call = step.call
        arguments = call.arguments if step.whole else "".join(call.pieces)
        item = FunctionCall(id=place.item_id, call_id=call.call_id, name=call.name, arguments="", status="in_progress")
        yield self.event(events.ItemAdded, output_index=place.output_index, item=item)
        where = {"item_id": place.item_id, "output_index": place.output_index}
        for piece in call.pieces if "".join(call.pieces) == arguments else [arguments]:
            yield self.event(ArgumentsDelta, **where, delta=piece)
        status = "completed" if step.whole else "incomplete"
        item = item.model_copy(update={"arguments": arguments, "status": status})
        self.output.append(item)
        if step.whole:
            yield self.event(ArgumentsDone, **where, arguments=arguments, name=call.name)
        yield self.event(events.ItemDone, output_index=place.output_index, item=item)

    def _using(self, step: Using) -> Iterator[Event]:
        place = self._place("file_search_call")
        item = FileSearchCall(id=place.item_id, queries=asked(step.arguments), status="in_progress")
        self._searches[step.call.call_id] = item
        self.output.append(item)
        yield self.event(events.ItemAdded, output_index=place.output_index, item=item.model_copy())
        where = {"item_id": place.item_id, "output_index": place.output_index}
        yield self.event(FileSearchInProgress, **where)
        yield self.event(FileSearchSearching, **where)
        item.status = "searching"

    def _used(self, step: Used) -> Iterator[Event]:
        item = self._searches.pop(step.call.call_id)
        index = self.output.index(item)
        results: list[FileSearchResult] = step.found.detail
        item.results, item.status = results, "failed" if step.found.failed else "completed"
        self._files.update({found.file_id: found.filename or "" for found in results if found.file_id})
        if not step.found.failed:
            yield self.event(FileSearchCompleted, item_id=item.id, output_index=index)
        yield self.event(events.ItemDone, output_index=index, item=self._shown(item))

    # ---- what all share

    def _place(self, kind: str) -> Place:
        return Place(item_id(kind, self.response.id, len(self.output)), len(self.output))

    def _shown(self, item: Any) -> Any:
        """An item as the caller sees it, as it is now."""
        if isinstance(item, FileSearchCall) and FOUND not in self._include:
            return item.model_copy(update={"results": None})
        return item.model_copy()

    def event(self, kind: type[E], **fields: Any) -> E:
        """The next event."""
        made = kind(sequence_number=self._number, **fields)
        self._number += 1
        return made
