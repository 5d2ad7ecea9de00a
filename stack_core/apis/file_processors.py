"""From a file of any format to text and chunks, ready to be put into a vector store.

Shapes: OGX 0.8.0 (`/v1alpha/file-processors/process`).
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError, from_json

from stack_core.apis._chunking import Chunking
from stack_core.apis._content import Upload
from stack_core.apis._declare import route
from stack_core.apis._shapes import Open, Shape, Strict, absent


def _from_text(value: Any) -> Any:
    """What a form field means: it has texts alone, so an object comes as JSON."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return from_json(value)
    except ValueError as error:
        raise PydanticCustomError("json_invalid", "must be a JSON object: {why}", {"why": str(error)}) from error


class ProcessFile(Strict):
    """A file to read: uploaded with the call, or one that is kept."""

    file: Upload | None = Field(None, description="The file itself.")
    file_id: str | None = Field(None, description="Id of a kept file, in place of `file`.")
    options: Annotated[dict[str, Any] | None, BeforeValidator(_from_text)] = Field(
        None, description="The provider's own options, such as `password`; as JSON text in a form."
    )
    chunking_strategy: Annotated[Chunking | None, BeforeValidator(_from_text)] = Field(
        None, description="How to cut the text; without it all is one chunk. As JSON text in a form."
    )

    @model_validator(mode="after")
    def _one_source(self) -> ProcessFile:
        if (self.file is None) == (not self.file_id):
            raise PydanticCustomError("one_source", "give one of file and file_id")
        return self


class FileChunkMetadata(Open):
    """What is kept beside a chunk and not shown to a model."""

    chunk_id: str | None = Field(None, exclude_if=absent)
    document_id: str | None = Field(None, exclude_if=absent)
    source: str | None = Field(None, exclude_if=absent, description="Name of the file.")
    created_timestamp: int | None = Field(None, exclude_if=absent, description="Seconds since 1970.")
    updated_timestamp: int | None = Field(None, exclude_if=absent, description="Seconds since 1970.")
    chunk_window: str | None = Field(None, exclude_if=absent, description="`start-end` in characters of the text.")
    chunk_tokenizer: str | None = Field(None, exclude_if=absent)
    content_token_count: int | None = Field(None, exclude_if=absent)
    metadata_token_count: int | None = Field(None, exclude_if=absent)


class FileChunk(Open):
    """A part of a file's text. `metadata` may go to a model: `filename`, and `page` where the format has pages."""

    content: str
    chunk_id: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    chunk_metadata: FileChunkMetadata


class ProcessedFile(Shape):
    """The chunks of a file, one at least, and how they were made: `processor`, `extraction_method`, `page_count`, …."""

    chunks: list[FileChunk]
    metadata: dict[str, Any]


class FileProcessors(Protocol):
    """From a file of any format to text and chunks."""

    @route("POST", "/file-processors/process", level="v1alpha")
    async def process_file(self, request: ProcessFile) -> ProcessedFile:
        """Read a file and cut its text.

        Raises:
            InvalidRequest: it is damaged, encrypted, empty or of a format that cannot be read; names the file.
            NotFound: there is no kept file of this id.
            PayloadTooLarge: it is larger than can be read.
        """
        ...
