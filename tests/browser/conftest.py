"""JupyterLab on a free port, and Debian's Chromium driven by playwright.

`BROWSER_SCREENSHOTS` names a folder for the screenshots; without it they go to the tests' temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.notebook import Notebook

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},  # every cell is on the page
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here is slow; without a browser none runs."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium (apt-get install chromium)"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Lab keeps everything: notebooks, settings, stores. Its name has a space."""
    return tmp_path_factory.mktemp("my lab")


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[str]:
    """The URL of a running JupyterLab whose root is `folder / "notebooks"`."""
    (folder / "notebooks").mkdir()
    for name, value in SETTINGS.items():
        file = folder / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))
    (folder / "config/labconfig").mkdir(parents=True)
    quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (folder / "config/labconfig/page_config.json").write_text(json.dumps(quiet))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            _command(folder, port), env=_environment(folder), stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(f"http://127.0.0.1:{port}/api/status", process, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=30)


def _command(folder: Path, port: int) -> list[str]:
    options = (
        f"--no-browser --allow-root --ip=127.0.0.1 --port={port} --ServerApp.port_retries=0 --IdentityProvider.token= "
        "--expose-app-in-browser --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate --LabApp.news_url=None"
    ).split()
    places = {
        "--LabApp.workspaces_dir": "workspaces",
        "--LabApp.user_settings_dir": "settings",
        "--ServerApp.root_dir": "notebooks",
    }
    return [sys.executable, "-m", "jupyterlab", *options, *(f"{n}={folder / at}" for n, at in places.items())]


def _environment(folder: Path) -> dict[str, str]:
    """Kernels inherit it. Live, whatever the surroundings say."""
    env = {name: value for name, value in os.environ.items() if name != "LLAMA_MAGICS_LIVE"}
    places = {"CONFIG": "config", "DATA": "data", "RUNTIME": "runtime"}
    return {
        **env,
        **{f"JUPYTER_{name}_DIR": str(folder / at) for name, at in places.items()},
        "SQLITE_STORE_DIR": str(folder / "stores"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers.

    Raises:
        RuntimeError: it ended; with its log.
    """
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            continue
    raise RuntimeError(f"JupyterLab ended:\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def notebook(lab: str, browser: Any, folder: Path) -> Iterator[Notebook]:
    """A page that opens notebooks; what the page itself throws fails the test."""
    page = browser.new_page(viewport={"width": 1180, "height": 1000})
    thrown: list[str] = []
    page.on("pageerror", lambda error: thrown.append(str(error)))
    yield Notebook(page, lab, folder / "notebooks")
    page.close()
    assert thrown == []


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures go."""
    named = os.environ.get("BROWSER_SCREENSHOTS")
    place = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    place.mkdir(parents=True, exist_ok=True)
    return place
