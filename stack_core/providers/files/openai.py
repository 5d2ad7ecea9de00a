"""Files that OpenAI keeps. Their ids are OpenAI's, so that its own models and jobs know them, too."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import from_json

from stack_core.apis._content import FileContent, Upload
from stack_core.apis.files import File, Purpose
from stack_core.apis.providers import ProviderId
from stack_core.errors import MissingCredential, NotFound, ProviderError
from stack_core.http import HTTPError, Network, Response, open_client
from stack_core.providers._refusals import About, Refusals
from stack_core.providers._registry import provider
from stack_core.providers.files._kept import Kept, KeptFiles, media_type_of, pieces_of, size_of
from stack_core.storage.references import SqlReference
from stack_core.storage.sql import Sql

AS_THERE: dict[Purpose, Purpose] = {
    "assistants_output": "assistants",
    "batch_output": "batch",
    "fine-tune-results": "fine-tune",
}
"""Purposes that OpenAI gives to what it writes itself, and takes from nobody."""


class OpenAIFilesConfig(BaseModel):
    """How OpenAI is reached."""

    model_config = ConfigDict(extra="forbid")
    api_key: SecretStr | None = None
    base_url: str = Field("https://api.openai.com/v1", description="Of another service that speaks the same API.")
    metadata_store: SqlReference | None = Field(None, description="Where names, owners and times are kept.")
    network: Network | None = Field(None, description="TLS, proxy, timeouts and headers.")


@provider("remote::openai", sample={"api_key": "${env.OPENAI_API_KEY:=}"})
class OpenAIFiles(KeptFiles):
    """Files that OpenAI keeps; whose they are is kept here. Only files that came in this way are found."""

    Config = OpenAIFilesConfig

    def __init__(self, config: OpenAIFilesConfig, metadata_store: Sql, provider_id: ProviderId) -> None:
        super().__init__(metadata_store, None)
        self._base, self._id = config.base_url.rstrip("/"), provider_id
        self._key = config.api_key.get_secret_value() if config.api_key else ""
        self._client = open_client(network=config.network)
        self._refusals = Refusals(provider_id)

    async def __aenter__(self) -> OpenAIFiles:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def _write(self, file: File, upload: Upload) -> Kept:
        texts: dict[str, str] = {"purpose": AS_THERE.get(file.purpose, file.purpose)}
        if file.expires_at is not None:
            texts |= {
                "expires_after[anchor]": "created_at",
                "expires_after[seconds]": str(file.expires_at - file.created_at),
            }
        head, tail, kind = form_around(texts, file.filename, media_type_of(upload))
        size = await size_of(upload)
        headers = {"content-type": kind, "content-length": str(len(head) + size + len(tail))}

        async def body() -> AsyncIterator[bytes]:
            yield head
            async for piece in pieces_of(upload):
                yield piece
            yield tail

        response = await self._send("POST", "/files", headers=headers, content=body())
        said = _file_of(await response.aread(), self._id)
        made = file.model_copy(update={name: said.get(name, getattr(file, name)) for name in ("id", "created_at")})
        made.bytes = size
        made.expires_at = said.get("expires_at") or file.expires_at
        return Kept(made, media_type_of(upload), made.id)

    async def _read(self, kept: Kept) -> FileContent:
        response = await self._send("GET", f"/files/{kept.place}/content")
        return FileContent(
            self._pieces(response),
            filename=kept.file.filename,
            media_type=kept.media_type,
            size=kept.file.bytes,
            close=response.aclose,
        )

    async def _remove(self, place: str) -> None:
        try:
            response = await self._send("DELETE", f"/files/{place}")
        except NotFound:  # its time is over there, too
            return
        await response.aclose()

    async def _pieces(self, response: Response) -> AsyncIterator[bytes]:
        try:
            async for piece in response.aiter_bytes():
                yield piece
        except HTTPError as error:
            raise self._refusals.from_network(error, self._base, streaming=True) from error

    async def _send(self, verb: str, path: str, **more: Any) -> Response:
        """The answer to a call, its body still to come.

        Raises:
            StackError: the call was refused or failed.
        """
        if not self._key:
            raise MissingCredential(f"{self._id} has no key", "set api_key, or the variable OPENAI_API_KEY")
        headers = {"authorization": f"Bearer {self._key}", **more.pop("headers", {})}
        request = self._client.build_request(verb, self._base + path, headers=headers, **more)
        try:
            response = await self._client.send(request, stream=True)
            if response.status_code < 300:
                return response
            body = await response.aread()
        except HTTPError as error:
            raise self._refusals.from_network(error, self._base) from error
        if response.status_code == 404:
            raise NotFound("file", path.split("/")[2] if path.count("/") > 1 else "", hint=f"{self._id} has it no more")
        raise self._refusals.from_response(response.status_code, body, response.headers, About(secrets=(self._key,)))


def form_around(texts: dict[str, str], filename: str, media_type: str) -> tuple[bytes, bytes, str]:
    """What stands before and after a file in a multipart form, and the form's content type."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
        for name, text in texts.items()
    ]
    shown = filename.replace('"', "%22")
    parts.append(
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{shown}"\r\n'
        f"content-type: {media_type}\r\n\r\n"
    )
    return "".join(parts).encode(), f"\r\n--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _file_of(body: bytes, provider_id: str) -> dict[str, Any]:
    try:
        said = from_json(body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("id"), str):
        raise ProviderError(f"{provider_id} gave an answer without a file's id", provider_id=provider_id)
    return said
