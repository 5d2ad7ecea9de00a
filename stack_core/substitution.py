"""`${env.NAME}`, `${env.NAME:=default}` and `${env.NAME:+value}` in a run file, with Llama Stack 0.3.5's meaning.

An empty variable counts as unset. A text that substitution changed becomes a bool, an int, a float or (empty) None; a
leading `~` in what a variable or a default brought is the home folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stack_core.errors import ConfigError
from stack_core.redaction import is_secret

_FORM = re.compile(r"\$\{env\.([A-Z0-9_]+)(?::([=+])([^}]*))?\}")
_ANY = re.compile(r"\$\{env\.[^}]*\}?")


@dataclass(frozen=True)
class Unset:
    """A variable that the run file needs and the environment does not have."""

    name: str
    where: str


@dataclass
class Substitution:
    """One pass over a run file. `unset` collects what is missing, so that all of it is reported together."""

    env: Mapping[str, str]
    unset: list[Unset] = field(default_factory=list)

    def apply(self, value: Any, where: str = "") -> Any:
        """`value` with every form replaced. A provider whose id comes out empty is switched off: its config is left
        alone, since its variables need not be set.

        Raises:
            ConfigError: a text looks like a substitution and is none.
        """
        if isinstance(value, str):
            return self._text(value, where)
        if isinstance(value, list):
            return [self.apply(item, f"{where}[{i}]") for i, item in enumerate(value)]
        if isinstance(value, dict):
            if "provider_id" in value and not (name := self._peek(value["provider_id"], f"{where}.provider_id")):
                return {**value, "provider_id": name}
            return {key: self.apply(item, f"{where}.{key}" if where else str(key)) for key, item in value.items()}
        return value

    def _peek(self, value: Any, where: str) -> Any:
        """`apply` without noting what is missing."""
        return Substitution(self.env).apply(value, where)

    def _text(self, text: str, where: str) -> Any:
        if "${env." not in text:
            return text
        out = _FORM.sub(lambda match: self._one(match, where), text)
        if odd := _ANY.search(_FORM.sub("", text)):
            raise ConfigError(
                f"{odd.group()!r} is not a substitution",
                "write ${env.NAME}, ${env.NAME:=default} or ${env.NAME:+value}, NAME in capitals",
                where=where,
            )
        # A key of digits is no number: it would lose its zeros, and secrets are texts.
        return (out or None) if is_secret(where.rpartition(".")[2]) else _typed(out)

    def _one(self, match: re.Match[str], where: str) -> str:
        name, operator, rest = match.groups()
        found = self.env.get(name) or ""
        if operator == "=":
            found = found or rest
        elif operator == "+":
            found = rest if found else ""
        elif not found:
            self.unset.append(Unset(name, where))
            found = match.group()
        return str(Path(found).expanduser()) if found.startswith("~") else found


def _typed(text: str) -> Any:
    if text == "":
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
