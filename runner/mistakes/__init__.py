"""One HTML file with the mistakes of a network, the most confident first, and similar training examples.

    >>> shown = Shown("data:image/png;base64,", "", "cat/1.png", 0)
    >>> page = html(Mistakes("lenet5", ("cat", "dog"), 10, 1, [Mistake(shown, 1, 0.9, 0.1, (0,))], [shown]))
    >>> page.startswith("<!doctype html>"), "cat/1.png" in page
    (True, True)

It holds all that it shows and asks for nothing, so that it opens by double click and in the MLflow UI.
"""

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]
_SIDE = 96  # pixels of a picture's longer side, if it is larger
_EXACT = 64  # up to this side a picture is stored without loss


class Shown(NamedTuple):
    """An example: its picture as an address that holds it, or its text; the name of its file; its class."""

    picture: str
    text: str
    name: str
    label: int


class Mistake(NamedTuple):
    """An example that was taken for another class, with that probability, and the one that its own class got.

    `near` are places in the list of training examples, the nearest first.
    """

    example: Shown
    taken: int
    confidence: float
    given: float
    near: tuple[int, ...]


class Mistakes(NamedTuple):
    """What a page shows: `wrong` of `examples` were mistakes, of which it has the most confident ones."""

    title: str
    classes: Sequence[str]
    examples: int
    wrong: int
    mistakes: Sequence[Mistake]
    trained: Sequence[Shown]  # training examples that are near to a mistake


def picture(colours: Array) -> str:
    """Colours (h, w, 3), 0 to 1, as an address that holds the picture; a large one is reduced to 96 pixels."""
    image = Image.fromarray(np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8))
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    buffer, form = io.BytesIO(), "png" if max(image.size) <= _EXACT else "jpeg"
    image.save(buffer, form, **({"quality": 88} if form == "jpeg" else {"optimize": True}))
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def html(found: Mistakes) -> str:
    """The page."""
    style, script = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(found.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<script type="application/json" id="found">{_inline(found)}</script>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _inline(found: Mistakes) -> str:
    """The data as JSON inside a script, which no text in it can end."""
    data = found._asdict() | {
        "mistakes": [{**one._asdict(), "example": one.example._asdict()} for one in found.mistakes],
        "trained": [one._asdict() for one in found.trained],
    }
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
