"""A saved notebook shows the outputs: through nbconvert, in a browser in light and dark, in narrow cells."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from llama_magics import render
from tests.llama_magics.render.samples import everything

pytestmark = pytest.mark.slow

THEMES = {
    "none": "",
    "light": "--jp-layout-color0:#fff;--jp-ui-font-color1:rgba(0,0,0,.87);",
    "dark": "--jp-layout-color0:#111;--jp-ui-font-color1:rgba(255,255,255,.87);",
}


def test_nbconvert_keeps_html_and_style() -> None:
    import nbformat
    from nbconvert import HTMLExporter

    cells = [
        nbformat.v4.new_code_cell("%stack", outputs=[nbformat.v4.new_output("display_data", render.bundle(result))])
        for result in everything().values()
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbformat.validate(notebook)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert page.count("<style>.lsv{") == len(cells)
    assert page.count("lsv-v-ask") >= 9 and "412 → 196 tokens" in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


LUMINANCE = """() => {
  const light = c => { const v = c.map(x => x / 255).map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
    return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = (color, under) => { canvas.fillStyle = under; canvas.fillRect(0, 0, 1, 1); canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
  const css = c => `rgb(${c.join()})`;
  const paper = e => { const up = e.parentElement ? css(paper(e.parentElement)) : "#fff";
    return rgb(getComputedStyle(e).backgroundColor, up); };
  return [...document.querySelectorAll(".lsv *")].filter(e => e.checkVisibility() && e.tagName != "STYLE" &&
      [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())).map(e => {
    const ground = paper(e), ink = rgb(getComputedStyle(e).color, css(ground));
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    return [(a + .05) / (b + .05), e.className + ": " + e.textContent.slice(0, 40)]; }).sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", [1000, 420, 320])
def test_no_view_is_wider_than_its_cell_and_all_text_is_readable(browser: Any, theme: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    body = "".join(f"<div>{render.bundle(result)['text/html']}</div>" for result in everything().values())
    paper = "background:var(--jp-layout-color0,#fff);color:var(--jp-ui-font-color1,#1f2328)"
    page.set_content(f"<style>:root{{{THEMES[theme]}}}body{{margin:8px;{paper}}}</style>{body}")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ratio, where = page.evaluate(LUMINANCE)
    assert ratio >= 4.5, where
    page.close()
