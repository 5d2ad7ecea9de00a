"""Completion in `%stack` and `%%stack`: verbs, options, and the names that the session has seen. Asks nobody: what it
offers is in memory."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

_MAGIC = re.compile(r"^\s*(?:[\w, ]+=\s*)?(%%?)stack\b(?P<rest>.*)", re.DOTALL)
_NAME = "llama_magics.stack"
Matcher = Callable[["CompletionContext"], Any]
_installed: dict[int, Matcher] = {}


def install(shell: InteractiveShell) -> None:
    """Offer our completion in a shell that has one (IPython 8.6 and later)."""
    try:
        from IPython.core.completer import context_matcher
    except ImportError:
        return
    completer = getattr(shell, "Completer", None)
    if completer is None or id(shell) in _installed:
        return
    decorate: Any = context_matcher
    matcher = decorate(identifier=_NAME, priority=300)(_match)
    completer.custom_matchers.append(matcher)
    _installed[id(shell)] = matcher


def uninstall(shell: InteractiveShell) -> None:
    """Take it away."""
    matcher = _installed.pop(id(shell), None)
    if matcher is not None and matcher in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(matcher)


def _match(context: CompletionContext) -> Any:
    from IPython.core.completer import SimpleCompletion

    lines = context.full_text.split("\n")
    line = lines[context.cursor_line][: context.cursor_position] if context.cursor_line < len(lines) else ""
    match = _MAGIC.match(line)
    if match is None or not match["rest"][:1].isspace():
        return {"completions": []}
    fragment = re.search(r"[^\s,]*$", match["rest"])
    found = fragment[0] if fragment else ""
    before = match["rest"][: len(match["rest"]) - len(found)]
    if before.endswith(","):  # another of `a,b`: what stands there is not a word of its own yet
        before = before.removesuffix(before.split()[-1])
    words = candidates(before.split(), found, cell=match[1] == "%%")
    hits = [SimpleCompletion(text=word, type="keyword") for word in words if word.startswith(found)]
    return {"completions": hits, "matched_fragment": found, "suppress": bool(hits)}


def candidates(before: list[str], found: str, *, cell: bool) -> Iterable[str]:
    """What may stand after the words `before`, where `found` is begun."""
    from llama_magics.options import ALWAYS, FORMATS, OPTIONS
    from llama_magics.verbs import VERBS

    if not before:
        return [name for name, verb in VERBS.items() if not cell or verb.body] + _dashed(ALWAYS if found else ())
    verb = VERBS.get(before[0])
    if verb is None:
        return []
    if found.startswith("-"):
        return _dashed((*verb.options, *ALWAYS))
    last = next((o for o in OPTIONS.values() if before[-1] in (f"-{o.short}", f"--{o.name}") and not o.switch), None)
    if last is not None:
        tables = {"model": _models, "chat": _chats, "format": lambda: list(FORMATS), "param": _params}
        return tables.get(last.name, list)()
    return _words(verb.name, before[1:])


def _words(verb: str, before: list[str]) -> Iterable[str]:
    """The positional words of a verb."""
    if verb == "call":
        return _methods() if not before else _fields(before[0])
    if before and verb != "show":
        return []
    from llama_magics.verbs import VERBS

    tables: dict[str, Callable[[], Iterable[str]]] = {
        "ask": _models,
        "use": _stacks,
        "help": lambda: [*VERBS, "declare", "status", "models"],
        "show": lambda: _shown(before),
        "pull": lambda: ["minilm", "ollama/"],
        "key": _keys,
    }
    return tables[verb]() if verb in tables else []


def _dashed(names: Iterable[str]) -> list[str]:
    return [f"--{name}" for name in names]


def _session() -> Any:
    """The session, if there is one: completing a word is no reason to begin it."""
    module = sys.modules.get("llama_magics.session")
    return module._session if module else None


def _models() -> list[str]:
    state = _session()
    opened = state.stacks.get(state.current or "") if state else None
    return sorted(opened.names) if opened else []


def _params() -> list[str]:
    from llama_magics.asking import RESERVED
    from stack_core.apis.inference import ChatCompletionRequest

    return [f"{name}=" for name in ChatCompletionRequest.model_fields if name not in RESERVED]


def _chats() -> list[str]:
    state = _session()
    return sorted(state.chats) if state else []


def _stacks() -> list[str]:
    from stack_core import distributions

    state = _session()
    return [*(state.stacks if state else ()), *distributions.names()]


def _keys() -> list[str]:
    """Providers that the current stack has switched off for want of a key, and the names that are set."""
    state = _session()
    opened = state.stacks.get(state.current or "") if state else None
    off = [row.provider_id for row in opened.config.off] if opened and opened.config else []
    return [*off, *(state.keys.known() if state else ())]


def _shown(before: list[str]) -> list[str]:
    if not before:
        from llama_magics.verbs.show import KINDS

        return [*KINDS, *_models(), *_chats()]
    return {"models": _models, "chats": _chats}.get(before[0], list)()


def _methods() -> list[str]:
    from stack_core.apis import all_routes

    return [route.id for route in all_routes()]


def _fields(method: str) -> list[str]:
    from llama_magics.verbs.call import fields
    from stack_core.apis import all_routes

    return [f"{name}=" for route in all_routes() if route.id == method for name in fields(route)]
