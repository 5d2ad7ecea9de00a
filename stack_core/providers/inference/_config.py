"""The config model of a row, made when a run file names it.

Fields have the names of Llama Stack 0.3.5; the names of OGX 0.8 and the attribute names seen in run files are accepted
for them. What is empty counts as not set, because that is what `${env.NAME:=}` leaves behind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, create_model, model_validator

from stack_core.errors import ConfigError, nearest
from stack_core.http import Network

if TYPE_CHECKING:
    from stack_core.providers.inference._row import Row

URL_NAMES = ("url", "base_url", "api_base", "openai_compat_api_base")
KEY_NAMES = ("api_key", "api_token", "auth_credential", "aws_bearer_token_bedrock", "aws_bedrock_bearer_token")
_VERSION = re.compile(r"/v\d+(alpha|beta)?\d*$")


class ServiceConfig(BaseModel):
    """What every service behind the adapter can be told."""

    model_config = ConfigDict(extra="forbid")
    row: ClassVar[Row]

    allowed_models: list[str] | None = Field(None, description="The only upstream model ids that may be called.")
    refresh_models: bool = Field(False, description="Ask for the model list anew every minute instead of every hour.")
    network: Network | None = Field(None, description="TLS, proxy, timeouts and headers.")

    @model_validator(mode="before")
    @classmethod
    def _tidy(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        out: dict[str, Any] = {}
        for given, value in data.items():
            if value is None or value == "":
                continue
            name = cls._field(str(given))
            if name in out and out[name] != value:
                raise ConfigError(f"{name} and {given} say different things", f"keep {name}", where=str(given))
            out[name] = value
        return out

    @classmethod
    def _field(cls, given: str) -> str:
        """The field that a name stands for."""
        if given in cls.model_fields:
            return given
        for names, field in ((URL_NAMES, cls.row.url_field), (KEY_NAMES, cls.row.key_field)):
            if given in names:
                return field
        close = nearest(given, {**cls.model_fields, "base_url": None})
        hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(sorted(cls.model_fields))}"
        raise ConfigError(f"{cls.row.type} has no config field {given!r}", hint, where=given)

    @property
    def address(self) -> str:
        """The configured address, or "" where none is set."""
        return str(getattr(self, self.row.url_field) or "")

    @property
    def key(self) -> str | None:
        """The configured key in the clear; never to be shown."""
        secret: SecretStr | None = getattr(self, self.row.key_field)
        return secret.get_secret_value().strip() if secret else None


@cache
def config_model(row: Row) -> type[ServiceConfig]:
    """The config model of a row."""
    fields: dict[str, Any] = {
        row.url_field: (str | None, Field(row.url or None, description="Where the service is.")),
        row.key_field: (SecretStr | None, Field(None, description=f"Key of the service ({row.key or 'optional'}).")),
    }
    fields |= {name: (kind, default) for name, (kind, default, _) in row.fields.items()}
    name = "".join(part.title() for part in re.split(r"\W+", row.name)) + "Config"
    model = create_model(name, __base__=ServiceConfig, __module__=__name__, **fields)
    model.row = row
    return model


def sample(row: Row) -> dict[str, Any]:
    """The config that reads everything from the environment, as run files write it."""
    out: dict[str, Any] = {}
    if row.url or row.url_env:
        out[row.url_field] = f"${{env.{row.url_env}:={row.url}}}" if row.url_env else row.url
    if row.key:
        out[row.key_field] = f"${{env.{row.key}:=}}"
    for name, (_, default, variable) in row.fields.items():
        if variable:
            text = str(default).lower() if isinstance(default, bool) else "" if default is None else str(default)
            out[name] = f"${{env.{variable}:={text}}}"
    return out


def full_base(address: str, suffix: str) -> str:
    """The prefix of all paths: the address with what is missing of `suffix`.

    `/openai/v1` completes `https://host` and `https://host/openai`; an address that already ends in a version stays.
    """
    base = (address if "://" in address else f"https://{address}").rstrip("/")
    try:
        parts = urlsplit(base)
        known = bool(parts.hostname) and (parts.port or 0) >= 0  # reading the port checks it
    except ValueError:
        known = False
    if not known:
        raise ConfigError(f"{address!r} is not an address", "write it like https://host/v1")
    if base.endswith(suffix) or "/deployments/" in base:
        return base
    steps = suffix.strip("/").split("/")
    for kept in range(len(steps) - 1, 0, -1):
        if base.endswith("/" + "/".join(steps[:kept])):
            return "/".join([base, *steps[kept:]])
    return base if _VERSION.search(base) else base + suffix
