"""The run configuration: Llama Stack's run file (version 2, as of 0.3.5), and the short form, which expands to it.

`load_config` takes a distribution's name, a file, YAML text or a mapping. Faults carry their path in the file and,
where the source is YAML, its line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stack_core import extends, short_form
from stack_core.errors import ConfigError, nearest
from stack_core.redaction import redact, secrets_in
from stack_core.substitution import Substitution, Unset
from stack_core.yaml_text import compose, read_yaml

VERSION = 2
"""The version of the run file that is read here."""


class Section(BaseModel):
    """A part of the run file. An unknown key is a mistake, not a comment."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ProviderEntry(Section):
    """One provider. `module` names the module of a third party's provider."""

    provider_id: str | None = None
    provider_type: str
    config: dict[str, Any] = Field(default_factory=dict)
    module: str | None = None


class StoreReference(BaseModel):
    """Which backend keeps something, and under which namespace or table name."""

    model_config = ConfigDict(extra="allow", frozen=True)
    backend: str
    namespace: str | None = None
    table_name: str | None = None


class Stores(BaseModel):
    """Where the stack itself keeps what it must remember."""

    model_config = ConfigDict(extra="allow", frozen=True)
    metadata: StoreReference | None = None
    inference: StoreReference | None = None
    conversations: StoreReference | None = None
    traces: StoreReference | None = None


class Storage(Section):
    """Backends by name, and what uses which."""

    backends: dict[str, dict[str, Any]] = Field(default_factory=dict)
    stores: Stores = Field(default_factory=Stores)


class ModelEntry(BaseModel):
    """A registered model; `metadata.price` may hold `{input, output}` in US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    model_id: str
    provider_id: str | None = None
    provider_model_id: str | None = None
    model_type: Literal["llm", "embedding", "rerank"] = "llm"
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("metadata")
    @classmethod
    def _price_is_readable(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        """A price that cannot be counted with would fail every call instead of the declaration."""
        price = metadata.get("price")
        known = isinstance(price, dict) and price.keys() <= {"input", "output"}
        if price is not None and not (known and all(isinstance(rate, int | float) for rate in price.values())):
            raise ValueError("price must be {input, output} in US dollars per million tokens")
        return metadata


class Resources(BaseModel):
    """What the stack registers when it opens. Kinds of APIs that this version does not have are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)
    models: list[ModelEntry] = Field(default_factory=list)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """What is registered of a kind other than models, as it stands in the file."""
        return list((self.model_extra or {}).get(kind) or [])


class Server(BaseModel):
    """Where and how the server listens."""

    model_config = ConfigDict(extra="allow", frozen=True)
    port: int = Field(8321, ge=0, le=65535)
    host: str | None = None
    tls_certfile: str | None = None
    tls_keyfile: str | None = None
    tls_cafile: str | None = None
    workers: int = Field(1, ge=1, description="Processes that share the port; they need stores that all can reach.")
    max_body_bytes: int = Field(100 * 1024 * 1024, ge=1, description="Largest request body, also when unpacked.")
    max_upload_bytes: int = Field(512 * 1024 * 1024, ge=1, description="Largest file that may be sent.")
    request_timeout: float | None = Field(
        3600, gt=0, description="Seconds until an answer, or the first piece of a stream; none: no limit."
    )
    stream_timeout: float | None = Field(None, gt=0, description="Seconds that a stream may last; none: no limit.")
    compress: bool = Field(True, description="Whether answers are sent as gzip or zstd to clients that take those.")
    metrics: bool = Field(True, description="Whether /metrics tells Prometheus of the server's work.")
    log_format: Literal["text", "json"] = Field("text", description="json: one object a line, and a line a request.")
    auth: dict[str, Any] | None = None
    cors: bool | dict[str, Any] | None = None
    quota: dict[str, Any] | None = None


class TelemetryConfig(BaseModel):
    """Whether calls are traced, and whether the local store keeps what was said."""

    model_config = ConfigDict(extra="allow", frozen=True)
    enabled: bool = True
    content: bool = True


class Budget(Section):
    """What a stack may spend from its opening on: US dollars (of models whose price is known) or tokens."""

    usd: float | None = Field(None, gt=0)
    tokens: int | None = Field(None, gt=0)


@dataclass(frozen=True)
class Off:
    """A provider that the run file has and an unset variable switched off."""

    api: str
    provider_id: str
    provider_type: str
    variable: str


