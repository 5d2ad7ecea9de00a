"""Files of any format that can be read, each by what reads it best."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stack_core.apis.files import Files
from stack_core.providers._registry import provider
from stack_core.providers.file_processors._apart import read_apart
from stack_core.providers.file_processors._clean import as_asked
from stack_core.providers.file_processors._document import Document
from stack_core.providers.file_processors._formats import format_of
from stack_core.providers.file_processors._plain import read_html, read_notebook, read_text
from stack_core.providers.file_processors._processor import Processor, ProcessorConfig, Source

READERS: Mapping[str, Callable[[Path, str, str], Document]] = {
    "text": read_text,
    "html": read_html,
    "ipynb": read_notebook,
}
"""Formats that need no package; the others are read in a process of their own."""


class AutoConfig(ProcessorConfig):
    """How files are read and cut."""

    extract_metadata: bool = Field(True, description="Tell what a PDF says of itself: title, author, ….")
    clean_text: bool = Field(True, description="Mend what layout does to a PDF's text: spaces, hyphens, empty lines.")


@provider("inline::auto")
class AutoProcessor(Processor):
    """Text, Markdown, HTML, JSON, CSV and notebooks without a package, PDF by pypdf (extra `pdf`), docx, pptx, xlsx and
    epub by markitdown (extra `office`). The content says which it is, then the media type, then the name."""

    Config = AutoConfig
    NAME = "auto"
    TAKES: ClassVar[Mapping[str, type]] = {"password": str, "extract_metadata": bool, "clean_text": bool}

    def __init__(self, config: AutoConfig, files: Files | None) -> None:
        super().__init__(config, files)
        self._defaults = {"extract_metadata": config.extract_metadata, "clean_text": config.clean_text}

    async def _document(self, source: Source, options: Mapping[str, Any]) -> Document:
        kind = await asyncio.to_thread(format_of, source.path, source.media_type, source.name)
        if kind in READERS:
            return await asyncio.to_thread(READERS[kind], source.path, source.media_type, source.name)
        document = await read_apart(
            source.path, kind, source.name, seconds=self._seconds, password=options.get("password", "")
        )
        return as_asked(document, {**self._defaults, **options}) if kind == "pdf" else document
