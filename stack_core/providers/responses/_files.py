"""Images and files of an input, as the parts of a chat message."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from stack_core.apis._content import Upload
from stack_core.apis.file_processors import FileProcessors, ProcessFile
from stack_core.apis.files import Files
from stack_core.errors import InvalidRequest, PayloadTooLarge, Unsupported

MOST_IMAGE = 20 * 1024 * 1024
"""Bytes of a kept image that is sent to a model."""
_DETAILS = ("low", "high", "auto")
"""What chat completions know; `original` is `high` there."""


class FileReader:
    """Fetches content through the Files and File Processors APIs."""

    def __init__(self, files: Files | None, processors: FileProcessors | None) -> None:
        self._files, self._processors = files, processors

    async def image(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """An image: its URL as it is given, or a kept file's content in a `data:` URL.

        Raises:
            InvalidRequest: it names neither, or both.
            NotFound: there is no such file.
        """
        url, file_id = part.get("image_url"), part.get("file_id")
        if (url is None) == (file_id is None):
            raise InvalidRequest("input: an input_image needs image_url or file_id", "give one of the two")
        image = {"url": url if url is not None else await self._data_url(file_id or "")}
        if (detail := part.get("detail")) is not None:
            image["detail"] = detail if detail in _DETAILS else "high"
        return {"type": "image_url", "image_url": image}

    async def file(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """A file: its text, with its name around it.

        Raises:
            InvalidRequest: it names no content, or several, or cannot be read.
            NotFound: there is no such file.
            Unsupported: it is given by URL.
        """
        given = [name for name in ("file_id", "file_data", "file_url") if part.get(name) is not None]
        if len(given) != 1:
            raise InvalidRequest("input: an input_file needs file_id or file_data", "give one of the two")
        if given == ["file_url"]:
            hint = "upload it with files.create and give its file_id, or give file_data"
            raise Unsupported("input: input_file.file_url is not available: this stack fetches no addresses", hint)
        if self._processors is None:
            raise Unsupported("input: files cannot be read here", "add a provider under providers.file_processors")
        if given == ["file_id"]:
            request = ProcessFile(file_id=part["file_id"])
        else:
            name = part.get("filename") or "file.txt"
            request = ProcessFile(file=Upload.of((name, _bytes(part["file_data"]))))
        found = await self._processors.process_file(request)
        text = "\n".join(chunk.content for chunk in found.chunks)
        name = str(found.chunks[0].metadata.get("filename") or part.get("filename") or part.get("file_id"))
        return {"type": "text", "text": f"File {name}:\n{text}\nEnd of file {name}.\n"}

    async def _data_url(self, file_id: str) -> str:
        if self._files is None:
            raise Unsupported("input: there are no kept files here", "add a provider under providers.files")
        content = await self._files.get_file_content(file_id)
        if content.size is not None and content.size > MOST_IMAGE:
            await content.aclose()
            raise PayloadTooLarge(f"{content.filename} is over {MOST_IMAGE // 1024**2} MB", "make the image smaller")
        body = base64.b64encode(await content.read()).decode()
        return f"data:{content.media_type};base64,{body}"


def _bytes(data: str) -> bytes:
    """What `file_data` holds: base64, alone or in a `data:` URL."""
    body = data.partition(",")[2] if data.startswith("data:") else data
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"input: file_data is no base64: {error}") from error