class RunConfig(Section):
    """A run configuration after expansion and substitution."""

    version: int | str = 2
    image_name: str
    description: str | None = None
    container_image: str | None = None
    apis: list[str] | None = None
    providers: dict[str, list[ProviderEntry]] = Field(default_factory=dict)
    storage: Storage = Field(default_factory=Storage)
    registered_resources: Resources = Field(default_factory=Resources)
    server: Server = Field(default_factory=Server)
    telemetry: TelemetryConfig = Field(default_factory=TelemetryConfig)
    vector_stores: dict[str, Any] | None = None
    safety: dict[str, Any] | None = None
    logging: dict[str, Any] | None = None
    external_providers_dir: str | None = None
    external_apis_dir: str | None = None
    default_model: str | None = None
    budget: Budget | None = None
    unset: tuple[Unset, ...] = Field((), exclude=True)
    off: tuple[Off, ...] = Field((), exclude=True)
    source: str | None = Field(None, exclude=True)

    @property
    def name(self) -> str:
        """How people call the stack."""
        return self.image_name

    @property
    def aliases(self) -> dict[str, str]:
        """Model ids that this file gives → provider_id/upstream_id."""
        return {
            entry.model_id: f"{entry.provider_id}/{entry.provider_model_id or entry.model_id}"
            for entry in self.registered_resources.models
        }

    def enabled(self, api: str) -> bool:
        """Whether the `apis` list, where there is one, names the API."""
        return self.apis is None or api in self.apis

    def redacted(self) -> dict[str, Any]:
        """Plain data with every secret masked."""
        shown: dict[str, Any] = redact(self.model_dump(mode="json", exclude_none=True))
        return shown

    def secrets(self) -> set[str]:
        """Secret texts that must be scrubbed from whatever is emitted."""
        return secrets_in(self.model_dump(mode="json"))


def load_config(source: str | Path | Mapping[str, Any], env: Mapping[str, str] | None = None) -> RunConfig:
    """Read a run configuration; `env` adds to the environment, which wins.

    Raises:
        ConfigError: with the file, the line and column or the path, and what to do. Variables that are not set are
            collected in `unset` and refused when the stack opens, so that a file can be looked at without them.
    """
    raw, label, text = _read(source)
    try:
        return _build(raw, label, {**(env or {}), **os.environ})
    except RecursionError:
        raise ConfigError(
            f"{label or 'the cell'} holds itself", "a YAML alias may not stand inside its anchor"
        ) from None
    except ConfigError as error:
        # Rows of a file that extends another one stand elsewhere in the whole than in its text.
        whole = bool(text) and not re.search(r"^extends:", text or "", re.MULTILINE)
        line = _line(text, error.where) if text and whole and error.where else None
        if line is None and label is None:
            raise
        place = f"{label or 'the cell'}{f', line {line}' if line else ''}"
        raise type(error)(f"{place}: {error.message}", error.hint) from error.__cause__


