"""The making of a turn: its steps and events, from what the loop does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from stack_core.apis import _steps as steps
from stack_core.apis import _turns as turns
from stack_core.apis._messages import ModelOutput, StopReason, ToolUse
from stack_core.apis._violations import SafetyViolation
from stack_core.apis.inference import AssistantMessage, Message, ToolMessage
from stack_core.providers.agents._guards import BLOCKED, Guards, blocks
from stack_core.turns.answer import ModelCall, Piece
from stack_core.turns.answer import Turn as Answer
from stack_core.turns.loop import Answered, Begun, Loop, Step, Stopped, Used, Using, Wanted

Payload = Any
"""One of `TurnPayload`."""
Keep = Callable[["Making"], Awaitable[None]]
"""Writes down a turn that is over or waits."""


@dataclass
class Begin:
    """What a turn begins with: its ids, what was said, the chat before it, and its steps where it goes on."""

    turn_id: str
    session_id: str
    input_messages: Sequence[Any]
    started_at: datetime
    before: Sequence[Message]
    said: Sequence[Message]
    steps: list[Any] = field(default_factory=list)
    resumed: bool = False


@dataclass
class Shields:
    """The shields of an agent."""

    guards: Guards
    input: Sequence[str] = ()
    output: Sequence[str] = ()


class Making:
    """One run of the loop as a turn, or as the rest of one.

    Args:
        loop: asked with the instructions, the chat before and what was said.
        offset: how many of the loop's messages were there before the turn.
        keep: called before the last event: who has that may go on from the turn.
    """

    def __init__(self, begin: Begin, loop: Loop, offset: int, shields: Shields, keep: Keep) -> None:
        self._begin, self._loop, self._shields, self._keep = begin, loop, shields, keep
        self._offset = offset
        self._place = self._mark = len(loop.messages)
        self.turn: turns.Turn | None = None
        """The turn when it is over or waits."""
        self.steps = list(begin.steps)
        self.pending: dict[str, Any] | None = None
        """The step of the caller's tools that the turn waits for."""
        self._step_id, self._since = "", begin.started_at
        self._texts: list[str] = []
        self._last: Answer | None = None
        self._ran: set[str] = set()
        self._wanted: list[ToolUse] = []
        self._blocked: SafetyViolation | None = None
        self._input_blocked = False
        self._reason: str | None = None

    # ---- what it is

    def _whole(self) -> turns.Turn:
        return turns.Turn(
            turn_id=self._begin.turn_id,
            session_id=self._begin.session_id,
            input_messages=list(self._begin.input_messages),
            steps=self.steps,
            output_message=self._output(),
            output_attachments=[],
            started_at=self._begin.started_at,
            completed_at=None if self.pending else _now(),
        )

    def messages(self) -> list[Message]:
        """What later turns are told of this one. What a shield kept from the model stays out of them too."""
        if self._input_blocked:
            return []
        made = self._loop.messages[self._offset :]
        if self._blocked is not None:
            made = self._loop.messages[self._offset : self._mark]
        elif len(self._loop.messages) > self._mark:
            return list(made)  # the loop has added the last answer: it calls tools
        said = _refusal(self._blocked).content if self._blocked is not None else "".join(self._texts)
        return [*made, *([AssistantMessage.model_validate({"content": said})] if said else ())]

    def _output(self) -> ModelOutput:
        if self._blocked is not None:
            return _refusal(self._blocked)
        said = "".join(self._texts)
        if self._reason is None or self._reason == "max_output_tokens":
            ends: StopReason = "end_of_message" if self._wanted else "end_of_turn"
            return ModelOutput(
                content=said,
                stop_reason="out_of_tokens" if self._reason else ends,
                tool_calls=self._wanted or None,
            )
        return ModelOutput(content=said or f"(Stopped: {self._reason})", stop_reason="end_of_message")

    # ---- how it comes about

    async def events(self) -> AsyncGenerator[turns.TurnChunk, None]:
        """All events. Where the model cannot be asked at all, no event comes.

        Raises:
            StackError: a shield or the model cannot be asked, or breaks off; nothing of the turn is kept.
        """
        begun = self._begin.resumed
        async with aclosing(self._made()) as made:
            async for payload in made:
                if not begun:
                    begun = True
                    yield _chunk(turns.TurnStart(turn_id=self._begin.turn_id))
                yield _chunk(payload)
        self.turn = self._whole()
        await self._keep(self)
        kind = turns.TurnAwaitingInput if self.pending else turns.TurnComplete
        yield _chunk(kind(turn=self.turn))

    async def _made(self) -> AsyncGenerator[Payload, None]:
        if self._begin.resumed:
            yield _complete(self.steps[-1])
        if self._shields.input:
            async with aclosing(self._looked_at_input()) as looked:
                async for payload in looked:
                    yield payload
            if self._blocked is not None:
                return
        async with aclosing(self._loop.run()) as made:
            async for step in made:
                async with aclosing(self._told(step)) as payloads:
                    async for payload in payloads:
                        yield payload
                if self._blocked is not None:
                    return
        for payload in (*self._refused(), *self._waits()):
            yield payload

    async def _looked_at_input(self) -> AsyncGenerator[Payload, None]:
        self._open()
        yield self._start("shield_call", {"touchpoint": "user-input"})
        found = await self._shields.guards.look(self._shields.input, self._begin.said)
        if blocks(found):
            self._blocked, self._input_blocked = found, True
        yield self._done(steps.ShieldCallStep(violation=found, **self._times()))

    async def _told(self, step: Step) -> AsyncGenerator[Payload, None]:
        """The events of one step of the loop."""
        if isinstance(step, Begun):
            for payload in self._refused():
                yield payload
            self._open()
            self._texts.clear()
            yield self._start("inference")
        elif isinstance(step, Piece) and step.kind != "thought":
            self._texts.append(step.text)
            if not self._shields.output:
                yield self._progress("inference", turns.TurnText(text=step.text))
        elif isinstance(step, Answered):
            async with aclosing(self._answered(step.answer)) as payloads:
                async for payload in payloads:
                    yield payload
        elif isinstance(step, Using):
            self._open()
            yield self._start("tool_execution")
            yield self._progress("tool_execution", _called(step.call, "in_progress"))
        elif isinstance(step, Used):
            self._ran.add(step.call.call_id)
            detail = step.found.detail if isinstance(step.found.detail, dict) else None
            yield self._executed([_use(step.call)], [_response(step.call, step.found.text, detail)])
        elif isinstance(step, Wanted) and step.whole:
            self._wanted.append(_use(step.call))
        elif isinstance(step, Stopped):
            self._reason = step.reason

    async def _answered(self, answer: Answer) -> AsyncGenerator[Payload, None]:
        """The end of a call of the model. Text that a shield must see first is shown only now."""
        self._last, said = answer, "".join(self._texts)
        self._place = self._mark = len(self._loop.messages)
        self._ran.clear()
        asked = _now()
        guarded = bool(self._shields.output and said)
        found: SafetyViolation | None = None
        if guarded:
            shown = [*self._begin.said, AssistantMessage(content=said)]
            found = await self._shields.guards.look(self._shields.output, shown)
        if blocks(found):
            assert found is not None
            self._blocked = found
            yield self._done(steps.InferenceStep(model_response=_refusal(found), **self._times()))
        else:
            if guarded:
                yield self._progress("inference", turns.TurnText(text=said))
            whole = answer.finish not in ("length", "content_filter")
            calls = answer.calls if whole else []
            for call in calls:
                yield self._progress("inference", _called(call, "failed" if call.read() is None else "succeeded"))
            response = ModelOutput(
                content=said,
                stop_reason="out_of_tokens"
                if answer.finish == "length"
                else ("end_of_message" if calls else "end_of_turn"),
                tool_calls=[_use(call) for call in calls] or None,
            )
            yield self._done(steps.InferenceStep(model_response=response, **self._times()))
        if guarded:
            self._open(asked)
            yield self._start("shield_call", {"touchpoint": "assistant-output"})
            yield self._done(steps.ShieldCallStep(violation=found, **self._times()))

    def _refused(self) -> list[Payload]:
        """The step of calls that were not carried out: the model was told why."""
        told: list[Message] = list(self._loop.messages[self._place :])
        self._place = len(self._loop.messages)
        results = {m.tool_call_id: str(m.content) for m in told if isinstance(m, ToolMessage)}
        calls = [c for c in (self._last.calls if self._last else ()) if c.call_id in results.keys() - self._ran]
        if not calls:
            return []
        self._open()
        start = self._start("tool_execution")
        responses = [_response(call, results[call.call_id]) for call in calls]
        return [start, self._executed([_use(call) for call in calls], responses)]

    def _waits(self) -> list[Payload]:
        """The step of the caller's own tools, which ends when their results come."""
        if not self._wanted:
            return []
        self._open()
        self.pending = {
            "step_id": self._step_id,
            "started_at": self._since.isoformat(),
            "calls": [call.model_dump(mode="json") for call in self._wanted],
        }
        deltas = [turns.TurnToolCall(tool_call=call, parse_status="in_progress") for call in self._wanted]
        return [self._start("tool_execution"), *(self._progress("tool_execution", delta) for delta in deltas)]

    # ---- steps

    def _open(self, since: datetime | None = None) -> None:
        self._step_id, self._since = str(uuid4()), since or _now()

    def _times(self) -> dict[str, Any]:
        turn_id = self._begin.turn_id
        return {"turn_id": turn_id, "step_id": self._step_id, "started_at": self._since, "completed_at": _now()}

    def _start(self, kind: steps.StepType, metadata: dict[str, Any] | None = None) -> Payload:
        return turns.StepStart(step_type=kind, step_id=self._step_id, metadata=metadata)

    def _progress(self, kind: steps.StepType, delta: Any) -> Payload:
        return turns.StepProgress(step_type=kind, step_id=self._step_id, delta=delta)

    def _executed(self, calls: list[ToolUse], responses: list[steps.ToolResponse]) -> Payload:
        return self._done(steps.ToolExecutionStep(tool_calls=calls, tool_responses=responses, **self._times()))

    def _done(self, step: Any) -> Payload:
        self.steps.append(step)
        return _complete(step)


def _complete(step: Any) -> Payload:
    return turns.StepComplete(step_type=step.step_type, step_id=step.step_id, step_details=step)


def _chunk(payload: Payload) -> turns.TurnChunk:
    return turns.TurnChunk(event=turns.TurnEvent(payload=payload))


def _refusal(violation: SafetyViolation) -> ModelOutput:
    return ModelOutput(content=violation.user_message or BLOCKED, stop_reason="end_of_turn")


def _use(call: ModelCall) -> ToolUse:
    return ToolUse(call_id=call.call_id, tool_name=call.name, arguments=call.arguments)


def _called(call: ModelCall, status: Any) -> turns.TurnToolCall:
    return turns.TurnToolCall(tool_call=call.arguments if status == "failed" else _use(call), parse_status=status)


def _response(call: ModelCall, told: str, metadata: dict[str, Any] | None = None) -> steps.ToolResponse:
    return steps.ToolResponse(call_id=call.call_id, tool_name=call.name, content=told, metadata=metadata)


def _now() -> datetime:
    return datetime.now(UTC)
