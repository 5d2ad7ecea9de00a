"""The events of a streamed response: each has its type, and a number that rises by one from event to event.

Shapes: OpenAI 2.3.0 (Responses).
"""

from __future__ import annotations

from typing import Annotated, Literal

from stack_core.apis._by_type import ByType, Maybe
from stack_core.apis._items import OutputItem
from stack_core.apis._parts import Annotation, StreamedPart, SummaryText, TextLogprob
from stack_core.apis._response import Response
from stack_core.apis._shapes import Open
from stack_core.apis._tool_events import (
    ArgumentsDelta,
    ArgumentsDone,
    CodeCompleted,
    CodeDelta,
    CodeDone,
    CodeInProgress,
    CodeInterpreting,
    CustomInputDelta,
    CustomInputDone,
    Event,
    FileSearchCompleted,
    FileSearchInProgress,
    FileSearchSearching,
    ImageCompleted,
    ImageGenerating,
    ImageInProgress,
    ImagePartial,
    ItemEvent,
    MCPArgumentsDelta,
    MCPArgumentsDone,
    MCPCallCompleted,
    MCPCallFailed,
    MCPCallInProgress,
    MCPListCompleted,
    MCPListFailed,
    MCPListInProgress,
    WebSearchCompleted,
    WebSearchInProgress,
    WebSearchSearching,
)


class ResponseEvent(Event):
    """An event that shows the response as it is now."""

    response: Response


class ContentEvent(ItemEvent):
    """An event of an item's content at `content_index`."""

    content_index: int


class SummaryEvent(ItemEvent):
    """An event of the summary at `summary_index` of what the model thought."""

    summary_index: int


# ---- the response ------------------------------------------------------------------------------------------------


class ResponseCreated(ResponseEvent):
    """The response has begun."""

    type: Literal["response.created"] = "response.created"


class ResponseQueued(ResponseEvent):
    """The response waits for its turn."""

    type: Literal["response.queued"] = "response.queued"


class ResponseInProgress(ResponseEvent):
    """The model is at work."""

    type: Literal["response.in_progress"] = "response.in_progress"


class ResponseCompleted(ResponseEvent):
    """The response is complete."""

    type: Literal["response.completed"] = "response.completed"


class ResponseIncomplete(ResponseEvent):
    """The response stopped early; it says why."""

    type: Literal["response.incomplete"] = "response.incomplete"


class ResponseFailed(ResponseEvent):
    """The response failed; it says why."""

    type: Literal["response.failed"] = "response.failed"


class StreamFault(Event):
    """Something went wrong, and the stream ends."""

    type: Literal["error"] = "error"
    message: str
    code: str | None = None
    param: str | None = None


# ---- items and their content -------------------------------------------------------------------------------------


class ItemAdded(Event):
    """An item has begun."""

    type: Literal["response.output_item.added"] = "response.output_item.added"
    output_index: int
    item: OutputItem


class ItemDone(Event):
    """An item is complete."""

    type: Literal["response.output_item.done"] = "response.output_item.done"
    output_index: int
    item: OutputItem


class PartAdded(ContentEvent):
    """A part of an item has begun."""

    type: Literal["response.content_part.added"] = "response.content_part.added"
    part: StreamedPart


class PartDone(ContentEvent):
    """A part of an item is complete."""

    type: Literal["response.content_part.done"] = "response.content_part.done"
    part: StreamedPart


class TextDelta(ContentEvent):
    """More text."""

    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    delta: str
    logprobs: Maybe[list[TextLogprob]] = None


class TextDone(ContentEvent):
    """The whole text."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    text: str
    logprobs: Maybe[list[TextLogprob]] = None


class AnnotationAdded(ContentEvent):
    """A source of the text."""

    type: Literal["response.output_text.annotation.added"] = "response.output_text.annotation.added"
    annotation_index: int
    annotation: Annotation


class RefusalDelta(ContentEvent):
    """More of a refusal."""

    type: Literal["response.refusal.delta"] = "response.refusal.delta"
    delta: str


class RefusalDone(ContentEvent):
    """The whole refusal."""

    type: Literal["response.refusal.done"] = "response.refusal.done"
    refusal: str


class AudioDelta(Event):
    """More audio, in base64."""

    type: Literal["response.audio.delta"] = "response.audio.delta"
    delta: str


class AudioDone(Event):
    """The audio is complete."""

    type: Literal["response.audio.done"] = "response.audio.done"


class TranscriptDelta(Event):
    """More of what the audio says."""

    type: Literal["response.audio.transcript.delta"] = "response.audio.transcript.delta"
    delta: str


class TranscriptDone(Event):
    """The transcript is complete."""

    type: Literal["response.audio.transcript.done"] = "response.audio.transcript.done"


# ---- reasoning ---------------------------------------------------------------------------------------------------


class ReasoningDelta(ContentEvent):
    """More of what the model thinks."""

    type: Literal["response.reasoning_text.delta"] = "response.reasoning_text.delta"
    delta: str


class ReasoningDone(ContentEvent):
    """All that the model thought."""

    type: Literal["response.reasoning_text.done"] = "response.reasoning_text.done"
    text: str


class SummaryPartAdded(SummaryEvent):
    """A part of the summary has begun."""

    type: Literal["response.reasoning_summary_part.added"] = "response.reasoning_summary_part.added"
    part: SummaryText


class SummaryPartDone(SummaryEvent):
    """A part of the summary is complete."""

    type: Literal["response.reasoning_summary_part.done"] = "response.reasoning_summary_part.done"
    part: SummaryText


class SummaryDelta(SummaryEvent):
    """More of the summary."""

    type: Literal["response.reasoning_summary_text.delta"] = "response.reasoning_summary_text.delta"
    delta: str


class SummaryDone(SummaryEvent):
    """The whole part of the summary."""

    type: Literal["response.reasoning_summary_text.done"] = "response.reasoning_summary_text.done"
    text: str


class OtherEvent(Open):
    """An event of a type that is not known here."""

    type: str


StreamEvent = Annotated[
    ResponseCreated
    | ResponseQueued
    | ResponseInProgress
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
    | StreamFault
    | ItemAdded
    | ItemDone
    | PartAdded
    | PartDone
    | TextDelta
    | TextDone
    | AnnotationAdded
    | RefusalDelta
    | RefusalDone
    | AudioDelta
    | AudioDone
    | TranscriptDelta
    | TranscriptDone
    | ReasoningDelta
    | ReasoningDone
    | SummaryPartAdded
    | SummaryPartDone
    | SummaryDelta
    | SummaryDone
    | ArgumentsDelta
    | ArgumentsDone
    | CustomInputDelta
    | CustomInputDone
    | MCPArgumentsDelta
    | MCPArgumentsDone
    | MCPCallInProgress
    | MCPCallCompleted
    | MCPCallFailed
    | MCPListInProgress
    | MCPListCompleted
    | MCPListFailed
    | FileSearchInProgress
    | FileSearchSearching
    | FileSearchCompleted
    | WebSearchInProgress
    | WebSearchSearching
    | WebSearchCompleted
    | CodeDelta
    | CodeDone
    | CodeInProgress
    | CodeInterpreting
    | CodeCompleted
    | ImageInProgress
    | ImageGenerating
    | ImagePartial
    | ImageCompleted
    | OtherEvent,
    ByType("event", otherwise=OtherEvent),
]
"""One event of a streamed response."""
