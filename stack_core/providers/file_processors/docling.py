"""Files of any format by docling, which sees layout, tables and, by OCR, scans."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

from stack_core.apis.files import Files
from stack_core.errors import InvalidRequest
from stack_core.providers._registry import provider
from stack_core.providers.file_processors._document import Document, Section
from stack_core.providers.file_processors._processor import Processor, ProcessorConfig, Source


@provider("inline::docling", packages=("docling",), extra="docling")
class DoclingProcessor(Processor):
    """Files of any format by docling, as Markdown, page by page where the format has pages. Its models are loaded with
    the first file."""

    Config = ProcessorConfig
    NAME = "docling"
    TAKES: ClassVar[Mapping[str, type]] = {}

    def __init__(self, config: ProcessorConfig, files: Files | None) -> None:
        super().__init__(config, files)
        self._converter: Any = None
        self._turn = asyncio.Lock()
        """Its models take one file at a time."""

    async def _document(self, source: Source, options: Mapping[str, Any]) -> Document:
        async with self._turn:
            return await asyncio.to_thread(self._convert, source)

    def _convert(self, source: Source) -> Document:
        errors = import_module("docling.exceptions")
        streams = import_module("docling.datamodel.base_models")
        if self._converter is None:
            self._converter = import_module("docling.document_converter").DocumentConverter()
        try:
            stream = streams.DocumentStream(name=source.name, stream=io.BytesIO(source.path.read_bytes()))
            document = self._converter.convert(stream).document
        except (errors.BaseError, OSError, ValueError) as error:
            raise InvalidRequest(f"{source.name} cannot be read: {error}", "it may be damaged") from error
        numbers = sorted(document.pages)
        if not numbers:
            return Document([Section(document.export_to_markdown())], "docling")
        sections = [Section(document.export_to_markdown(page_no=number), number) for number in numbers]
        return Document(sections, "docling", pages=len(numbers))
