"""The page in a browser: what a person sees and does, held against the compiled program."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from browser import Page
from configurations import here
from golden.cases import write_texts
from page.made import written
from PIL import Image

from runner import train
from runner.data.pixels import pixels_of
from runner.trained import Trained
from runner.views import Views

BRANCHES = (
    "model.layers=[{conv: {filters: 6, kernel_size: 3, padding: 1}}, batch_norm, relu, {residual: {layers: "
    "[{conv: {filters: 6, kernel_size: 3, padding: 1}}, relu, {conv: {filters: 6, kernel_size: 1}}]}}, {branches: "
    "{paths: [[{conv: {filters: 4, kernel_size: 1}}], [{max_pool: {size: 3, stride: 1, padding: 1}}]]}}, "
    "global_avg_pool, classifier]"
)
TEXTS = (
    *("data=text", "data.root=texts.csv", "data.length=6"),
    "model.layers=[{embedding: {dim: 6}}, {conv: {filters: 5, kernel_size: 2}}, relu, global_max_pool, classifier]",
)

# The value of the unit that is held.
HELD = """(({node, unit: [y, x, k]}) => {
  const [w, c] = [1, 1, ...page.shapes[node]].slice(-2);
  return page.values[node][(y * w + x) * c + k];
})(page.state)"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    path, _, network = written(tmp_path_factory.mktemp("digits"), "model.input={height: 12, width: 12}")
    return path, network


@pytest.fixture
def page(browser: Page, digits: tuple[Path, Trained]) -> Iterator[Page]:
    browser.open(digits[0].as_uri() + "#lang=en", width=1400)
    yield browser
    assert browser.faults == []
    assert browser.asked[1:] == []  # nothing but the file itself


def probabilities(page: Page) -> list[float]:
    found: list[float] = page.value("[...page.probabilities]")
    return found


def drag(page: Page, *points: tuple[float, float]) -> None:
    """Draws on the pad through these points, given as shares of its width and height."""
    page.value("document.querySelector('.pad').scrollIntoView({block: 'center'})")
    box = page.value("document.querySelector('.pad').getBoundingClientRect().toJSON()")
    kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 1), "mouseReleased"]
    for kind, (x, y) in zip(kinds, [*points, points[-1]], strict=True):
        place = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        page.call("Input.dispatchMouseEvent", type=kind, **place, button="left", buttons=1, clickCount=1)


def touch(page: Page, number: int, *kinds: str) -> None:
    """Moves the mouse to a place in the first map of a row, or presses it there."""
    page.value(f"document.querySelectorAll('canvas.maps')[{number}].scrollIntoView({{block: 'center'}})")
    page.value("new Promise(done => setTimeout(() => requestAnimationFrame(done), 50))")  # it is drawn when it is seen
    box = page.value(f"document.querySelectorAll('canvas.maps')[{number}].getBoundingClientRect().toJSON()")
    for kind in kinds or ("mouseMoved",):
        buttons = {"button": "left", "clickCount": 1} if kinds else {}
        page.call("Input.dispatchMouseEvent", type=kind, x=box["x"] + 5, y=box["y"] + 5, **buttons)


def test_a_drawing_is_answered_as_by_the_compiled_program(page: Page, digits: tuple[Path, Trained]) -> None:
    _, network = digits
    before = probabilities(page)
    page.click("#clear")
    drag(page, (0.5, 0.1), (0.5, 0.4), (0.52, 0.9))
    page.until(f"String([...page.probabilities]) !== '{','.join(map(str, before))}'")
    pixels = np.asarray(page.value("[...page.data]"), np.float32).astype(network.input_dtype)
    assert pixels.max() > 0
    expected = network.answers(pixels.reshape(1, *network.program.network.data_shape), here())[0]
    np.testing.assert_allclose(probabilities(page), expected, atol=1e-4)
    shown = page.texts(".bar.top .name")
    assert shown == [network.classes[expected.argmax()]]


