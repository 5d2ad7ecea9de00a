"""The loop: model → calls of tools → tools → model, until an answer or a limit.

It knows inference and tools, and nothing of requests, items or events: whoever runs it shows its steps in the shape of
an API. Every call of the model goes through the bound Inference API.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

from stack_core.apis._call import close
from stack_core.apis.inference import (
    ChatCompletionRequest,
    FunctionSpec,
    Inference,
    Message,
    StreamOptions,
    Tool,
    ToolMessage,
    Usage,
)
from stack_core.apis.inference import ToolChoice as ChatToolChoice
from stack_core.errors import ContextTooLong, ProviderError, Unsupported
from stack_core.turns.answer import ModelCall, Piece, Turn
from stack_core.turns.shorten import shorter

MOST_TURNS = 10
"""Calls of the model in one run, unless the caller says otherwise (Llama Stack)."""
SAME_CALL = 3
"""How often the same call with the same arguments ends the run."""


@dataclass(slots=True)
class Found:
    """What a tool gave: the text for the model, and the rest for whoever shows it. `failed` where it did not work."""

    text: str
    detail: Any = None
    failed: bool = False


class StackTool(Protocol):
    """A tool that the stack runs itself."""

    spec: FunctionSpec

    async def run(self, arguments: dict[str, Any]) -> Found:
        """Carry out a call. What goes wrong with the call is told to the model in the result."""
        ...


@dataclass(frozen=True)
class Ask:
    """What a run is asked for.

    `settings` are further fields of each chat request, `functions` the caller's own tools, whose calls end the run,
    `tools` the stack's by name, `choice` the tool choice of the first turn. The three limits count tokens over all
    turns, calls of the stack's tools, and turns. With `shorten` the oldest messages go where the context is too long.
    """

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    functions: Sequence[FunctionSpec] = ()
    tools: Mapping[str, StackTool] = field(default_factory=dict)
    choice: str | ChatToolChoice | None = None
    most_tokens: int | None = None
    most_calls: int | None = None
    most_turns: int = MOST_TURNS
    shorten: bool = False


@dataclass(slots=True)
class Begun:
    """A call of the model is open."""

    turn: int


@dataclass(slots=True)
class Answered:
    """A call of the model is over. What its answer leads to comes next: tools, the end, or another call."""

    answer: Turn


@dataclass(slots=True)
class Using:
    """A tool of the stack begins."""

    call: ModelCall
    arguments: dict[str, Any]


@dataclass(slots=True)
class Used:
    """A tool of the stack is done."""

    call: ModelCall
    found: Found


@dataclass(slots=True)
class Wanted:
    """A call of one of the caller's functions. `whole` says whether the model got to its end."""

    call: ModelCall
    whole: bool = True


@dataclass(slots=True)
class Stopped:
    """The run is over. `reason` is None where the model was done: it has answered, or waits for the caller's tools."""

    reason: str | None = None


Step = Begun | Piece | Answered | Using | Used | Wanted | Stopped


