"""What a person may give the page by mistake: files that are no images, images of odd sizes, rubbish in the address."""

import base64
import io

import numpy as np
import pytest
from browser import Page
from page.made import written
from PIL import Image

DROPPED = """(async () => {
  const bytes = Uint8Array.from(atob("%s"), letter => letter.charCodeAt(0)), given = new DataTransfer();
  if (bytes.length) given.items.add(new File([bytes], "%s"));
  document.querySelector(".input .fault").textContent = "";
  page.state.example = -9;
  document.dispatchEvent(new DragEvent("drop", {dataTransfer: given, bubbles: true, cancelable: true}));
})()"""
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"><rect width="20" height="20"/></svg>'
ADDRESSES = (
    "#",
    "#&&=%&lang=%E0%A4%A&unit=,,,&example=-1&scale=-7&epoch=x",
    "#unit=1e9,0,0,0&example=1.5&scale=Infinity&tab=constructor&lang=__proto__",
    "#unit=-1,0,0,0&example=__proto__&epoch=-1&scale=1e400",
    "#unit=0,0,0,0&tab=unit<script>&example=length",
    f"#{'unit=' * 5000}",
)
SHOWN = """[page.state.example, page.state.node, page.probabilities.every(Number.isFinite), page.now(),
  document.querySelectorAll('.row').length === page.net.nodes.length]"""


def png(width: int, height: int) -> bytes:
    """A picture of one colour that is brighter to the right."""
    across = np.linspace(0, 255, width).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.broadcast_to(across, (height, width)).copy()).convert("RGB").save(file, "PNG")
    return file.getvalue()


def drop(page: Page, content: bytes, name: str) -> None:
    page.value(DROPPED % (base64.b64encode(content).decode(), name))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path, _, _ = written(tmp_path_factory.mktemp("digits"), "model.input={height: 12, width: 12}")
    return path.as_uri()


@pytest.mark.slow
def test_files_that_no_one_should_drop(browser: Page, address: str) -> None:
    browser.open(f"{address}#lang=en", width=1400)
    browser.until("globalThis.page")
    before = browser.value("[...page.data]")
    for content, name in ((b"a text", "notes.txt"), (SVG, "drawing.svg"), (png(9, 9)[:60], "cut.png")):
        drop(browser, content, name)
        browser.until("document.querySelector('.input .fault').textContent")
        assert browser.texts(".input .fault") == [f"{name}: the browser cannot read this image"]
        assert browser.value("[...page.data]") == before
    drop(browser, b"", "nothing")  # a word or a link, not a file
    for size in ((6000, 4000), (1, 1), (3000, 1), (1, 3000)):
        drop(browser, png(*size), "image.png")
        browser.until("page.state.example === -2")
        assert browser.texts(".input .fault") == [""]
        data = np.asarray(browser.value("[...page.data]")).reshape(8, 8)
        assert ((data >= 0) & (data <= 255)).all()
        assert (data[:, -1] > data[:, 0]).all() == (size[0] == 6000)
        assert sum(browser.value("[...page.probabilities]")) == pytest.approx(1, abs=1e-5)
    assert browser.faults == []


@pytest.mark.slow
def test_whatever_the_address_says_a_page_is_shown(browser: Page, address: str) -> None:
    for rubbish in ADDRESSES:
        browser.open(address + rubbish)
        browser.until("globalThis.page")
        example, _, finite, _, whole = browser.value(SHOWN)
        assert (example, finite, whole) == (0, True, True), rubbish[:40]
        browser.value("location.hash = 'unit=9,9,9,9&example=5x&epoch=zz&lang=fr'")
        browser.until("document.querySelectorAll('.row').length === page.net.nodes.length")
        assert browser.faults == [], rubbish[:40]
