"""One question to one model or to several: the request, the stream, the answer, the memory of a chat.

The cell (`verbs/ask.py`) and the Python twin (`twin.py`) both come here, so that they give equal results.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Protocol

from llama_magics.opened import ModelInfo, Opened
from llama_magics.reply import Reply
from llama_magics.results import Answer, Comparison, ErrorNote
from llama_magics.schema import Schema
from llama_magics.session import Chat, Session
from stack_core import context
from stack_core.apis.inference import ChatCompletionRequest
from stack_core.errors import InvalidRequest, StackError
from stack_core.redaction import is_secret

RESERVED = {
    "messages": "the question is the text",
    "model": "use -m",
    "stream": "answers always stream",
    "stream_options": "answers always stream",
    "response_format": "use --schema",
    "n": "ask several models with `ask a,b`, or ask again",
}


@dataclass
class Question:
    """What is asked. `models` empty: the default model. `content` is the text, or its parts with images."""

    content: str | list[dict[str, Any]]
    models: list[str] = field(default_factory=list)
    system: str | None = None
    schema: Schema | None = None
    chat: str | None = None
    reset: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    code: str = ""


@dataclass
class Outcome:
    """The result, and what went wrong on the way, which the caller raises after it has kept the result."""

    result: Answer | Comparison
    error: BaseException | None = None


class View(Protocol):
    """Where a reply is shown while it grows; `index` is the model's place in the question."""

    def start(self, models: Sequence[str]) -> None:
        """These are asked now."""

    def feed(self, index: int, text: str, reasoning: str, reply: Reply) -> None:
        """More has come."""

    def finish(self, result: Answer | Comparison) -> None:
        """All is there, or stopped."""


@dataclass
class _Run:
    """One model's part of a question."""

    name: str
    reply: Reply = field(default_factory=Reply)
    error: StackError | None = None
    ended: bool = False
    seconds: float = 0.0
    trace: str | None = None
    info: ModelInfo | None = None


def ask(session: Session, question: Question, view: View | None = None) -> Outcome:
    """Ask, and show the answer in `view` as it comes.

    Raises:
        StackError: the question itself cannot be asked. What a model's service answers with is in the outcome.
    """
    opened = session.opened()
    names = list(dict.fromkeys(question.models)) or [session.model(opened)]
    _check_params(question.params)
    chat = _chat(session, question, names)
    runs = [_Run(name) for name in names]
    body = _request(question, chat, session.settings.system)
    started = time.perf_counter()
    if view is not None:
        view.start(names)

    def receive(item: tuple[int, Any, float]) -> None:
        _receive(runs, item, view)

    stopped: KeyboardInterrupt | None = None
    try:
        session.run(lambda emit: _all(opened, runs, body, emit), receive)
    except KeyboardInterrupt as interrupt:
        stopped = interrupt
    elapsed = time.perf_counter() - started
    answers = [_answer(run, question, opened.known.get(run.name), elapsed) for run in runs]
    for answer in [answer for answer in answers if answer.text or answer.state != "failed"]:
        session.totals.add(answer.usage, answer.cost)
    if chat is not None and answers[0].state != "failed":
        _remember(session, question, chat, answers[0])
    result = answers[0] if len(answers) == 1 else Comparison(answers, code=question.code)
    if view is not None:
        view.finish(result)
    return Outcome(result, stopped or next((run.error for run in runs if run.error), None))


def _check_params(params: dict[str, Any]) -> None:
    """Refuse what the question says in other ways, and a slip of the pen. Any other name may be one that only the
    model's service knows."""
    known = ChatCompletionRequest.model_fields
    for name in params:
        if name in RESERVED:
            raise InvalidRequest(f"-p {name}=… is not a sampling parameter", RESERVED[name])
        close = get_close_matches(name, known, n=1, cutoff=0.9)
        if name not in known and close:
            raise InvalidRequest(f"-p {name}=…: no such parameter", f"did you mean {close[0]}?")


async def _all(opened: Opened, runs: Sequence[_Run], body: dict[str, Any], emit: Any) -> None:
    await asyncio.gather(*(_one(opened, i, run, body, emit) for i, run in enumerate(runs)))


