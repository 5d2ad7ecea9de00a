"""A multipart form as a client sends it: the texts first, then the file, read from its place piece by piece."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from stack_core.apis._content import Upload
from stack_core.wire.forms import FORM
from stack_core.wire.queries import pairs


class FormBody:
    """The body of one request.

    Args:
        values: fields by name; None is left out.
        field: the name under which the file goes, where there is one.
    """

    def __init__(self, values: Mapping[str, Any], field: str, upload: Upload | None) -> None:
        self._boundary = secrets.token_hex(16)
        self._upload = upload
        self.content_type = f"{FORM}; boundary={self._boundary}"
        texts = [self._head(name) + text.encode() + b"\r\n" for name, text in pairs(values)]
        self._before, self._after = b"".join(texts), f"--{self._boundary}--\r\n".encode()
        if upload is not None:
            kind = upload.media_type.encode("latin-1", "replace").replace(b"\r", b"").replace(b"\n", b"")
            name = f'; filename="{_escaped(upload.filename)}"'
            self._before += self._head(field, name, b"content-type: " + kind + b"\r\n")
            self._after = b"\r\n" + self._after

    async def size(self) -> int:
        """Bytes of the whole body."""
        content = await self._upload.size() if self._upload else 0
        return len(self._before) + content + len(self._after)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._before
        if self._upload is not None:
            async for piece in self._upload.chunks():
                yield piece
        yield self._after

    def _head(self, name: str, more: str = "", line: bytes = b"") -> bytes:
        disposition = f'--{self._boundary}\r\ncontent-disposition: form-data; name="{_escaped(name)}"{more}\r\n'
        return disposition.encode() + line + b"\r\n"


def _escaped(name: str) -> str:
    """As browsers do: nothing in a name can end the quoted text or its line."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def disposition(filename: str) -> str:
    """The `content-disposition` of a file that is sent to be saved (RFC 6266), for any name."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"
