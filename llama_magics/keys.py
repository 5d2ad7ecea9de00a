"""Keys: where they come from, and the texts that must never be emitted.

The environment wins; then a `.env` file in the notebook's folder or the nearest folder above it; then what `%stack key`
stored, in the system's keyring where the `keyring` package is installed, else for this session only. Nothing is written
into the environment: a stack gets the values as a mapping when it opens.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stack_core.errors import InvalidRequest, UnknownProvider

SERVICE = "llama-magics"
_INDEX = "names"
_SECRET_NAME = re.compile(r"(^|_)(KEY|KEYS|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_SWITCH = re.compile(r"\$\{env\.([A-Z0-9_]+)")
PATTERNS = re.compile(
    r"\b(sk-[A-Za-z0-9_-]{16,}|gsk_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|nvapi-[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{16}"
    r"|AIza[A-Za-z0-9_-]{30,}|csk-[A-Za-z0-9]{20,}|tgp_v1_[A-Za-z0-9_-]{20,}|fw_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,})"
)
"""What keys of known services look like."""


@dataclass
class Keys:
    """The keys of one kernel. `folder` is the notebook's."""

    folder: Path
    session: dict[str, str] = field(default_factory=dict)
    extra: set[str] = field(default_factory=set)
    """Secret texts from elsewhere, such as a run file."""
    _secrets: list[str] | None = None
    _ringed: dict[str, str] | None = None
    """What the keyring holds, read once: it may be slow, or ask its owner to unlock it."""
    _file: tuple[Path, int, dict[str, str]] | None = None

    def mapping(self) -> dict[str, str]:
        """Every variable that the environment itself does not have: the `.env` file's, then the stored ones."""
        return {**self.stored(), **self.dotenv()}

    def dotenv(self) -> dict[str, str]:
        """The variables of the nearest `.env` file, from the notebook's folder upward; read again when it changes."""
        path = next((f for d in (self.folder, *self.folder.parents) if (f := d / ".env").is_file()), None)
        if path is None:
            return {}
        try:
            stamp = path.stat().st_mtime_ns
            if self._file is None or self._file[:2] != (path, stamp):
                self._file = (path, stamp, _parse(path))
        except OSError:
            return {}
        return self._file[2]

    def stored(self) -> dict[str, str]:
        """What `%stack key` stored."""
        if self._ringed is None:
            self._ringed = dict(_ring_items())
            self._secrets = None
        return {**self._ringed, **self.session}

    def where(self, variable: str) -> str | None:
        """Where a variable is set: environment, .env, keyring or session; None where nowhere."""
        if os.environ.get(variable):
            return "environment"
        if self.dotenv().get(variable):
            return ".env"
        if variable in self.session and variable not in (self._ringed or ()):
            return "session"
        return "keyring" if variable in self.stored() else None

    def known(self) -> dict[str, str]:
        """Names that look like keys and are set → where. Never a value."""
        names = {*os.environ, *self.dotenv(), *self.stored()}
        return {n: w for n in sorted(names) if _SECRET_NAME.search(n) and (w := self.where(n))}

    def keep(self, variable: str, value: str) -> str:
        """Store a key; gives where: keyring or session."""
        self.stored()
        self.session[variable] = value
        self._secrets = None
        if not _ring_set(variable, value):
            return "session"
        self._ringed = {**(self._ringed or {}), variable: value}
        return "keyring"

    def forget(self, variable: str) -> bool:
        """Remove a stored key; False where none was stored."""
        had = self.session.pop(variable, None) is not None
        if self._ringed is not None:
            self._ringed.pop(variable, None)
        return _ring_delete(variable) or had

    def refresh(self) -> None:
        """Look again for secrets; done once a cell, since a long answer is scrubbed piece by piece."""
        named = {**(self._ringed or {}), **self.session, **self.dotenv(), **os.environ}
        found = {text for name, text in named.items() if _SECRET_NAME.search(name) and len(text) >= 6}
        self._secrets = sorted(found | self.extra, key=len, reverse=True)

    def secrets(self) -> list[str]:
        """Secret texts of at least six characters, longest first."""
        if self._secrets is None:
            self.refresh()
        return self._secrets or []

    def scrub(self, text: str) -> str:
        """The text with every known secret masked."""
        for secret in self.secrets():
            if secret in text:
                text = text.replace(secret, "********")
        return text


def variable(name: str) -> str:
    """The environment variable that a provider's short name or a variable's own name means.

    Raises:
        InvalidRequest: neither a variable nor a provider that takes a key.
    """
    if _VARIABLE.fullmatch(name):
        return name
    from stack_core.short_form import expand

    try:
        entry = expand({"providers": {"inference": [f"{name}?"]}}, {})["providers"]["inference"][0]
    except UnknownProvider as error:
        raise InvalidRequest(
            f"{name!r} is neither a provider nor a variable",
            hint if (hint := error.hint or "").startswith("did you mean") else "for instance `%stack key openai`",
        ) from error
    match = _SWITCH.match(str(entry["provider_id"])) or _SWITCH.match(str(entry["config"].get("api_key", "")))
    if match is None:
        raise InvalidRequest(f"{name} needs no key", "%stack doctor shows what is missing")
    return match[1]


def _parse(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values

    return {name: value for name, value in dotenv_values(path, encoding="utf-8").items() if value}


def _ring() -> Any:
    """The keyring module where it is installed and has a backend that works, else None."""
    if find_spec("keyring") is None:
        return None
    import keyring

    return keyring if keyring.get_keyring().priority > 0 else None


def _ring_items() -> Iterator[tuple[str, str]]:
    ring = _ring()
    if ring is None:
        return
    for name in _ring_names(ring):
        value = _ring_get(ring, name)
        if value:
            yield name, value


def _ring_names(ring: Any) -> list[str]:
    """Names of the stored keys: a keyring cannot be listed, so it holds its own list."""
    names: list[str] = json.loads(_ring_get(ring, _INDEX) or "[]")
    return names


def _ring_get(ring: Any, name: str) -> str | None:
    try:
        found: str | None = ring.get_password(SERVICE, name)
    except ring.errors.KeyringError:
        return None
    return found


def _ring_set(name: str, value: str) -> bool:
    ring = _ring()
    if ring is None:
        return False
    try:
        ring.set_password(SERVICE, name, value)
        ring.set_password(SERVICE, _INDEX, json.dumps(sorted({*_ring_names(ring), name})))
    except ring.errors.KeyringError:
        return False
    return True


def _ring_delete(name: str) -> bool:
    ring = _ring()
    if ring is None or name not in _ring_names(ring):
        return False
    try:
        ring.delete_password(SERVICE, name)
        ring.set_password(SERVICE, _INDEX, json.dumps(sorted({*_ring_names(ring)} - {name})))
    except ring.errors.KeyringError:
        return False
    return True


def notebook_path(namespace: dict[str, Any]) -> Path:
    """The notebook's file as the server or the editor tells it; else the kernel's working folder."""
    for name in (namespace.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
        if name and (path := Path(str(name))).suffix == ".ipynb" and path.is_file():
            return path.resolve()
    return Path.cwd()
