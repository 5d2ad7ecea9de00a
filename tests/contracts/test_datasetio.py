"""Every provider of data set rows: pages of its source, appended rows, unknown ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack_core import Stack
from stack_core.errors import InvalidRequest, NotFound
from tests.stack_core.builtin.toy_stacks import run_file

ROWS = [{"question": f"{n}+1", "answer": f"is {n + 1}"} for n in range(25)]
SOURCES = ["localfs rows", "localfs jsonl", "localfs json", "localfs csv", "localfs parquet",
           "huggingface json", "huggingface csv", "huggingface parquet", "huggingface saved"]  # fmt: skip


@pytest.fixture(params=SOURCES)
async def stack(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stack]:
    """A stack whose data set `d` has `ROWS`, from one provider and one kind of source."""
    provider_id, kind = request.param.split()
    kinds = {"localfs": "inline::localfs", "huggingface": "remote::huggingface"}
    if provider_id == "huggingface":
        datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
        datasets.disable_progress_bars()
    config = {"roots": [str(tmp_path)]}
    entry = {"provider_id": provider_id, "provider_type": kinds[provider_id], "config": config}
    async with Stack.open(run_file(tmp_path, providers={"datasetio": [entry]})) as found:
        await found.datasets.register_dataset(
            dataset_id="d", purpose="eval/question-answer", source=_source(provider_id, kind, tmp_path)
        )
        yield found


def _source(provider_id: str, kind: str, folder: Path) -> dict[str, Any]:
    if kind == "rows":
        return {"type": "rows", "rows": ROWS}
    import pandas

    table, path = pandas.DataFrame(ROWS), folder / f"rows.{kind}"
    match kind:
        case "saved":
            import datasets

            split = datasets.Dataset.from_list(ROWS)
            datasets.DatasetDict({"train": split}).save_to_disk(str(path))
            return {"type": "uri", "uri": f"huggingface://datasets/{path}?split=train"}
        case "jsonl":
            table.to_json(path, orient="records", lines=True)
        case "json":
            table.to_json(path, orient="records")
        case "csv":
            table.to_csv(path, index=False)
        case "parquet":
            table.to_parquet(path)
    plain = provider_id == "localfs"
    return {"type": "uri", "uri": path.name if plain else f"huggingface://datasets/{kind}?data_files={path.name}"}


async def test_all_rows(stack: Stack) -> None:
    page = await stack.datasetio.iterrows("d")
    assert (page.data, page.has_more, page.next_start_index) == (ROWS, False, None)


async def test_pages_follow_each_other_into_the_appended_rows(stack: Stack) -> None:
    await stack.datasetio.append_rows("d", [{"question": "one"}, {"question": "two", "deep": {"list": [1, None]}}])
    await stack.datasetio.append_rows("d", [])
    await stack.datasetio.append_rows("d", [{"question": "three"}])
    found: list[Any] = []
    start: int | None = 0
    while start is not None:
        page = await stack.datasetio.iterrows("d", start_index=start, limit=9)
        found += page.data
        start = page.next_start_index
        assert page.has_more == (start is not None)
    appended = [{"question": "one"}, {"question": "two", "deep": {"list": [1, None]}}, {"question": "three"}]
    assert found == [*ROWS, *appended]
    assert (await stack.datasetio.iterrows("d", start_index=26, limit=1)).data == [appended[1]]
    assert (await stack.datasetio.iterrows("d", start_index=99, limit=1)).data == []


async def test_bad_places_and_unknown_ids(stack: Stack) -> None:
    for which in ({"start_index": -1}, {"limit": -2}, {"limit": "many"}):
        with pytest.raises(InvalidRequest, match=next(iter(which))):
            await stack.datasetio.iterrows("d", **which)
    with pytest.raises(InvalidRequest, match="rows"):
        await stack.datasetio.append_rows("d", [1])
    for call in (stack.datasetio.iterrows("dd"), stack.datasetio.append_rows("dd", [{}])):
        with pytest.raises(NotFound) as unknown:
            await call
        assert unknown.value.hint == "did you mean d?"
