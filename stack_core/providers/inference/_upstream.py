"""The wire to one service: where a call goes, with which key, and what comes back or what error it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_core import from_json, to_json

from stack_core import context
from stack_core.errors import ConfigError, MissingCredential
from stack_core.http import Client, HTTPError, InvalidURL, Network, Response, open_client
from stack_core.providers._refusals import About, Refusals, error_in
from stack_core.providers.inference._access import Call
from stack_core.providers.inference._config import ServiceConfig, full_base


@dataclass(frozen=True)
class Target:
    """Where one call goes. `own` says that nothing in it comes from the caller, so that answers may be kept."""

    base: str
    key: str | None
    config: ServiceConfig
    own: bool = True

    @property
    def root(self) -> str:
        """The base without its suffix: where a server has what is outside the compatible part."""
        parts = urlsplit(self.base)
        path = parts.path.removesuffix(self.config.row.suffix)
        return f"{parts.scheme}://{parts.netloc}{path}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything in the configuration that must not show up in a message."""
        values = (getattr(self.config, name) for name in type(self.config).model_fields)
        return tuple(value.get_secret_value() for value in values if isinstance(value, SecretStr))

    @property
    def shown(self) -> str:
        """The address for messages: without path, user and password."""
        parts = urlsplit(self.base)
        return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"


class Upstream:
    """One provider's connection to its service: one pooled client, opened at the first call."""

    def __init__(self, config: ServiceConfig, provider_id: str) -> None:
        self.row, self.id = config.row, provider_id
        self.refusals = Refusals(provider_id, self.row.start)
        self._config = config
        self._access = self.row.access()
        self._client: Client | None = None
        self._own: Target | None = None

    @property
    def client(self) -> Client:
        """The pooled client; it belongs to the event loop of its first call."""
        if self._client is None or self._client.is_closed:
            attempts = getattr(self._config, "total_max_attempts", None) or 3
            self._client = open_client(network=_network(self._config), retries=attempts - 1)
        return self._client

    async def aclose(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()

    async def target(self) -> Target:
        """Where a call goes now: the configuration, with what the caller's provider data says in its place.

        Raises:
            MissingCredential: the service needs a key and there is none.
            ConfigError: no address is set, or the key cannot be sent.
        """
        given = context.provider_data.get()
        changes = (
            {field: given[name] for name, field in self.row.per_request.items() if given.get(name)} if given else {}
        )
        if not changes:
            if self._own is None:
                self._own = await self._resolve(self._config, own=True)
            return self._own
        row = self.row
        if row.url_field in changes and changes[row.url_field] != self._config.address:
            changes.setdefault(row.key_field, None)  # the configured key is not for an address of the caller's
        if changes.get(row.key_field):
            changes[row.key_field] = SecretStr(str(changes[row.key_field]))
        return await self._resolve(self._config.model_copy(update=changes), own=False)

    async def post(self, path: str, body: dict[str, Any], target: Target, model: str) -> Any:
        """The answer to a JSON body, read as JSON."""
        response = await self._send("POST", path, target, model, content=to_json(body))
        return self._read(response, target, model)

    async def get(self, path: str, target: Target, *, headers: Mapping[str, str] | None = None) -> Any:
        """What is at `path` (or at a whole URL), read as JSON."""
        response = await self._send("GET", path, target, "", headers=headers)
        return self._read(response, target, "")

    async def probe(self, url: str, target: Target) -> None:
        """Ask for `url`; an answer that is not a success is raised as an error."""
        await self._send("GET", url, target, "")

    async def open_stream(self, path: str, body: dict[str, Any], target: Target, model: str) -> Response:
        """The answer to a JSON body, its status checked and its body still to come; the caller closes it."""
        return await self._send("POST", path, target, model, content=to_json(body), stream=True)

    async def _send(
        self,
        method: str,
        path: str,
        target: Target,
        model: str,
        *,
        content: bytes = b"",
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        call = Call(method, path if "://" in path else target.base + path, content, dict(headers or ()))
        if content:
            call.headers["content-type"] = "application/json"
        if stream:
            call.headers["accept"], call.headers["accept-encoding"] = "text/event-stream", "identity"
        try:
            await self._access.admit(call, target, self)
            response = await self.client.exchange(method, call.url, content=content, headers=call.headers)
            if response.status_code >= 300:
                await self._refuse(response, About(model, target.secrets))
            return response if stream else await _whole(response)
        except (HTTPError, InvalidURL) as error:
            raise self.refusals.from_network(error, target.shown, streaming=False) from error

    async def _refuse(self, response: Response, about: About) -> None:
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        raise self.refusals.from_response(response.status_code, body, response.headers, about)

    def _read(self, response: Response, target: Target, model: str) -> Any:
        try:
            payload = from_json(response.content)
        except ValueError as error:
            raise self.refusals.unreadable("it is not JSON; is the address right?", model) from error
        if error_in(payload):
            raise self.refusals.from_payload(payload, About(model, target.secrets))
        return payload

    async def _resolve(self, config: ServiceConfig, *, own: bool) -> Target:
        row = self.row
        key = config.key
        draft = Target("", key, config, own)
        base = await row.locate(self, draft) if row.locate and not config.address else config.address
        if not base:
            variable = f", for example from the environment variable {row.url_env}" if row.url_env else ""
            raise ConfigError(f"{self.id} has no address", f"set {row.url_field} in its config{variable}")
        if not key and row.needs_key(base) and not getattr(config, "access_token", None):
            raise self._no_key()
        if key and not (key.isascii() and key.isprintable()):
            raise ConfigError(f"{self.id}: the key holds characters that no key has", "copy the key again")
        suffix = row.suffix if getattr(config, "append_api_version", True) else ""
        return Target(full_base(base, suffix), key, config, own)

    def _no_key(self) -> MissingCredential:
        row = self.row
        names = [name for name, field in row.per_request.items() if field == row.key_field]
        by_request = f", or send {names[0]} in the request's provider data" if names else ""
        return MissingCredential(
            f"{self.id} ({row.type}) needs a key and {row.key} is not set",
            f"set {row.key} and write {row.key_field}: ${{env.{row.key}}} in the provider's config{by_request}",
        )


async def _whole(response: Response) -> Response:
    """The response with its body; a call that is cancelled meanwhile gives its connection back too."""
    try:
        await response.aread()
    except BaseException:
        await response.aclose()
        raise
    return response


def _network(config: ServiceConfig) -> Network:
    """The connection settings, with the older fields that say the same: `timeout`, `tls_verify`, bedrock's two."""
    given = config.network or Network()
    verify = getattr(config, "tls_verify", True)
    read = getattr(config, "read_timeout", None) or getattr(config, "timeout", None)
    out = given.model_dump(exclude_none=True)
    if verify is not True and "tls" not in out:
        out["tls"] = {"verify": verify}
    if read and "timeout" not in out:
        connect = getattr(config, "connect_timeout", None)
        out["timeout"] = {"read": read, **({"connect": connect} if connect else {})}
    return Network.model_validate(out)
