"""Makes the animated picture of the page that README shows, docs/page.webp.

    python docs/make_page_picture.py [FOLDER]     # the folder with the files of MNIST; the digits without it

Trains LeNet-5 for some seconds, opens its page in a headless Chromium, plays the epochs, draws a digit, moves a window
over a layer and shows Grad-CAM. Needs Chromium on PATH and the extra `dev`. Takes a minute.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from PIL import Image

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from browser import Page, started

PICTURE: Final = Path(__file__).resolve().parent / "page.webp"
SIZE: Final = (1440, 960)  # CSS pixels
SHOWN: Final = (930, 620)
RUN: Final = ("data.limit=3000", "train.epochs=10", "optimizer.learning_rate=0.0005", "figures.draw=[page]")
THREE: Final = [(0.32, 0.27), (0.42, 0.2), (0.53, 0.19), (0.62, 0.24), (0.65, 0.33), (0.6, 0.42), (0.48, 0.48)]
THREE_ENDS: Final = [(0.6, 0.52), (0.68, 0.61), (0.68, 0.71), (0.61, 0.79), (0.5, 0.83), (0.39, 0.8), (0.31, 0.74)]
LAYER: Final = "page.net.nodes.findIndex(node => node.kind === 'conv')"
LARGEST_BYTES: Final = 3_000_000


class Frame(NamedTuple):
    """What the window shows, and for how many milliseconds."""

    picture: Image.Image
    milliseconds: int


def trained(folder: Path, mnist: str | None) -> Path:
    """The page of a short training."""
    data = ["data=mnist", f"data.root={mnist}"] if mnist else []
    command = [sys.executable, "-m", "runner", *data, *RUN, f"hydra.run.dir={folder / 'run'}"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "run" / "page" / "page.html"


def frames(page: Page, folder: Path) -> Iterator[Frame]:
    """The epochs, a drawing, a sliding window, Grad-CAM."""

    def shown(milliseconds: int) -> Frame:
        page.value(
            "new Promise(done => requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(done), 60)))"
        )
        page.screenshot(folder / "frame.png", whole=False)
        with Image.open(folder / "frame.png") as whole:
            small = whole.convert("RGB").resize(SHOWN, Image.Resampling.LANCZOS)
        return Frame(small, milliseconds)

    yield shown(900)
    last = page.value("page.course.length - 1")
    for moment in range(last + 1):
        page.value(
            f"(e => {{ e.value = {moment}; e.dispatchEvent(new Event('input')); }})(document.querySelector('#epoch'))"
        )
        yield shown(1200 if moment in (0, last) else 450)
    page.click("#clear")
    yield shown(500)
    yield from (shown(110) for _ in drawing(page))
    yield shown(1200)
    layer, (height, width, _) = page.value(LAYER), page.value(f"page.shapes[{LAYER}]")
    row, begin = height // 3, width // 3
    for column in range(begin, 2 * begin + 1):
        page.value(f"page.point({layer}, [{row}, {column}, 1], true)")
        yield shown(1800 if column == begin else 260)
    yield shown(900)
    page.click('[data-tab="attention"]')
    page.until("document.querySelectorAll('#panel canvas').length === 2")
    yield shown(2500)


def drawing(page: Page) -> Iterator[None]:
    """Draws a three on the pad, a step at a time."""
    box = page.value("document.querySelector('.pad').getBoundingClientRect().toJSON()")
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in THREE + THREE_ENDS]

    def mouse(kind: str, x: float, y: float) -> None:
        page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    mouse("mousePressed", *points[0])
    for (x0, y0), (x1, y1) in pairwise(points):
        mouse("mouseMoved", (x0 + x1) / 2, (y0 + y1) / 2)
        mouse("mouseMoved", x1, y1)
        yield
    mouse("mouseReleased", *points[-1])
    yield


def main() -> None:
    """Trains, films and writes."""
    mnist = str(Path(sys.argv[1]).resolve()) if sys.argv[1:] else None
    with tempfile.TemporaryDirectory() as name, started() as page:
        folder = Path(name)
        path = trained(folder, mnist)
        page.open(f"{path.as_uri()}#lang=en&example=5", *SIZE)
        page.until("globalThis.page")
        film = list(frames(page, folder))
        assert page.faults == [], page.faults
    first, *others = [frame.picture for frame in film]
    first.save(
        PICTURE,
        append_images=others,
        duration=[frame.milliseconds for frame in film],
        loop=0,
        quality=72,
        method=6,
        minimize_size=True,
    )
    assert PICTURE.stat().st_size <= LARGEST_BYTES, PICTURE.stat().st_size
    print(f"{PICTURE}: {len(film)} frames, {PICTURE.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
