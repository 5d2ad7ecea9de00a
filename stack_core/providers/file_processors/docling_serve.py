"""Files of any format by a docling server."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from pydantic import Field, SecretStr
from pydantic_core import from_json, to_json

from stack_core.apis.files import Files
from stack_core.apis.providers import ProviderId
from stack_core.errors import InvalidRequest, ProviderError
from stack_core.http import HTTPError, Network, open_client
from stack_core.providers._refusals import About, Refusals
from stack_core.providers._registry import provider
from stack_core.providers.file_processors._document import Document, Section
from stack_core.providers.file_processors._processor import Processor, ProcessorConfig, Source

PAGE_BREAK = "<!-- stack: page break -->"


class DoclingServeConfig(ProcessorConfig):
    """Where the server is."""

    base_url: str = "http://localhost:5001/v1"
    api_key: SecretStr | None = None
    network: Network | None = Field(None, description="TLS, proxy, timeouts and headers.")


@provider("remote::docling-serve", sample={"base_url": "${env.DOCLING_SERVE_URL:=http://localhost:5001/v1}"})
class DoclingServeProcessor(Processor):
    """Files of any format by a docling server. The options of a call go to it as they are (`do_ocr`, `ocr_lang`, …)."""

    Config = DoclingServeConfig
    NAME = "docling-serve"

    def __init__(self, config: DoclingServeConfig, files: Files | None, provider_id: ProviderId) -> None:
        super().__init__(config, files)
        self._base, self._id = config.base_url.rstrip("/"), provider_id
        self._key = config.api_key.get_secret_value() if config.api_key else ""
        self._client = open_client(network=config.network)
        self._refusals = Refusals(provider_id)

    async def __aenter__(self) -> DoclingServeProcessor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    def _check(self, options: Mapping[str, Any]) -> None:
        """The server knows its options; what we need of its answer is ours to say."""
        ours = {"to_formats", "md_page_break_placeholder"} & options.keys()
        if ours:
            raise InvalidRequest(f"options.{min(ours)} cannot be changed: the text is taken from Markdown")

    async def _document(self, source: Source, options: Mapping[str, Any]) -> Document:
        form = {name: _text(value) for name, value in options.items()}
        form |= {"to_formats": "md", "md_page_break_placeholder": PAGE_BREAK}
        headers = {"x-api-key": self._key} if self._key else {}
        try:
            with source.path.open("rb") as file:  # the client reads it in pieces as it sends
                files = {"files": (source.name, file, source.media_type)}
                url = f"{self._base}/convert/file"
                response = await self._client.post(url, data=form, files=files, headers=headers, timeout=self._seconds)
        except HTTPError as error:
            raise self._refusals.from_network(error, self._base) from error
        if response.status_code >= 300:
            about = About(secrets=(self._key,))
            raise self._refusals.from_response(response.status_code, response.content, response.headers, about)
        return self._read(response.content, source.name)

    def _read(self, body: bytes, name: str) -> Document:
        try:
            said = from_json(body)
            status, text = said["status"], said["document"]["md_content"]
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"{self._id} gave an answer that cannot be read", provider_id=self._id) from error
        if status not in ("success", "partial_success") or not isinstance(text, str):
            faults = "; ".join(str(fault.get("error_message", fault)) for fault in said.get("errors") or [])
            raise InvalidRequest(f"{name} cannot be read: {faults or status}", "it may be damaged")
        pages = text.split(PAGE_BREAK)
        if len(pages) == 1:
            return Document([Section(text)], "docling")
        return Document([Section(page, at) for at, page in enumerate(pages, 1)], "docling", pages=len(pages))


def _text(value: Any) -> Any:
    """An option as a form has it; lists repeat."""
    if isinstance(value, str):
        return value
    return [_text(item) for item in value] if isinstance(value, list) else to_json(value).decode()
