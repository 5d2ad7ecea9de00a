"""What llama.cpp's server understands differently from OpenAI's protocol, mended on the way in and on the way out.

In: lone surrogates become U+FFFD (UTF-8 has no form for them); JSON formats become grammars; a named or required tool
becomes a grammar of exactly one call, because the engine ignores names and lets text come first.
Out: the grammar's call becomes a tool call; the older shape of log-probabilities is made from the newer one.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal
from uuid import uuid4

from stack_core.apis.inference import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    Choice,
    Completion,
    CompletionLogprobs,
    CompletionRequest,
    Delta,
    FunctionCall,
    FunctionCallDelta,
    FunctionSpec,
    Logprobs,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
)
from stack_core.errors import InvalidRequest, ProviderError, Unsupported, nearest
from stack_core.providers.inference._engine.schema import (
    CALL_END,
    CALL_START,
    NAME_END,
    NAME_START,
    answer_grammar,
    call_grammar,
    object_grammar,
)

Reading = Literal["text", "json", "call"]
"""How an answer is to be read: as it is, as JSON that was enforced, or as a call that was enforced."""
_MOST_TOKENS = 2**31 - 1
_LONE = re.compile("[\ud800-\udfff]")


def chat_request(request: ChatCompletionRequest, *, small: bool) -> tuple[ChatCompletionRequest, Reading]:
    """The request as the engine understands it, and how to read its answer. `small` bounds what a schema leaves open
    when there is no `max_tokens`.

    Raises:
        Unsupported: images, audio or files, which need a model of another kind.
        InvalidRequest: a tool that does not exist, a schema that is wrong.
    """
    _refuse_media(request)
    _refuse_others(request)
    if request.tool_choice == "none":  # a model that sees tools writes calls, and then as text
        request = request.model_copy(update={"tools": None, "tool_choice": None})
    bounded = small and request.max_tokens is None and request.max_completion_tokens is None
    if forced := _forced_tools(request):
        grammar = call_grammar(forced, bounded=bounded)
        changes = {"tool_choice": "none", "response_format": None, "grammar": grammar}
        return request.model_copy(update=changes), "call"
    form = request.response_format
    if form is None or form.type == "text" or request.tools:
        return request, "text"
    if form.type == "json_object":
        grammar = object_grammar(bounded=bounded)
    elif form.json_schema is None or form.json_schema.schema_ is None:
        raise InvalidRequest("response_format.json_schema.schema is missing")
    else:
        grammar = answer_grammar(form.json_schema.schema_, bounded=bounded)
    return request.model_copy(update={"response_format": None, "grammar": grammar}), "json"


def check_text_request(request: CompletionRequest) -> None:
    """Refuse what the engine would quietly leave out.

    Raises:
        Unsupported: `suffix`, `best_of`, or `echo` of anything but plain text.
    """
    if request.max_tokens == 0:
        raise Unsupported("max_tokens: the engine gives one token at least")
    if request.suffix:
        raise Unsupported("suffix: the engine cannot fill in the middle here")
    if request.best_of is not None and request.best_of > (request.n or 1):
        raise Unsupported("best_of: the engine does not rank answers; ask for n of them")
    if request.echo and (request.logprobs is not None or not _is_text(request.prompt)):
        raise Unsupported("echo: only for a prompt that is text, without logprobs")


def without_surrogates(body: dict[str, Any], call: str, config: Any) -> None:
    """Put U+FFFD in the place of every lone surrogate; a step of the engine's row."""
    for key, value in body.items():
        body[key] = _cleaned(value)


def tidy(body: dict[str, Any], call: str, config: Any) -> None:
    """What the engine would refuse or misread although it is common; a step of the engine's row."""
    for name in ("max_tokens", "max_completion_tokens"):
        if isinstance(body.get(name), int):  # a field that the call does not have may hold anything
            body[name] = min(body[name], _MOST_TOKENS)  # more wraps around to few
    if "stop" in body and call != "embeddings":  # an empty text would end every answer at once
        body["stop"] = [text for text in ([body["stop"]] if isinstance(body["stop"], str) else body["stop"]) if text]
    if body.get("logprobs") is True and not body.get("top_logprobs"):
        body["top_logprobs"] = 1  # with 0 it gives none at all, without the field twenty; the reader takes it out
    if call == "completions" and body.get("logprobs") == 0:
        body["logprobs"] = 1
    for message in body["messages"] if call == "chat" else ():
        _tidy_message(message)


