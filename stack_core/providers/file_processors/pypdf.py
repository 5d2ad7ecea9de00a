"""PDF files by pypdf."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from stack_core.apis.files import Files
from stack_core.errors import InvalidRequest
from stack_core.providers._registry import provider
from stack_core.providers.file_processors._apart import read_apart
from stack_core.providers.file_processors._clean import as_asked
from stack_core.providers.file_processors._document import Document
from stack_core.providers.file_processors._formats import format_of
from stack_core.providers.file_processors._processor import Processor, ProcessorConfig, Source


class PdfConfig(ProcessorConfig):
    """How PDF files are read and cut."""

    extract_metadata: bool = Field(True, description="Tell what the file says of itself: title, author, ….")
    clean_text: bool = Field(True, description="Mend what layout does to the text: spaces, hyphens, empty lines.")


@provider("inline::pypdf", packages=("pypdf",), extra="pdf")
class PdfProcessor(Processor):
    """PDF files, page by page. Scans have no text: they need a processor that reads pictures."""

    Config = PdfConfig
    NAME = "pypdf"
    TAKES: ClassVar[Mapping[str, type]] = {"password": str, "extract_metadata": bool, "clean_text": bool}

    def __init__(self, config: PdfConfig, files: Files | None) -> None:
        super().__init__(config, files)
        self._defaults = {"extract_metadata": config.extract_metadata, "clean_text": config.clean_text}

    async def _document(self, source: Source, options: Mapping[str, Any]) -> Document:
        kind = await asyncio.to_thread(format_of, source.path, source.media_type, source.name)
        if kind != "pdf":
            raise InvalidRequest(f"{source.name} is no PDF", "the processor inline::auto reads other formats")
        document = await read_apart(
            source.path, kind, source.name, seconds=self._seconds, password=options.get("password", "")
        )
        return as_asked(document, {**self._defaults, **options})
