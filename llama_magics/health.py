"""The providers of an open stack as lines of a card: what answers, what does not, and the command that mends it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from llama_magics.opened import Opened
from llama_magics.results import ProviderLine
from llama_magics.session import Session

_NO_KEY = re.compile(r"([A-Z0-9_]+_(?:KEY|TOKEN)) is not set")


def provider_lines(session: Session, opened: Opened) -> list[ProviderLine]:
    """Every provider with its health, asked now, and those that an unset variable switches off."""
    infos = session.run(lambda _: opened.stack.providers.list_providers()).data
    why = {(row.api, row.provider_id): row for row in getattr(opened.stack, "unavailable", ())}
    lines = []
    for info in infos:
        row = why.pop((info.api, info.provider_id), None)
        health = info.health
        status = "OK" if health.status == "Not Implemented" else health.status
        message, fix = row.reason if row else health.message, row.fix if row else None
        if match := _NO_KEY.search(message or ""):
            status, message, fix = "Off", match[0], f"%stack key {match[1]}"
        lines.append(ProviderLine(info.api, info.provider_id, info.provider_type, status, message, fix))
    lines += [ProviderLine(row.api, row.provider_id, row.provider_type, "Unavailable", row.reason, row.fix)
              for row in why.values()]  # fmt: skip
    for off in opened.config.off if opened.config else ():
        fix = f"%stack key {off.provider_id}" if off.variable.endswith(("KEY", "TOKEN")) else f"%env {off.variable}=…"
        lines.append(
            ProviderLine(off.api, off.provider_id, off.provider_type, "Off", f"{off.variable} is not set", fix)
        )
    return lines


def answers(lines: list[ProviderLine], models: Mapping[str, str], name: str | None) -> bool:
    """Whether the provider behind a model works, as far as its name tells which one that is."""
    provider = models.get(name or "", name or "").partition("/")[0]
    behind = [line for line in lines if line.api == "inference" and line.provider_id == provider]
    return all(line.status == "OK" for line in behind)


def next_steps(lines: list[ProviderLine], models: Mapping[str, str], default: str | None) -> list[tuple[str, str]]:
    """What to do with a stack that has just been opened."""
    steps: list[tuple[str, str]] = []
    if default and answers(lines, models, default):
        steps.append(('%stack ask "hi"', f"a first answer from {default}"))
    ready = [alias for alias in models if answers(lines, models, alias)]
    if len(ready) > 1:
        steps.append((f'%stack ask {",".join(ready[:2])} "hi"', "the same question to both"))
    steps += [(line.fix, f"turns {line.provider_id} on") for line in lines if line.status == "Off" and line.fix][:1]
    return steps or [("%stack help models", "how to get a model")]
