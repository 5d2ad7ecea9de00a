"""A cell without a verb: its YAML body is the stack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_magics import health, source, template
from llama_magics.opened import Opened
from llama_magics.results import Declared
from llama_magics.session import Session
from stack_core.config import RunConfig
from stack_core.errors import ConfigError, InvalidRequest
from stack_core.yaml_text import read_yaml

if TYPE_CHECKING:
    from llama_magics.cell import Cell

_ASK = "did you mean `%%stack ask`?"
_KINDS = {type(None): "empty", str: "text", list: "a list", int: "a number", float: "a number"}


def run(cell: Cell) -> Declared:
    """Declare what the body says."""
    assert cell.body is not None
    code = source.call("up", cell.body, out=cell.line.options.get("out"))
    body = f"\n{cell.body}"  # lines in errors count the cell's own first line, as its editor does
    return declare(cell.session, body, cell.namespace, code)


def declare(session: Session, body: str, namespace: Mapping[str, Any], code: str = "") -> Declared:
    """Open the stack that YAML text describes, in the place of an earlier one of its name.

    Raises:
        InvalidRequest: the text is no mapping.
        ConfigError: it cannot work; says where and what to do. The stack that ran before keeps running.
    """
    data = template.objects(body, namespace, _read)
    if not isinstance(data, dict):
        kind = _KINDS.get(type(data), "one value")
        raise InvalidRequest(f"%%stack takes a YAML mapping, the stack, and this body is {kind}", _ASK)
    return up(session, data if template.slots(body) else f"{body.rstrip()}\n", code)


def up(session: Session, source: str | Path | Mapping[str, Any], code: str = "", written: Any = None) -> Declared:
    """Open a distribution, a file, YAML text or a mapping, and say what is there and what changed."""
    config = session.load(source)
    before = session.stacks.get(config.name)
    if before is not None and before.config == config:
        lines = health.provider_lines(session, before)
        if all(line.status in ("OK", "Off") or line.fix is None for line in lines):
            session.current = before.name
            return declared(session, before, lines, [], code, unchanged=True)
    opened = session.open(source, written)
    lines = health.provider_lines(session, opened)
    changes = differences(before.config, opened.config) if before and before.config and opened.config else []
    return declared(session, opened, lines, changes, code)


def declared(
    session: Session, opened: Opened, lines: list[Any], changes: list[str], code: str, *, unchanged: bool = False
) -> Declared:
    """The card of an open stack."""
    aliases = opened.config.aliases if opened.config else {}
    default = opened.config.default_model if opened.config else None
    return Declared(
        name=opened.name,
        providers=lines,
        models=list(aliases.items()),
        default=session.settings.model or default,
        changes=changes,
        unchanged=unchanged,
        seconds=opened.seconds,
        location=opened.location,
        code=code,
        next_steps=[] if unchanged else health.next_steps(lines, aliases, default),
        answers=health.answers(lines, aliases, session.settings.model or default),
    )


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """What changed, one line a part: `+ inference openai`, `~ default fast → smart`. Values that may be secret are not
    in it."""
    before, after = _parts(old), _parts(new)
    added = [f"+ {name}" for name in after if name not in before]
    gone = [f"- {name}" for name in before if name not in after]
    changed = [
        f"~ {name} {before[name]} → {after[name]}" if isinstance(after[name], str) else f"~ {name}"
        for name in after
        if name in before and before[name] != after[name]
    ]
    return [*added, *changed, *gone]


def _parts(config: RunConfig) -> dict[str, Any]:
    """The parts that a change is told by; those with text values may be shown."""
    out: dict[str, Any] = {
        f"{api} {entry.provider_id}": entry for api, entries in config.providers.items() for entry in entries
    }
    out |= {f"alias {alias}": model for alias, model in config.aliases.items()}
    if config.default_model:
        out["default"] = config.default_model
    if config.budget:
        limits = config.budget.model_dump(exclude_none=True)
        out["budget"] = ", ".join(f"{name} {value}" for name, value in limits.items())
    out |= {name: getattr(config, name) for name in ("storage", "telemetry", "server") if getattr(config, name)}
    return out


def _read(text: str) -> Any:
    try:
        return read_yaml(text)
    except ConfigError as error:
        first = text.strip().partition("\n")[0]
        prose = ":" not in first or first.rstrip().endswith(("?", ".", "!"))
        hint = f"{_ASK} Or {error.hint}" if prose else error.hint
        raise ConfigError(error.message, hint) from error