DROPPED = """(async () => {
  const bytes = Uint8Array.from(atob("%s"), letter => letter.charCodeAt(0)), given = new DataTransfer();
  given.items.add(new File([bytes], "%s", {type: "image/png"}));
  document.dispatchEvent(new DragEvent("drop", {dataTransfer: given, bubbles: true, cancelable: true}));
})()"""


def test_a_dropped_image_is_read_as_predict_reads_it(page: Page) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    smooth = Image.fromarray(pixels).resize((40, 60), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    smooth.save(file, "PNG")
    page.value(DROPPED % (base64.b64encode(file.getvalue()).decode(), "leaf.png"))
    page.until("page.state.example === -2")
    found = np.asarray(page.value("[...page.data]")).reshape(8, 8, 1)
    expected = pixels_of(smooth, (8, 8, 1), "resize")
    assert np.abs(found - expected).max() <= 2  # Pillow rounds between the axes
    page.value(DROPPED % (base64.b64encode(b"no image").decode(), "broken.png"))
    page.until("document.querySelector('.fault').textContent")
    assert page.texts(".input .fault") == ["broken.png: the browser cannot read this image"]


def test_every_example_is_answered_as_by_the_compiled_program(page: Page, digits: tuple[Path, Trained]) -> None:
    _, network = digits
    count = page.value("page.examples.length")
    assert count > 5
    data = page.value("page.examples.map(e => [...e.data])")
    inputs = (
        np.asarray(data, np.float32).astype(network.input_dtype).reshape(count, *network.program.network.data_shape)
    )
    expected = network.answers(inputs, here())
    for number in range(count):
        page.click(".example", number)
        np.testing.assert_allclose(probabilities(page), expected[number], atol=1e-4)
    wrong = page.value("page.examples.map((e, i) => e.label !== page.answers(i))")
    assert wrong == [
        bool(row.argmax() != label)
        for row, label in zip(expected, page.value("page.examples.map(e => e.label)"), strict=True)
    ]


def test_pointing_at_a_value_shows_its_arithmetic(page: Page) -> None:
    for number in range(page.value("page.net.nodes.length")):
        touch(page, number)
        assert page.texts("#panel strong")
    at = page.value("page.net.nodes.findIndex(n => n.kind === 'conv')")
    touch(page, at, "mousePressed", "mouseReleased")
    assert page.value("page.state.held")
    value = page.value(HELD)
    shown = page.texts("#panel .sum strong")[0].replace("−", "-")
    assert float(shown) == pytest.approx(value, rel=2e-3, abs=1e-4)
    assert len(page.texts("#panel .terms.wrap figure")) == 2  # the only input channel, and the sum
    page.press("Escape")
    assert not page.value("page.state.held")
    # By keyboard alone.
    page.value(f"document.querySelector('[data-maps=\"{at}\"]').focus()")
    for key in ("Enter", "ArrowRight", "ArrowDown"):
        page.press(key)
    assert page.value("page.state.unit") == [1, 1, 0]
    assert f"unit={at}" in page.value("decodeURIComponent(location.hash)") or page.value("page.state.held")


def test_the_address_holds_what_is_shown(browser: Page, digits: tuple[Path, Trained]) -> None:
    browser.open(digits[0].as_uri() + "#lang=zh&example=3&unit=1%2C2%2C4%2C1&scale=2.00", width=1400)
    assert browser.value("page.state") == {
        "example": 3, "node": 1, "unit": [2, 4, 1], "held": True, "tab": "unit", "gain": 2, "epoch": -1,
    }  # fmt: skip
    assert browser.value("document.documentElement.lang") == "zh-CN"
    browser.click("#language")
    assert browser.value("document.documentElement.lang") == "en"
    assert "lang=en" in browser.value("location.hash")
    # Whatever an address says that does not exist is passed over.
    browser.open(digits[0].as_uri() + "#example=999&unit=99,1,x&tab=none&scale=x")
    assert browser.value("page.state.node") == -1
    assert browser.faults == []


def test_the_other_panels(page: Page) -> None:
    page.click('[data-tab="attention"]')
    page.until("document.querySelectorAll('#panel canvas').length === 2")
    page.click('[data-tab="learning"]')
    before = page.value("page.probabilities[page.examples[0].label]")
    page.value("(e => { e.value = -0.5; e.dispatchEvent(new Event('input')); })(document.querySelector('#rate'))")
    page.click("#take-step")
    assert page.value("page.probabilities[page.examples[0].label]") > before
    page.click("#reset")
    assert page.value("page.probabilities[page.examples[0].label]") == before
    page.click('[data-tab="bench"]')
    page.value("(e => { e.value = 9; e.dispatchEvent(new Event('input')); })(document.querySelector('#bench-size'))")
    page.value("(e => { e.value = 0; e.dispatchEvent(new Event('input')); })(document.querySelector('#bench-padding'))")
    assert page.texts("#bench-fault") == ["model.layers[0].conv.kernel_size: must fit the 7×7×1 input, got 9×9"]
    assert page.value("document.querySelectorAll('.impossible').length") == 1


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_as_wide_as_the_window(
    browser: Page, digits: tuple[Path, Trained], width: int, language: str
) -> None:
    browser.open(f"{digits[0].as_uri()}#lang={language}", width=width)
    assert browser.value("document.documentElement.scrollWidth") <= width
    texts = json.dumps(browser.texts("button, h3, p"), ensure_ascii=False)
    assert ("undefined" in texts, "NaN" in texts) == (False, False)
    assert browser.faults == []


@pytest.mark.slow
def test_answers_that_are_not_the_mean_over_crops_are_said_to_be_of_the_whole_image(
    browser: Page, tmp_path: Path
) -> None:
    crops = "train.test_time={views: ten_crops, margin: 3}"
    path, _, network = written(tmp_path, crops)
    browser.open(f"{path.as_uri()}#lang=en", width=400)
    [intro] = browser.texts("header p")
    assert intro.endswith(
        "mean over 10 windows of a larger image; this page computes the whole image alone, and may answer otherwise."
    )
    assert browser.value("document.documentElement.scrollWidth") <= 400
    inputs = np.asarray(browser.value("[...page.data]"), np.float32).astype(network.input_dtype)
    alone = network.program.model_copy(update={"test_time": Views()})
    whole = train.outputs(
        alone, network.params, network.statistics, inputs.reshape(1, *network.program.network.data_shape)
    )
    np.testing.assert_allclose(probabilities(browser), jax.nn.softmax(whole)[0], atol=1e-4)
    assert browser.faults == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "layers",
    [(BRANCHES,), TEXTS, ("train.test_time.views=mirror", "loss=squared_error")],
    ids=["branches", "texts", "mirrored"],
)
def test_other_networks(browser: Page, tmp_path: Path, layers: tuple[str, ...]) -> None:
    write_texts(tmp_path)
    path, _, network = written(tmp_path, *layers)
    browser.open(path.as_uri(), width=1400)
    data: Any = np.asarray(browser.value("page.examples.map(e => [...e.data])"), np.float32)
    inputs = data.astype(network.input_dtype).reshape(-1, *network.program.network.data_shape)
    expected = network.answers(inputs, here())
    for number in range(len(inputs)):
        browser.value(f"page.show(page.examples[{number}].data, {number})")
        np.testing.assert_allclose(probabilities(browser), expected[number], atol=1e-4)
    for number in range(browser.value("page.net.nodes.length")):
        touch(browser, number)
    browser.value("location.hash = 'lang=en'")
    browser.until("document.documentElement.lang === 'en'")
    joins = [text for text in browser.texts("h4 span") if "paths" in text]
    assert joins == (["sum of 2 paths", "2 paths side by side"] if layers == (BRANCHES,) else [])
    assert browser.faults == []
