"""Files that are kept, by id: uploaded, listed, read back, deleted, and gone when their time is over.

Shapes: OpenAI's files (2.3.0), which Llama Stack 0.3.5 and OGX 0.8 share.
"""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import Field

from stack_core.apis._content import FileContent, Upload
from stack_core.apis._declare import route
from stack_core.apis._shapes import Listing, Open, PageQuery, Shape, Strict, absent

Purpose = Literal[
    "assistants", "batch", "fine-tune", "vision", "user_data", "evals", "assistants_output", "batch_output",
    "fine-tune-results",
]  # fmt: skip
"""What a file is for. The last three are what the service itself writes with OpenAI; here a caller may, too."""


class ExpiresAfter(Strict):
    """When a file goes: so many seconds after its making."""

    anchor: Literal["created_at"]
    # A form has only texts, so a text of digits is a number here.
    seconds: int = Field(ge=3600, le=2592000, description="One hour to 30 days.")


class FileUpload(Strict):
    """A file to keep. Shape: OpenAI's multipart form."""

    file: Upload = Field(description="The content, with its name; at most 512 MB.")
    purpose: Purpose
    expires_after: ExpiresAfter | None = Field(None, description="Without it the provider's own time counts, if any.")


class FileQuery(PageQuery):
    """Which page of the files."""

    limit: int = Field(10000, ge=1, le=10000, description="Most files to give.")
    purpose: Purpose | None = Field(None, description="Only files of this purpose.")


class File(Open):
    """A kept file, without its content."""

    id: str
    object: Literal["file"] = "file"
    bytes: int = Field(description="Size of the content.")
    created_at: int = Field(description="Seconds since 1970.")
    expires_at: int | None = Field(None, exclude_if=absent, description="Seconds since 1970; absent where it stays.")
    filename: str
    purpose: Purpose
    status: Literal["uploaded", "processed", "error"] = Field("processed", description="Kept for older clients.")
    status_details: str | None = Field(None, exclude_if=absent, description="Kept for older clients.")


class FileList(Listing[File]):
    """Files, newest first unless asked otherwise."""


class DeletedFile(Shape):
    """What is said of a file that was deleted."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class Files(Protocol):
    """Files that are kept, by id. A file of another owner, or one whose time is over, is not found."""

    @route("POST", "/files", sdk="files.create")
    async def create_file(self, request: FileUpload) -> File:
        """Keep a file.

        Raises:
            PayloadTooLarge: it has more than 512 MB.
        """
        ...

    @route("GET", "/files", sdk="files.list")
    async def list_files(self, request: FileQuery) -> FileList:
        """The files there are."""
        ...

    @route("GET", "/files/{file_id}", sdk="files.retrieve")
    async def get_file(self, file_id: str) -> File:
        """One file, without its content.

        Raises:
            NotFound: there is none of this id.
        """
        ...

    @route("DELETE", "/files/{file_id}", sdk="files.delete")
    async def delete_file(self, file_id: str) -> DeletedFile:
        """Forget a file and its content.

        Raises:
            NotFound: there is none of this id.
        """
        ...

    @route("GET", "/files/{file_id}/content", sdk="files.content")
    async def get_file_content(self, file_id: str) -> FileContent:
        """The content of a file, to be read once.

        Raises:
            NotFound: there is none of this id.
        """
        ...
