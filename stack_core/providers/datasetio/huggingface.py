"""Rows of data sets at Hugging Face, or saved by its package in a folder: `huggingface://datasets/name?split=train`.

The package keeps what it downloads in its own cache, and `HF_HUB_OFFLINE` keeps it from asking. Appended rows are kept
in the key-value store; nothing is pushed to the hub.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from stack_core.apis.datasetio import DatasetIO, RowPage
from stack_core.apis.datasets import Datasets, URIDataSource
from stack_core.errors import InvalidRequest, NotFound, ProviderUnavailable, nearest
from stack_core.providers._registry import provider
from stack_core.providers.datasetio._appended import Appended
from stack_core.providers.datasetio._folders import Folders
from stack_core.providers.datasetio._hosts import Hosts
from stack_core.providers.datasetio._pages import page_of
from stack_core.providers.datasetio._values import plain
from stack_core.storage.kv import KeyValue
from stack_core.storage.references import KVReference

Rows = list[dict[str, Any]]
OPTIONS = ("split", "name", "revision", "data_dir", "data_files")
"""What the query of an address may say: arguments of `datasets.load_dataset`."""
FORMATS = ("csv", "json", "parquet", "text", "arrow")
"""Names that stand for a format: `huggingface://datasets/csv?data_files=rows.csv`."""
REMOTE = ("https://", "http://", "hf://")
"""How an address of data files may begin."""
MOST_OPEN = 16


class HuggingFaceConfig(BaseModel):
    """Fields of Llama Stack 0.3.5 (`kvstore`), and what may be read."""

    model_config = ConfigDict(extra="forbid")
    kvstore: KVReference | None = Field(None, description="Where appended rows are kept.")
    roots: list[Path] | None = Field(
        None, description="Folders below which local files may be read; the working directory where left out."
    )
    private_hosts: bool | None = Field(
        None, description="Whether data files of the own network are read; left out: where no caller is known."
    )


@provider("remote::huggingface", packages=("datasets",), extra="huggingface")
class HuggingFace(DatasetIO):
    """Rows of data sets at Hugging Face."""

    Config = HuggingFaceConfig

    def __init__(self, config: HuggingFaceConfig, datasets: Datasets, kvstore: KeyValue) -> None:
        self._datasets, self._appended = datasets, Appended(kvstore)
        self._folders = Folders(config.roots, "remote::huggingface")
        self._hosts = Hosts(config.private_hosts)
        self._loaded: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    async def iterrows(self, dataset_id: str, start_index: int | None = None, limit: int | None = None) -> RowPage:
        """Rows from an index on, those of the source first, then the appended ones."""
        source = (await self._datasets.get_dataset(dataset_id=dataset_id)).source
        if not isinstance(source, URIDataSource):
            raise InvalidRequest(
                f"{dataset_id} has rows of its own, and remote::huggingface reads addresses",
                "register it with inline::localfs",
            )
        files = _address(source.uri)[1].get("data_files", "")
        if files.startswith(("http://", "https://")):
            await self._hosts.check(files)
        table = HubTable(await asyncio.to_thread(self._open, source.uri))
        return await page_of(dataset_id, table, self._appended, start_index, limit)

    async def append_rows(self, dataset_id: str, rows: Rows) -> None:
        """Add rows at the end. They are durable when the call returns; the source is left as it is."""
        await self._appended.add(dataset_id, rows)

    async def forget_rows(self, dataset_id: str) -> None:
        """Drop appended rows (`KeepsRows`)."""
        await self._appended.forget(dataset_id)

    def _open(self, uri: str) -> Any:
        """The data set at an address; one at a time, for the package's cache is shared."""
        with self._lock:
            if uri not in self._loaded:
                self._loaded[uri] = self._load(uri)
                if len(self._loaded) > MOST_OPEN:
                    self._loaded.popitem(last=False)
            return self._loaded[uri]

    def _load(self, uri: str) -> Any:
        path, options = _address(uri)
        options.setdefault("split", "train")
        _refuse_escapes(path, options)
        from datasets import load_dataset  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra
        from datasets.exceptions import (  # type: ignore[import-not-found,import-untyped,unused-ignore]  # an extra
            DatasetGenerationError,
            DatasetNotFoundError,
        )

        try:
            if path not in FORMATS and self._is_local(path):
                return self._saved(path, options)
            if path in FORMATS and "://" not in options.get("data_files", "://"):
                options["data_files"] = str(self._folders.file(options["data_files"]))
            return _undecoded(load_dataset(path, **options))
        except DatasetNotFoundError as error:
            raise NotFound("data set of Hugging Face", path, hint=str(error)) from error
        except DatasetGenerationError as error:
            raise InvalidRequest(f"{path}: {error.__cause__ or error}", "look at its files") from error
        except (ValueError, FileNotFoundError) as error:
            raise InvalidRequest(f"{path}: {error}", "look at its splits and files") from error
        except OSError as error:
            hint = "is the network there? HF_HUB_OFFLINE=1 reads from the cache alone"
            raise ProviderUnavailable(f"{path} cannot be loaded: {error}", hint) from error

    def _is_local(self, path: str) -> bool:
        """Whether a name means a folder here: the package itself looks below the working directory."""
        return path.startswith(("/", ".", "~")) or Path(path).exists() or self._folders.has(path)

    def _saved(self, path: str, options: dict[str, str]) -> Any:
        """A folder that `save_to_disk` wrote, or one of data files."""
        from datasets import DatasetDict, load_dataset, load_from_disk

        folder = self._folders.resolve(path)
        if not any((folder / name).exists() for name in ("state.json", "dataset_dict.json")):
            return _undecoded(load_dataset(str(folder), **options))
        found = load_from_disk(str(folder))
        if isinstance(found, DatasetDict):
            if options["split"] not in found:
                raise NotFound(f"split of {path}", options["split"], [str(name) for name in found])
            found = found[options["split"]]
        return _undecoded(found)