def _tidy_message(message: dict[str, Any]) -> None:
    """An answer without text, as one that was cut off leaves it; refusals; arguments that are no JSON."""
    if message.get("content") is None and not message.get("tool_calls"):
        message["content"] = message.get("refusal") or ""
    if isinstance(message.get("content"), list):
        for part in message["content"]:
            if part["type"] == "refusal":
                part["type"], part["text"] = "text", part.pop("refusal")
    for made in message.get("tool_calls") or ():
        function = made["function"]
        text = function.get("arguments") or "{}"
        function["arguments"] = text if _is_json(text) else json.dumps(text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class ChatReader:
    """Reads one call's answers as OpenAI would have given them."""

    def __init__(self, reading: Reading, *, alternatives: bool = True) -> None:
        self._reading, self._alternatives = reading, alternatives
        self._calls: dict[int, _CallReader] = {}
        self._texts: dict[int, str] = {}

    def whole(self, answer: ChatCompletion) -> ChatCompletion:
        """A finished answer.

        Raises:
            ProviderError: the engine did not keep to the grammar.
        """
        for choice in answer.choices:
            self._without_alternatives(choice.logprobs)
            if self._reading == "json" and choice.finish_reason == "stop":
                _check_json(choice.message.content or "")
            if self._reading == "call":
                _read_call(choice)
            elif choice.message.tool_calls and not choice.message.content:
                choice.message.content = None
        return answer

    def piece(self, chunk: ChatCompletionChunk) -> ChatCompletionChunk | None:
        """A piece of an answer, if there is something in it.

        Raises:
            ProviderError: the engine did not keep to the grammar; at the end, after the text.
        """
        empty = self._reading == "call" and bool(chunk.choices)
        for choice in chunk.choices:
            self._without_alternatives(choice.logprobs)
            ended = choice.finish_reason
            if self._reading == "call":
                reader = self._calls.setdefault(choice.index, _CallReader())
                choice.delta = reader.feed(choice.delta, ended)
                choice.finish_reason = "tool_calls" if ended == "stop" else ended
                empty = empty and not (ended or choice.delta.role or choice.delta.tool_calls or choice.logprobs)
            elif self._reading == "json":
                text = self._texts[choice.index] = self._texts.get(choice.index, "") + (choice.delta.content or "")
                if ended == "stop":
                    _check_json(text)
        return None if empty else chunk

    def _without_alternatives(self, given: Logprobs | None) -> None:
        for token in (given.content or []) if given and not self._alternatives else ():
            token.top_logprobs = []


class TextReader:
    """Reads text completions, whole or in pieces, in OpenAI's shape; `echo` puts the prompt before."""

    def __init__(self, request: CompletionRequest) -> None:
        prompt = request.prompt
        prompts = [prompt] if isinstance(prompt, str) else prompt
        self._echo = [str(text) for text in prompts for _ in range(request.n or 1)] if request.echo else []
        self._begun: set[int] = set()

    def read(self, answer: Completion) -> Completion:
        """The answer, or a piece of one."""
        for choice in answer.choices:
            if isinstance(choice.logprobs, Logprobs):
                choice.logprobs = _older_logprobs(choice.logprobs)
            if self._echo and choice.index not in self._begun:
                self._begun.add(choice.index)
                choice.text = self._echo[choice.index] + choice.text
        return answer


class _CallReader:
    """Reads one enforced call out of text that comes in pieces: its name first, then its arguments as they come."""

    def __init__(self) -> None:
        self._held = ""
        self._named = False

    def feed(self, delta: Delta, ended: str | None) -> Delta:
        """The delta with the text turned into pieces of a tool call; `ended` is the reason with the last one."""
        self._held += delta.content or ""
        pieces = [*self._name(), *self._arguments(ended)]
        return delta.model_copy(update={"content": None, "tool_calls": pieces or None})

    def _name(self) -> list[ToolCallDelta]:
        if self._named or NAME_END not in self._held:
            return []
        head, _, self._held = self._held.partition(NAME_END)
        self._named = True
        function = FunctionCallDelta(name=_name_in(head), arguments="")
        return [ToolCallDelta(index=0, id=_call_id(), type="function", function=function)]

    def _arguments(self, ended: str | None) -> list[ToolCallDelta]:
        if not self._named:
            if ended == "stop" and self._held:
                raise _unenforced(self._held)
            return []
        tail = "}" + CALL_END
        if ended:
            ready, self._held = self._held.removesuffix(tail), ""
        else:
            cut = max(0, len(self._held) - len(tail))
            ready, self._held = self._held[:cut], self._held[cut:]
        return [ToolCallDelta(index=0, function=FunctionCallDelta(arguments=ready))] if ready else []


def _read_call(choice: Choice) -> None:
    head, found, rest = (choice.message.content or "").partition(NAME_END)
    if not found:
        if choice.finish_reason == "length":
            choice.message.content = None
            return
        raise _unenforced(head)
    call = FunctionCall(name=_name_in(head), arguments=rest.removesuffix("}" + CALL_END))
    choice.message.content = None
    choice.message.tool_calls = [ToolCall(id=_call_id(), function=call)]
    if choice.finish_reason == "stop":
        choice.finish_reason = "tool_calls"


def _name_in(head: str) -> str:
    try:
        return str(json.loads(head.removeprefix(CALL_START).removeprefix(NAME_START)))
    except ValueError as error:
        raise _unenforced(head) from error


def _check_json(text: str) -> None:
    try:
        json.loads(text)
    except ValueError as error:
        raise _unenforced(text) from error


def _unenforced(text: str) -> ProviderError:
    return ProviderError(
        f"the engine could not enforce the schema; the answer begins {text[:60]!r}",
        "simplify the JSON Schema: the engine did not understand all of it",
    )


def _call_id() -> str:
    return f"call_{uuid4().hex[:24]}"


def _forced_tools(request: ChatCompletionRequest) -> list[FunctionSpec]:
    """The tools of which one has to be called; none where the model may choose."""
    choice = request.tool_choice
    known = {tool.function.name: tool.function for tool in request.tools or [] if tool.function}
    if choice is None or choice in ("auto", "none"):
        return []
    if choice == "required":
        if not known:
            raise InvalidRequest("tool_choice is 'required' and there are no tools")
        return list(known.values())
    if not isinstance(choice, ToolChoice) or choice.function is None:
        shown = choice.model_dump(exclude_none=True) if isinstance(choice, ToolChoice) else choice
        raise InvalidRequest(
            f"tool_choice: {shown!r} is not understood",
            'write "auto", "none", "required" or {"type": "function", "function": {"name": …}}',
        )
    name = choice.function.name
    if name not in known:
        close = nearest(name, known)
        raise InvalidRequest(
            f"tool_choice names {name!r}, which is not among the tools", f"did you mean {close[0]}?" if close else None
        )
    return [known[name]]


def _refuse_media(request: ChatCompletionRequest) -> None:
    for index, message in enumerate(request.messages):
        for part in message.content if isinstance(message.content, list) else ():
            if part.type not in ("text", "refusal"):
                raise InvalidRequest(
                    f"messages[{index}]: {request.model} reads text only, and this has {part.type}",
                    "ask a model that can see, such as one behind ollama or openai",
                )


def _refuse_others(request: ChatCompletionRequest) -> None:
    if 0 in (request.max_tokens, request.max_completion_tokens):
        raise InvalidRequest("max_tokens: ask for one token at least")
    if request.functions:
        raise InvalidRequest("functions: this is the older form, which the engine does not know", "write them as tools")
    if request.audio is not None or "audio" in (request.modalities or ()):
        raise InvalidRequest("audio: the engine writes text only", "leave audio and its modality out")
    if request.web_search_options is not None:
        raise InvalidRequest("web_search_options: the engine does not search", "give it a tool that does")
    for index, tool in enumerate(request.tools or ()):
        if tool.function is None:
            raise InvalidRequest(f"tools[{index}]: the engine knows functions alone, and this is {tool.type!r}")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else _LONE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: _cleaned(item) for key, item in value.items()}
    return [_cleaned(item) for item in value] if isinstance(value, list) else value


def _is_text(prompt: Any) -> bool:
    return isinstance(prompt, str) or (isinstance(prompt, list) and all(isinstance(item, str) for item in prompt))


def _older_logprobs(given: Logprobs) -> CompletionLogprobs:
    """Four lists of equal length, as completions have always had them."""
    out = CompletionLogprobs(text_offset=[], token_logprobs=[], tokens=[], top_logprobs=[])
    place = 0
    for token in given.content or []:
        for items, value in (
            (out.text_offset, place),
            (out.token_logprobs, token.logprob),
            (out.tokens, token.token),
            (out.top_logprobs, {top.token: top.logprob for top in token.top_logprobs}),
        ):
            assert items is not None
            items.append(value)  # type: ignore[arg-type]  # each list with its own kind of value
        place += len(token.token)
    return out