async def _one(opened: Opened, index: int, run: _Run, body: dict[str, Any], emit: Any) -> None:
    """Stream one answer; emits (index, chunk, seconds). Its end is written into `run` here."""
    trace: list[str] = []
    context.trace_id.set(trace)
    started = time.perf_counter()
    try:
        stream = await opened.stack.inference.chat_completion(
            model=run.name, stream=True, stream_options={"include_usage": True}, **body
        )
        async with aclosing(stream):
            async for chunk in stream:
                emit((index, chunk, time.perf_counter() - started))
        run.seconds = time.perf_counter() - started
        run.ended = True
    except StackError as error:
        run.error = error
    finally:
        run.seconds = run.seconds or time.perf_counter() - started
        run.trace = trace[0] if trace else None
    run.info = await opened.info(run.name)


def _receive(runs: Sequence[_Run], item: tuple[int, Any, float], view: View | None) -> None:
    index, chunk, seconds = item
    text, thought = runs[index].reply.add(chunk, seconds)
    if view is not None:
        view.feed(index, text, thought, runs[index].reply)


def _request(question: Question, chat: Chat | None, default_system: str) -> dict[str, Any]:
    """The body of the chat completion, the model left out."""
    system = question.system or (chat.system if chat else None) or default_system
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    messages += chat.messages if chat else []
    messages.append({"role": "user", "content": question.content})
    body: dict[str, Any] = {"messages": messages, **question.params}
    if question.schema is not None:
        body["response_format"] = question.schema.response_format()
    return body


def _chat(session: Session, question: Question, names: Sequence[str]) -> Chat | None:
    """The conversation that the question belongs to; a new one stays out of the session until it has an answer."""
    if question.chat is None:
        if question.reset:
            raise InvalidRequest("--reset needs the chat's name", "%stack ask -c NAME --reset")
        return None
    if not question.chat.strip():
        raise InvalidRequest("-c: a chat's name is empty", "such as -c trip")
    if len(names) > 1:
        raise InvalidRequest("a chat remembers one answer, so it can ask one model only", "leave out -c, or one model")
    return Chat() if question.reset else session.chats.get(question.chat, Chat())


def _remember(session: Session, question: Question, chat: Chat, answer: Answer) -> None:
    """Put the turn into the chat. An answer that was stopped counts as far as it came."""
    assert question.chat is not None
    turn: list[dict[str, Any]] = [{"role": "user", "content": question.content}]
    if answer.text:
        turn.append({"role": "assistant", "content": answer.text})
    elif answer.state == "cancelled":
        return
    session.chats[question.chat] = Chat(question.system or chat.system, [*chat.messages, *turn])


def _answer(run: _Run, question: Question, known: ModelInfo | None, elapsed: float) -> Answer:
    """The result object of one model's reply; with a schema its value too, or the reason why it has none."""
    reply, info = run.reply, run.info or known
    value = None
    if run.ended and question.schema is not None:
        try:
            value = question.schema.value(reply.text)
        except StackError as error:
            run.error = error
    state = "failed" if run.error else "done" if run.ended else "cancelled"
    return Answer(
        text=reply.text,
        model=info.id if info else run.name,
        alias=run.name if info and info.id != run.name else None,
        usage=reply.usage,
        cost=_cost(reply, info),
        seconds=run.seconds or elapsed,
        first_token_seconds=reply.first_token_seconds,
        trace=run.trace,
        finish_reason="cancelled" if state == "cancelled" else reply.finish_reason,
        reasoning=reply.reasoning or None,
        tool_calls=[reply.tools[index] for index in sorted(reply.tools)],
        state=state,
        error=note(run.error) if run.error else None,
        tutorial=info is not None and info.tutorial,
        value=value,
        code=question.code,
        chat=question.chat,
    )


def _cost(reply: Reply, info: ModelInfo | None) -> float | None:
    if info is None or info.price is None or reply.usage is None:
        return None
    return (reply.usage.input_tokens * info.price[0] + reply.usage.output_tokens * info.price[1]) / 1e6


_EXPORT = re.compile(r"export ([A-Z0-9_]+)=…")


def remedy(hint: str | None) -> str | None:
    """A hint as a notebook can follow it: a shell's `export` does not reach a kernel that runs."""
    return hint and _EXPORT.sub(lambda m: f"%stack key {m[1]}" if is_secret(m[1]) else f"%env {m[1]}=…", hint)


def note(error: StackError, intact: str | None = None) -> ErrorNote:
    """An error as a cell shows it."""
    return ErrorNote(type(error).__name__, error.message, remedy(error.hint), getattr(error, "where", None), intact)