class Loop:
    """One run.

    Args:
        messages: what the model is asked with; the turns are added to a list of its own.
    """

    def __init__(self, inference: Inference, ask: Ask, messages: Sequence[Message]) -> None:
        self._inference, self._ask = inference, ask
        self._messages = list(messages)
        self._known = {*ask.tools, *(function.name for function in ask.functions)}
        self._seen: Counter[str] = Counter()
        self._calls = 0
        self._fault: str | None = None
        self.usages: list[Usage] = []
        """Token counts of the turns so far."""
        self.service_tier: str | None = None

    @property
    def messages(self) -> Sequence[Message]:
        """What the model is asked with next: what it was asked with first, its calls of tools and their results."""
        return self._messages

    async def run(self) -> AsyncGenerator[Step, None]:
        """The steps; the last one is `Stopped`.

        Raises:
            StackError: the model cannot be asked, or breaks off.
            ProviderError: it twice made a call that cannot be read.
        """
        for number in range(self._ask.most_turns):
            if self._room() == 0:
                yield Stopped("max_output_tokens")
                return
            turn = Turn()
            async with aclosing(self._asked(number, turn)) as steps:
                async for piece in steps:
                    yield piece
            yield Answered(turn)
            async with aclosing(self._followed(turn)) as more:
                async for step in more:
                    yield step
                    if isinstance(step, Stopped):
                        return
        yield Stopped("max_infer_iters")

    async def _asked(self, number: int, turn: Turn) -> AsyncGenerator[Begun | Piece, None]:
        """One call of the model, gathered in `turn`."""
        stream = await self._opened(number)
        try:
            yield Begun(number)
            async for chunk in stream:
                for piece in turn.add(chunk):
                    yield piece
        finally:
            await close(stream)
            if turn.usage is not None:
                self.usages.append(turn.usage)
            self.service_tier = turn.service_tier or self.service_tier

    async def _opened(self, number: int) -> Any:
        while True:
            try:
                return await self._inference.chat_completion(self._request(number))
            except ContextTooLong:
                fewer = shorter(self._messages) if self._ask.shorten else None
                if fewer is None:
                    raise
                self._messages = fewer

    def _request(self, number: int) -> ChatCompletionRequest:
        ask = self._ask
        left = ask.most_calls is None or self._calls < ask.most_calls
        specs = [*ask.functions, *(tool.spec for tool in ask.tools.values() if left)]
        settings = dict(ask.settings)
        if specs:
            settings["tools"] = [Tool(function=spec) for spec in specs]
            # A choice that is forced on every turn would never let the model answer.
            settings["tool_choice"] = ask.choice if number == 0 or ask.choice == "none" else None
        else:
            settings.pop("parallel_tool_calls", None)
        room = self._room()
        if room is not None:
            settings["max_completion_tokens"] = room
        return ChatCompletionRequest(
            model=ask.model,
            messages=self._messages,
            stream=True,
            stream_options=StreamOptions(include_usage=True),
            store=False,
            **{name: value for name, value in settings.items() if value is not None},
        )

    def _room(self) -> int | None:
        """Tokens that may still be generated; None where there is no limit."""
        if self._ask.most_tokens is None:
            return None
        return max(0, self._ask.most_tokens - sum(usage.completion_tokens for usage in self.usages))

    async def _followed(self, turn: Turn) -> AsyncGenerator[Step, None]:
        """What a turn leads to: the end, or results that the next turn begins with."""
        if turn.finish in ("length", "content_filter"):
            for call in turn.calls:
                if call.name in self._known and call.name not in self._ask.tools:
                    yield Wanted(call, whole=False)
            yield Stopped("max_output_tokens" if turn.finish == "length" else "content_filter")
            return
        if not turn.calls:
            yield Stopped()
            return
        self._messages.append(turn.message())
        if (fault := self._faulty(turn)) is not None:
            self._hand_back(turn, fault)
            return
        for call in turn.calls:
            if call.name not in self._ask.tools:
                continue
            if (again := self._again(call)) is not None:
                yield Stopped(again)
                return
            async with aclosing(self._used(call)) as steps:
                async for step in steps:
                    yield step
        wanted = [call for call in turn.calls if call.name not in self._ask.tools]
        for call in wanted:
            yield Wanted(call)
        if wanted:
            yield Stopped()

    async def _used(self, call: ModelCall) -> AsyncGenerator[Step, None]:
        """Run a tool of the stack, unless enough of them ran."""
        most = self._ask.most_calls
        if most is not None and self._calls >= most:
            self._answer(call, f"Not done: no more than {most} calls of tools are allowed. Answer with what you have.")
            return
        self._calls += 1
        arguments = call.read() or {}
        yield Using(call, arguments)
        found = await self._ask.tools[call.name].run(arguments)
        self._answer(call, found.text)
        yield Used(call, found)

    def _again(self, call: ModelCall) -> str | None:
        """Why the run ends with this call: it was made before, too often."""
        key = f"{call.name} {json.dumps(call.read(), sort_keys=True)}"
        self._seen[key] += 1
        return f"same_call_{SAME_CALL}_times: {key}" if self._seen[key] >= SAME_CALL else None

    def _faulty(self, turn: Turn) -> str | None:
        """What is wrong with the calls of a turn."""
        for call in turn.calls:
            if call.name not in self._known:
                there = ", ".join(sorted(self._known)) or "none"
                return f"there is no tool {call.name!r}; the tools are: {there}"
            if call.read() is None:
                return f"the arguments of {call.name} are no JSON object: {call.arguments}"
        return None

    def _hand_back(self, turn: Turn, fault: str) -> None:
        """Tell the model what was wrong, once.

        Raises:
            ProviderError: it was told before; names both faults.
        """
        if self._fault is not None:
            raise ProviderError(
                f"the model called a tool wrongly, and again when it was told: {self._fault}; then {fault}",
                "a larger model, or fewer and simpler tools",
            )
        self._fault = fault
        for call in turn.calls:
            if call.read() is None:
                # What is no JSON would break the chat templates that read arguments.
                self._mend(call)
            self._answer(call, f"Not done: {fault}. Make the call again, rightly.")

    def _mend(self, call: ModelCall) -> None:
        last = self._messages[-1]
        for message in reversed(self._messages):
            if message.role == "assistant":
                last = message
                break
        for made in getattr(last, "tool_calls", None) or ():
            if made.id == call.call_id:
                made.function.arguments = "{}"

    def _answer(self, call: ModelCall, text: str) -> None:
        self._messages.append(ToolMessage(tool_call_id=call.call_id, content=text))

    async def count(self) -> int:
        """Tokens of what the model would be asked with, by its service's own count.

        Raises:
            Unsupported: the service tells none.
        """
        request = self._request(0).model_copy(update={"stream": None, "stream_options": None})
        answer = await self._inference.chat_completion(request.model_copy(update={"max_completion_tokens": 1}))
        usage = getattr(answer, "usage", None)
        if usage is None:
            raise Unsupported(f"the service of {self._ask.model} tells no token counts")
        return int(usage.prompt_tokens)
