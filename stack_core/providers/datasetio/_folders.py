"""Which files of this machine a caller may have read: those below certain folders, links resolved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stack_core.errors import AccessDenied, InvalidRequest, NotFound, StackError


class Folders:
    """The folders below which files are read.

    Args:
        roots: the folders; None for the working directory, unless that is the whole file system.
        owner: the provider's type, for errors.
    """

    def __init__(self, roots: Sequence[Path] | None, owner: str) -> None:
        here = Path.cwd()
        given = roots if roots is not None else [here] if here != Path(here.anchor) else []
        self._roots = [root.expanduser().resolve() for root in given]
        self._owner = owner

    def resolve(self, path: str) -> Path:
        """The file or folder at a path, a relative one from the first of the folders.

        Raises:
            AccessDenied: it lies outside; whether it exists is not told.
            NotFound: there is none; names the nearest.
        """
        if "\0" in path:
            raise InvalidRequest("a path cannot hold a null character")
        start = self._roots[0] if self._roots else Path.cwd()
        try:
            found = (start / Path(path).expanduser()).resolve()
        except (OSError, RuntimeError) as error:
            raise InvalidRequest(f"{path}: {error}") from error
        if not any(found.is_relative_to(root) for root in self._roots):
            allowed = ", ".join(map(str, self._roots)) or "none"
            raise AccessDenied(
                f"{path} lies outside the folders that {self._owner} may read ({allowed})",
                "add its folder to `roots` in the provider's config",
            )
        if not found.exists():
            beside = [entry.name for entry in found.parent.iterdir()] if found.parent.is_dir() else []
            raise NotFound("file", path, beside, None if beside else f"relative paths begin at {start}")
        return found

    def has(self, path: str) -> bool:
        """Whether there is something at a path that may be read."""
        try:
            self.resolve(path)
        except StackError:
            return False
        return True

    def file(self, path: str) -> Path:
        """As `resolve`, for a file.

        Raises:
            InvalidRequest: it is a folder or a device.
        """
        found = self.resolve(path)
        if not found.is_file():
            raise InvalidRequest(f"{path} is not a file", "give the path of one file")
        return found
