"""Items that grow while the model speaks: a message of text and refusals, and what it thinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from stack_core.apis import _response_events as events
from stack_core.apis._items import OutputMessage, Reasoning
from stack_core.apis._parts import FileCitation, OutputText, ReasoningText, Refusal, SummaryText, TextLogprob
from stack_core.apis._tool_events import Event
from stack_core.providers.responses._citations import Citing
from stack_core.turns.answer import Piece

MakeEvent = Callable[..., Any]
"""Makes the next event of a class."""


class Place(NamedTuple):
    """Which item, and where in the output."""

    item_id: str
    output_index: int


class OpenMessage:
    """A message under way.

    Args:
        event: makes events with their numbers.
        files: id → name of the files that may be cited.
    """

    def __init__(self, place: Place, event: MakeEvent, files: Mapping[str, str]) -> None:
        self.item = OutputMessage(id=place.item_id, content=[], status="in_progress")
        self._place, self._event, self._files = place, event, files
        self._part: OutputText | Refusal | None = None
        self._citing = Citing(files)
        self._pieces: list[str] = []
        self._logprobs: list[TextLogprob] = []

    def begin(self) -> Iterator[Event]:
        """The item is there."""
        empty = self.item.model_copy(update={"content": []})
        yield self._event(events.ItemAdded, output_index=self._place.output_index, item=empty)

    def add(self, piece: Piece) -> Iterator[Event]:
        """More text, or more of a refusal."""
        if piece.kind == "refusal":
            yield from self._in_part(Refusal)
            self._pieces.append(piece.text)
            yield self._event(events.RefusalDelta, **self._where(), delta=piece.text)
            return
        yield from self._in_part(OutputText)
        logprobs = [TextLogprob.model_validate(each.model_dump()) for each in piece.logprobs]
        self._logprobs += logprobs
        for found in self._citing.add(piece.text):
            yield from self._said(found, logprobs)
            logprobs = []

    def end(self, status: str) -> Iterator[Event]:
        """The message is over: `completed` or `incomplete`."""
        yield from self._part_done()
        self.item.status = status  # type: ignore[assignment]  # one of the two above
        done = self.item.model_copy(update={"content": list(self.item.content)})
        yield self._event(events.ItemDone, output_index=self._place.output_index, item=done)

    def _said(self, found: str | FileCitation, logprobs: list[TextLogprob]) -> Iterator[Event]:
        if isinstance(found, str):
            self._pieces.append(found)
            yield self._event(events.TextDelta, **self._where(), delta=found, logprobs=logprobs)
            return
        assert isinstance(self._part, OutputText)
        self._part.annotations.append(found)
        index = len(self._part.annotations) - 1
        yield self._event(events.AnnotationAdded, **self._where(), annotation_index=index, annotation=found)

    def _in_part(self, kind: type[OutputText] | type[Refusal]) -> Iterator[Event]:
        """Be in a part of this kind."""
        if isinstance(self._part, kind):
            return
        yield from self._part_done()
        self._part = OutputText(text="", annotations=[], logprobs=[]) if kind is OutputText else Refusal(refusal="")
        self.item.content.append(self._part)
        yield self._event(events.PartAdded, **self._where(), part=self._part.model_copy())

    def _part_done(self) -> Iterator[Event]:
        part = self._part
        if isinstance(part, OutputText):
            for found in self._citing.end():
                yield from self._said(found, [])
            part.text, part.logprobs = "".join(self._pieces), list(self._logprobs)
            yield self._event(events.TextDone, **self._where(), text=part.text, logprobs=part.logprobs)
        elif part is not None:
            part.refusal = "".join(self._pieces)
            yield self._event(events.RefusalDone, **self._where(), refusal=part.refusal)
        if part is not None:
            yield self._event(events.PartDone, **self._where(), part=part)
        self._part, self._pieces, self._logprobs = None, [], []
        self._citing = Citing(self._files)

    def _where(self) -> dict[str, Any]:
        return {**self._place._asdict(), "content_index": len(self.item.content) - 1}


class OpenThought:
    """What the model thinks, under way.

    Args:
        event: makes events with their numbers.
        summary: it is told as a summary.
    """

    def __init__(self, place: Place, event: MakeEvent, *, summary: bool) -> None:
        self.item = Reasoning(id=place.item_id, summary=[], status="in_progress")
        self._place, self._event, self._summary = place, event, summary
        self._pieces: list[str] = []

    def begin(self) -> Iterator[Event]:
        """The item and its one part are there."""
        yield self._event(events.ItemAdded, output_index=self._place.output_index, item=self.item.model_copy())
        if self._summary:
            yield self._event(events.SummaryPartAdded, **self._where(), part=SummaryText(text=""))
        else:
            yield self._event(events.PartAdded, **self._where(), part=ReasoningText(text=""))

    def add(self, piece: Piece) -> Iterator[Event]:
        """More thought."""
        self._pieces.append(piece.text)
        kind = events.SummaryDelta if self._summary else events.ReasoningDelta
        yield self._event(kind, **self._where(), delta=piece.text)

    def end(self, status: str) -> Iterator[Event]:
        """The thought is over."""
        text = "".join(self._pieces)
        if self._summary:
            self.item.summary = [SummaryText(text=text)]
            yield self._event(events.SummaryDone, **self._where(), text=text)
            yield self._event(events.SummaryPartDone, **self._where(), part=SummaryText(text=text))
        else:
            self.item.content = [ReasoningText(text=text)]
            yield self._event(events.ReasoningDone, **self._where(), text=text)
            yield self._event(events.PartDone, **self._where(), part=ReasoningText(text=text))
        self.item.status = status  # type: ignore[assignment]  # completed or incomplete
        yield self._event(events.ItemDone, output_index=self._place.output_index, item=self.item.model_copy())

    def _where(self) -> dict[str, Any]:
        return {**self._place._asdict(), "summary_index" if self._summary else "content_index": 0}
