"""Third parties' providers and APIs: as installed packages, by module, and by Llama Stack's folders of YAML."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack_core import Stack, apis
from stack_core.errors import ConfigError, MissingPackage, Unsupported

HERE = Path(__file__).parent
MEMORY = {
    "backends": {
        "kv": {"type": "kv_sqlite", "db_path": ":memory:"},
        "sql": {"type": "sql_sqlite", "db_path": ":memory:"},
    },
    "stores": {"metadata": {"backend": "kv", "namespace": "registry"}},
}


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The two packages as if they stood in site-packages, without their entry points."""
    for name in ("weather", "shout"):
        monkeypatch.syspath_prepend(str(HERE / name))
    yield
    apis.APIS.pop("weather", None)
    apis.protocol.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] in ("weather_api", "shout")]:
        del sys.modules[module]


async def test_a_provider_by_module(importable: None) -> None:
    rows = [{"provider_id": "shout", "provider_type": "inline::shout", "module": "shout"}]
    async with Stack.open({"name": "t", "providers": {"inference": rows}, "storage": MEMORY}) as stack:
        messages = [{"role": "user", "content": "hello"}]
        answer = await stack.inference.chat_completion(model="shout/any", messages=messages)
        assert answer.choices[0].message.content == "HELLO!"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def files(folder: Path) -> dict[str, str]:
    """The settings of a run file for the YAML that stands below `folder`."""
    return {"external_providers_dir": str(folder / "providers.d"), "external_apis_dir": str(folder / "apis.d")}


async def test_an_api_and_its_provider_by_folders(importable: None, tmp_path: Path) -> None:
    write(
        tmp_path / "apis.d/weather.yaml",
        "module: weather_api.api\nname: weather\nprotocol: Weather\npip_packages: []\n",
    )
    write(tmp_path / "providers.d/inline/weather/almanac.yaml", "module: weather_api.almanac\npip_packages: []\n")
    rows = [{"provider_type": "inline::almanac", "config": {"cities": {"Oslo": [-4.0, -4.0, 0.2]}}}]
    given = {"name": "t", "providers": {"weather": rows, "inference": []}, "storage": MEMORY, **files(tmp_path)}
    async with Stack.open(given) as stack:
        found = await stack.weather.forecast(city="Oslo", month=3)
        assert found.celsius == 0.2
        listed = await stack.inspect.list_routes()
        assert ("/v1alpha/weather/{city}", "GET", ["inline::almanac"]) in [
            (row.route, row.method, row.provider_types) for row in listed.data
        ]


async def test_llama_stack_s_functions_make_a_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path / "made_by_function.py",
        """
        from pydantic import BaseModel
        from stack_core.apis.models import Model, ModelList
        from stack_core.apis.inference import Inference

        class Settings(BaseModel):
            words: list[str] = ["a"]

        class Adapter(Inference):
            ended = []

            def __init__(self, config, deps):
                self.config, self.deps, self.ready = config, deps, False

            async def initialize(self):
                self.ready = True

            async def shutdown(self):
                self.ended.append(self.config.words)

            async def models(self):
                assert self.ready and "files" in self.deps
                words = self.config.words
                return [Model(identifier=f"made/{w}", provider_id="made", provider_resource_id=w) for w in words]

        async def get_adapter_impl(config, deps):
            return Adapter(config, deps)
        """,
    )
    write(
        tmp_path / "providers.d/remote/inference/made.yaml",
        """
        adapter:
          adapter_type: made
          pip_packages: [something-made>=1]
          config_class: made_by_function.Settings
          module: made_by_function
        api_dependencies: []
        optional_api_dependencies: [files]
        """,
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = [{"provider_id": "made", "provider_type": "remote::made", "config": {"words": ["x", "y"]}}]
    folder = {"external_providers_dir": str(tmp_path / "providers.d")}
    async with Stack.open({"name": "t", "providers": {"inference": rows}, "storage": MEMORY, **folder}) as stack:
        assert [model.identifier for model in (await stack.models.list_models()).data] == ["made/x", "made/y"]
    import made_by_function  # type: ignore[import-not-found]  # written above

    assert made_by_function.Adapter.ended == [["x", "y"]]


async def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    base = {"name": "t", "providers": {"inference": []}, "storage": MEMORY}
    with pytest.raises(ConfigError, match=r"external_providers_dir: .* is not a folder"):
        async with Stack.open({**base, "external_providers_dir": str(tmp_path / "none")}):
            pass
    write(tmp_path / "a/remote/inferense/x.yaml", "module: x\n")
    with pytest.raises(ConfigError, match="'inferense' is no API") as caught:
        async with Stack.open({**base, "external_providers_dir": str(tmp_path / "a")}):
            pass
    assert "inference" in str(caught.value.hint)
    write(tmp_path / "b/inline/inference/x.yaml", "modul: x\n")
    with pytest.raises(ConfigError, match=r"x\.yaml: module: Field required"):
        async with Stack.open({**base, "external_providers_dir": str(tmp_path / "b")}):
            pass
    write(tmp_path / "c/files.yaml", "module: x\nname: files\nprotocol: Files\n")
    with pytest.raises(ConfigError, match="the API 'files' is there already"):
        async with Stack.open({**base, "external_apis_dir": str(tmp_path / "c")}):
            pass


async def test_a_package_that_is_missing_says_how_to_install_it(tmp_path: Path) -> None:
    write(
        tmp_path / "d/remote/inference/gone.yaml",
        "adapter_type: gone\nmodule: gone_away\npip_packages: ['gone-away>=2']\n",
    )
    rows = [{"provider_id": "gone", "provider_type": "remote::gone"}]
    given = {
        "name": "t",
        "providers": {"inference": rows},
        "storage": MEMORY,
        "external_providers_dir": str(tmp_path / "d"),
    }
    async with Stack.open(given) as stack:
        (row,) = [row for row in stack.unavailable if row.provider_id == "gone"]
        assert row.fix == "pip install gone-away>=2"
        with pytest.raises((MissingPackage, Unsupported)):
            await stack.inference.chat_completion(model="gone/x", messages=[{"role": "user", "content": "hi"}])


@pytest.mark.slow
def test_both_as_installed_packages(tmp_path: Path) -> None:
    packages = [str(HERE / name) for name in ("weather", "shout")]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "-q",
        "--no-deps",
        "--target",
        str(tmp_path),
    ]
    subprocess.run([*pip, *packages], check=True, timeout=300)
    code = """
        import asyncio
        from stack_core import Stack, apis

        async def main():
            almanac = {"provider_type": "inline::almanac", "config": {"cities": {"Rome": [8.0]}}}
            providers = {"inference": ["shout"], "weather": [almanac]}
            messages = [{"role": "user", "content": "hi"}]
            async with Stack.open({"name": "t", "providers": providers}) as stack:
                answer = await stack.inference.chat_completion(model="shout/x", messages=messages)
                print(answer.choices[0].message.content, (await stack.weather.forecast(city="Rome", month=1)).celsius)

        asyncio.run(main())
    """
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SQLITE_STORE_DIR": str(tmp_path / "store")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "HI! 8.0\n", done.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "stack_core", "list-providers", "weather", "--json"],
        env=environment, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "inline::almanac" in shown.stdout