def full_form(source: str | Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A run file in full, with what it extends and its variables as they are written.

    Raises:
        ConfigError: no such distribution, or the file is wrong.
    """
    load_config(source, env)
    raw, _, _ = _read(source)
    return {"version": VERSION, **_expanded(raw, {**(env or {}), **os.environ})}


def _read(source: str | Path | Mapping[str, Any]) -> tuple[Any, str | None, str | None]:
    """(plain data, what to call the source, its text)"""
    from stack_core import distributions

    if isinstance(source, Mapping):
        return dict(source), None, None
    if isinstance(source, str) and "\n" in source:
        return read_yaml(source), None, source
    path = Path(source).expanduser()
    if isinstance(source, str) and source in distributions.names():
        path = distributions.path(source)
    if not path.is_file():
        close = nearest(str(source), distributions.names())
        hint = f"did you mean {' or '.join(close)}?" if close else f"distributions: {', '.join(distributions.names())}"
        raise ConfigError(f"{str(source)!r} is neither a distribution nor a file", hint)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    raw = read_yaml(text, str(path))
    if isinstance(raw, dict) and "distribution_spec" in raw:
        raw = short_form.from_build_file(raw, path.parent.name)
    if isinstance(raw, dict) and isinstance(base := raw.get("extends"), str) and (path.parent / base).is_file():
        raw["extends"] = str(path.parent / base)
    return raw, path.name, text


def _expanded(raw: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """The full form, with what it extends."""

    def read(name: str) -> tuple[Mapping[str, Any], str]:
        found, label, _ = _read(name)
        if not isinstance(found, dict):
            raise ConfigError(f"{name} is no run file", where="extends")
        return found, label or name

    first, *others = extends.chain(raw, read)
    full = short_form.expand(first, env)
    for link in others:
        given = {key: value for key, value in link.items() if key not in ("extends", "without")}
        added = short_form.expand({"providers": {}, **given}, env, storage=False)
        full = extends.extend(full, added, without=link.get("without"))
    return full


def _build(raw: Any, label: str | None, env: Mapping[str, str]) -> RunConfig:
    if not isinstance(raw, dict):
        kind = "empty" if raw is None else f"a {type(raw).__name__}"
        raise ConfigError(
            f"a stack is declared by a mapping, and this is {kind}", "begin with `name: lab`; to ask, use %%stack ask"
        )
    if str(raw.get("version") or VERSION) != str(VERSION):
        raise ConfigError(
            f"run files of version {raw['version']} are not read here", f"write version: {VERSION}", where="version"
        )
    substitution = Substitution(env)
    full = _expanded(raw, env)
    data = substitution.apply(full)
    off = tuple(_off(full["providers"], data["providers"]))
    data["providers"] = {api: [row for row in rows if not _is_off(row)] for api, rows in data["providers"].items()}
    resources = data.get("registered_resources")
    if isinstance(resources, dict):
        data["registered_resources"] = {k: _registered(rows) for k, rows in resources.items() if rows is not None}
    try:
        config = RunConfig.model_validate({**data, "unset": tuple(substitution.unset), "off": off, "source": label})
    except ValidationError as error:
        raise _fault(error) from error
    return config


def _is_off(row: Any) -> bool:
    return isinstance(row, dict) and row.get("provider_id") in ("", None, "__disabled__")


def _off(before: Mapping[str, list[Any]], after: Mapping[str, list[Any]]) -> Iterator[Off]:
    """The providers whose id came out empty, with the variable that would switch them on."""
    for api, rows in after.items():
        for row, written in zip(rows, before[api], strict=True):
            if _is_off(row) and (match := short_form.CONDITIONAL.fullmatch(str(written.get("provider_id")))):
                yield Off(api, match[2], str(row.get("provider_type")), match[1])


def _registered(rows: Any) -> Any:
    """Without those whose provider a variable switched off: their provider id came out empty."""
    if not isinstance(rows, list):
        return rows
    return [r for r in rows if not (isinstance(r, dict) and "provider_id" in r and not r["provider_id"])]


def _fault(error: ValidationError) -> ConfigError:
    """The first fault as an error with a path; the others follow in the message."""
    lines = []
    for fault in error.errors():
        path = _path(fault["loc"])
        message = fault["msg"]
        if fault["type"] == "extra_forbidden":
            close = nearest(str(fault["loc"][-1]), _keys_at(fault["loc"]))
            message = "unknown key" + (f", did you mean {close[0]!r}?" if close else "")
        lines.append((path, message))
    where, first = lines[0]
    more = "".join(f"; {path}: {message}" for path, message in lines[1:6])
    return ConfigError(first + more, "stack-core show notebook prints a complete run file", where=where)


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that stand beside an unknown one."""
    models: dict[str, type[BaseModel]] = {"providers": ProviderEntry, "storage": Storage, "budget": Budget}
    model = RunConfig if len(loc) == 1 else models.get(str(loc[0]), RunConfig)
    return list(model.model_fields)


def _path(loc: tuple[int | str, ...]) -> str:
    out = ""
    for part in loc:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


def _line(text: str, where: str) -> int | None:
    """The line of a path such as `providers.inference[0].config.url`; of its nearest parent where it is not there."""
    node = compose(text)
    line: int | None = None
    for part in where.replace("[", ".[").split("."):
        found = _child(node, part)
        if found is None:
            break
        node, line = found
    return line


def _child(node: Any, part: str) -> tuple[Any, int] | None:
    if part.startswith("[") and isinstance(node, yaml.SequenceNode):
        index = int(part[1:-1])
        if index < len(node.value):
            return node.value[index], node.value[index].start_mark.line + 1
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return value, key.start_mark.line + 1
    return None
