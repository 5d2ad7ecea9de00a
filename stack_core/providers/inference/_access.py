"""How a call is let in: each service's own way to say who calls. The default is the key as a bearer token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from stack_core import context
from stack_core.errors import MissingCredential, MissingPackage, ProviderAuthFailed, ProviderUnavailable

if TYPE_CHECKING:
    from stack_core.providers.inference._upstream import Target, Upstream

IAM_URL = "https://iam.cloud.ibm.com/identity/token"
IAM_GRANT = "urn:ibm:params:oauth:grant-type:apikey"
CLOUD_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
NEVER_FORWARDED = frozenset({"host", "content-type", "content-length", "transfer-encoding", "cookie"})
EARLY = 60.0
"""Seconds before its end at which a token is renewed."""


@dataclass
class Call:
    """A request that is about to be sent; `admit` may change its address and headers."""

    method: str
    url: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Access(Protocol):
    """What a row names in `access`; made once for each provider, so that it may keep tokens."""

    async def admit(self, call: Call, target: Target, upstream: Upstream) -> None:
        """Put into `call` what the service wants to see."""
        ...


class Bearer:
    """The key as a bearer token, nothing where there is no key."""

    async def admit(self, call: Call, target: Target, upstream: Upstream) -> None:
        """Add the header."""
        if target.key:
            call.headers.setdefault("authorization", f"Bearer {target.key}")


class Azure:
    """Azure OpenAI: the v1 surface takes the key as a bearer token, the classic paths want `api-key` and a version."""

    async def admit(self, call: Call, target: Target, upstream: Upstream) -> None:
        """Add the header, and the version where the path is a classic one."""
        if "/deployments/" not in target.base:
            call.headers["authorization"] = f"Bearer {target.key}"
            return
        call.headers["api-key"] = str(target.key)
        if version := getattr(target.config, "api_version", None):
            call.url += f"?api-version={version}"


class Gemini:
    """The key or an OAuth token as a bearer token; with a token the project is named, too."""

    async def admit(self, call: Call, target: Target, upstream: Upstream) -> None:
        """Add the headers."""
        token = getattr(target.config, "access_token", None)
        call.headers["authorization"] = f"Bearer {token.get_secret_value() if token else target.key}"
        if token and (project := getattr(target.config, "project", None)):
            call.headers["x-goog-user-project"] = project


class Forwarding:
    """Another server behind ours: its static key, and headers that the run file lets through from provider data."""

    async def admit(self, call: Call, target: Target, upstream: Upstream) -> None:
        """Add the headers; the static key wins over a forwarded `Authorization`."""
        allowed: Mapping[str, str] = getattr(target.config, "forward_headers", None) or {}
        given = context.provider_data.get()
        blocked = {name.lower() for name in getattr(target.config, "extra_blocked_headers", ())}
        for name, header in allowed.items():
            if name in given and header.lower() not in blocked:
                call.headers[header.lower()] = str(given[name])
        if target.key:
            call.headers["authorization"] = f"Bearer {target.key}"


@dataclass
class _Token:
    text: str
    ends: float


class _Tokens:
    """Tokens by the key they were made from, renewed early, one renewal at a time."""

    def __init__(self, fetch: Callable[[Target, Upstream], Awaitable[_Token]]) -> None:
        self._fetch = fetch
        self._kept: dict[str, _Token] = {}
        self._lock = asyncio.Lock()

    async def get(self, target: Target, upstream: Upstream) -> str:
        """A token that is good for a minute at least."""
        name = target.key or ""
        async with self._lock:
            token = self._kept.get(name)
            if token is None or token.ends - EARLY < time.time():
                token = self._kept[name] = await self._fetch(target, upstream)
                while len(self._kept) > 64:  # keys of callers come and go
                    self._kept.pop(next(iter(self._kept)))
        return token.text


class Iam:
    """watsonx: an API key is exchanged for a token of an hour; every path takes a version."""

    def __init__(self) -> None:
        self._tokens = _Tokens(_iam_token)

    async def admit(self, call: Call, target: Target, upstream: Upstream) -> None:
        """Add the token and the version."""
        call.headers["authorization"] = f"Bearer {await self._tokens.get(target, upstream)}"
        call.url += f"{'&' if '?' in call.url else '?'}version=2023-10-25"


async def _iam_token(target: Target, upstream: Upstream) -> _Token:
    form = {"grant_type": IAM_GRANT, "apikey": target.key}
    response = await upstream.client.post(IAM_URL, data=form, headers={"accept": "application/json"})
    if response.status_code != 200:
        raise ProviderAuthFailed(
            f"{upstream.id}: IBM Cloud gave no token for the key (status {response.status_code})",
            f"check {upstream.row.key}",
            provider_id=upstream.id,
            upstream_status=response.status_code,
        )
    try:
        answer: dict[str, Any] = response.json()
        return _Token(answer["access_token"], float(answer.get("expiration") or time.time() + 3600))
    except (ValueError, KeyError, TypeError) as error:
        raise upstream.refusals.unreadable("there is no token in it", "IBM Cloud") from error


class GoogleDefault:
    """Vertex AI: a token that was given, else Application Default Credentials."""

    def __init__(self) -> None:
        self._tokens = _Tokens(_google_token)

    async def admit(self, call: Call, target: Target, upstream: Upstream) -> None:
        """Add the token."""
        token = target.key or await self._tokens.get(target, upstream)
        call.headers["authorization"] = f"Bearer {token}"


async def _google_token(target: Target, upstream: Upstream) -> _Token:
    auth = _package("google.auth", upstream.row.type, "vertex", "google-auth")
    transport = _package("google.auth.transport.requests", upstream.row.type, "vertex", "requests")

    def fetch() -> _Token:
        credentials, _ = auth.default(scopes=[CLOUD_SCOPE])
        credentials.refresh(transport.Request())
        expiry = credentials.expiry  # naive, in UTC
        ends = expiry.replace(tzinfo=UTC).timestamp() if expiry else time.time() + 3000
        return _Token(credentials.token, ends)

    who = f"{upstream.id} ({upstream.row.type})"
    try:
        return await asyncio.to_thread(fetch)
    except auth.exceptions.DefaultCredentialsError as error:
        raise MissingCredential(
            f"{who} has no Google credentials: {str(error)[:200]}",
            "run `gcloud auth application-default login`, or set VERTEX_AI_ACCESS_TOKEN",
        ) from error
    except auth.exceptions.TransportError as error:
        raise ProviderUnavailable(f"{who} cannot reach Google's token service", provider_id=upstream.id) from error
    except auth.exceptions.GoogleAuthError as error:
        raise ProviderAuthFailed(
            f"{who} got no token from Google: {str(error)[:200]}",
            "log in again with `gcloud auth application-default login`",
            provider_id=upstream.id,
        ) from error


class Aws:
    """Bedrock: a Bedrock API key as a bearer token, else a signature (SigV4) over the whole request."""

    def __init__(self) -> None:
        self._credentials: Any = None

    async def admit(self, call: Call, target: Target, upstream: Upstream) -> None:
        """Add the token, or sign."""
        if target.key:
            call.headers["authorization"] = f"Bearer {target.key}"
            return
        package = ("bedrock", "botocore")
        signing = _package("botocore.auth", upstream.row.type, *package)
        requests = _package("botocore.awsrequest", upstream.row.type, *package)
        if self._credentials is None:
            session = _package("botocore.session", upstream.row.type, *package)
            self._credentials = await asyncio.to_thread(_aws_credentials, session, target)
        if self._credentials is None:
            raise MissingCredential(
                f"{upstream.id} ({upstream.row.type}) has no AWS credentials",
                "set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        frozen = await asyncio.to_thread(self._credentials.get_frozen_credentials)
        request = requests.AWSRequest(call.method, call.url, data=call.body, headers=dict(call.headers))
        region = getattr(target.config, "region_name", None) or "us-east-2"
        signing.SigV4Auth(frozen, "bedrock", region).add_auth(request)  # the name is bedrock, not bedrock-runtime
        call.headers.update({name.lower(): value for name, value in request.headers.items()})


def _aws_credentials(session: Any, target: Target) -> Any:
    """What the config holds, else botocore's own chain (environment, profile, web identity, instance role)."""
    config = target.config
    aws = session.Session(profile=getattr(config, "profile_name", None))
    access, secret = getattr(config, "aws_access_key_id", None), getattr(config, "aws_secret_access_key", None)
    if access and secret:
        token = getattr(config, "aws_session_token", None)
        aws.set_credentials(
            access.get_secret_value(), secret.get_secret_value(), token.get_secret_value() if token else None
        )
    return aws.get_credentials()


def _package(module: str, needed_by: str, extra: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingPackage(package, needed_by=needed_by, extra=extra) from error