@dataclass(frozen=True)
class HubTable:
    """A `datasets.Dataset` as a table."""

    dataset: Any

    def page(self, start: int, limit: int | None) -> Rows:
        """At most `limit` rows from index `start` on."""
        end = self.count() if limit is None else min(start + limit, self.count())
        if start >= end:
            return []
        columns = self.dataset[start:end]
        return [plain(dict(zip(columns, values, strict=True))) for values in zip(*columns.values(), strict=True)]

    def count(self) -> int:
        """How many rows there are."""
        return len(self.dataset)


def _address(uri: str) -> tuple[str, dict[str, str]]:
    """The path and the options of an address.

    Raises:
        InvalidRequest: it is another kind of address, or has an option that is not known.
    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise InvalidRequest(f"uri: {error}", "huggingface://datasets/name?split=train") from error
    path = unquote(f"{parts.netloc}{parts.path}").removeprefix("datasets/")
    if parts.scheme != "huggingface" or not path:
        raise InvalidRequest(f"uri: {uri} is no data set of Hugging Face", "huggingface://datasets/name?split=train")
    options = dict(parse_qsl(parts.query))
    for name in options:
        if name not in OPTIONS:
            close = nearest(name, OPTIONS)
            hint = f"did you mean {close[0]}?" if close else f"it may have {', '.join(OPTIONS)}"
            raise InvalidRequest(f"uri: unknown option {name!r}", hint)
    return path, options


def _refuse_escapes(path: str, options: dict[str, str]) -> None:
    """The package would read any file of this machine that an option names.

    Raises:
        InvalidRequest: an option leads out of the data set.
    """
    files = options.get("data_files")
    if path in FORMATS and (files is None or "data_dir" in options):
        raise InvalidRequest(f"uri: {path} takes data_files", f"huggingface://datasets/{path}?data_files=rows.{path}")
    for name in ("data_files", "data_dir"):
        value = options.get(name, "")
        if name == "data_files" and value.startswith(REMOTE) and "::" not in value:
            continue
        inside = path in FORMATS or not (value.startswith(("/", "~")) or ".." in Path(value).parts)
        if "://" in value or "::" in value or not inside:
            raise InvalidRequest(f"uri: {name} must lie inside the data set", f"or begin with {', '.join(REMOTE)}")


def _undecoded(table: Any) -> Any:
    """The data set with its images and sounds as the bytes they are: decoding them would need further packages."""
    for name, feature in table.features.items():
        if hasattr(feature, "decode"):
            table = table.cast_column(name, type(feature)(decode=False))
    return table
