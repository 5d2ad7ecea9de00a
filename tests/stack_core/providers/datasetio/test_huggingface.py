"""remote::huggingface with the real package, offline: what it must not read, and what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import AccessDenied, InvalidRequest, NotFound, StackError
from tests.stack_core.builtin.toy_stacks import run_file

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")


@pytest.fixture
async def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """Its provider may read below `tmp_path/data`; the hub is not asked."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    (tmp_path / "data").mkdir()
    config = {"roots": [str(tmp_path / "data")]}
    entry = {"provider_id": "hub", "provider_type": "remote::huggingface", "config": config}
    async with Stack.open(run_file(tmp_path, providers={"datasetio": [entry]})) as found:
        yield found


async def read(stack: Stack, uri: str) -> Any:
    """All rows of an address."""
    source = {"type": "uri", "uri": uri}
    await stack.datasets.register_dataset(dataset_id="d", purpose="eval/question-answer", source=source)
    return (await stack.datasetio.iterrows("d")).data


@pytest.mark.parametrize(
    ("uri", "error", "said"),
    [
        ("huggingface://datasets/csv?data_files=/etc/passwd", AccessDenied, "outside the folders"),
        ("huggingface://datasets/csv?data_files=../secret.csv", AccessDenied, "outside the folders"),
        ("huggingface://datasets/csv?data_files=file:///etc/passwd", InvalidRequest, "data_files must lie inside"),
        ("huggingface://datasets/csv?data_files=https://x/a.zip::/etc/passwd", InvalidRequest, "data_files must lie"),
        ("huggingface://datasets/text?data_files=a.txt&data_dir=/etc", InvalidRequest, "takes data_files"),
        ("huggingface://datasets/a/b?data_files=/etc/passwd", InvalidRequest, "data_files must lie inside"),
        ("huggingface://datasets/a/b?data_dir=../..", InvalidRequest, "data_dir must lie inside"),
        ("huggingface://datasets//etc", AccessDenied, "outside the folders"),
        ("huggingface://datasets/../secret", AccessDenied, "secret"),
        ("huggingface://datasets/csv", InvalidRequest, "takes data_files"),
        ("huggingface://datasets/a/b?splt=test", InvalidRequest, "unknown option 'splt'"),
        ("huggingface://", InvalidRequest, "no data set of Hugging Face"),
        ("rows.csv", InvalidRequest, "no data set of Hugging Face"),
        ("huggingface://datasets/nobody/nothing", StackError, "nobody/nothing"),
    ],
)
async def test_what_is_refused(stack: Stack, tmp_path: Path, uri: str, error: type[StackError], said: str) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(error, match=said):
        await read(stack, uri)


async def test_splits_and_formats_of_a_saved_folder(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "saved"
    train, test = (datasets.Dataset.from_list([{"n": n}]) for n in (1, 2))
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(str(folder))
    assert await read(stack, f"huggingface://datasets/{folder}") == [{"n": 1}], "train where no split is named"
    assert await read(stack, f"huggingface://datasets/{folder}?split=test") == [{"n": 2}]
    assert await read(stack, "huggingface://datasets/saved?split=test") == [{"n": 2}], "from the first of the roots"
    with pytest.raises(NotFound, match="split") as unknown:
        await read(stack, f"huggingface://datasets/{folder}?split=tset")
    assert unknown.value.hint == "did you mean test?"


async def test_bytes_of_images_are_not_decoded(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "images"
    features = datasets.Features({"image": datasets.Image(), "at": datasets.Value("timestamp[s]")})
    rows = {"image": [{"bytes": b"\x89PNG", "path": None}], "at": [0]}
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(str(folder))
    assert await read(stack, f"huggingface://datasets/{folder}") == [
        {"image": {"bytes": "iVBORw==", "path": None}, "at": "1970-01-01T00:00:00"}
    ]


async def test_a_broken_file_is_the_callers_to_mend(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "data" / "rows.json").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(InvalidRequest, match="json"):
        await read(stack, "huggingface://datasets/json?data_files=rows.json")
    with pytest.raises(NotFound):
        await read(stack, "huggingface://datasets/json?data_files=none.json")
    with pytest.raises(InvalidRequest, match="rows of its own"):
        source = {"type": "rows", "rows": []}
        await stack.datasets.register_dataset(dataset_id="r", purpose="eval/question-answer", source=source)
        await stack.datasetio.iterrows("r")
