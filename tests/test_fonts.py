"""Names in any script: what matplotlib says of the characters that it drew, and what is seen of them."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from runner.figures import png
from runner.figures.confusion import confusion_matrix
from runner.figures.fonts import drawable, families
from runner.figures.images import worst_images
from runner.figures.style import columns, short_name

LONG = "an image of something with a name that is long"
NAMES = (
    "猫",
    "狗和其他动物",
    "قطة سوداء",
    "बिल्ली क्षत्रिय",
    "🐈 🚀 👩‍🚀",
    LONG,
    "ネコ",
    "고양이",
    "แมว",
    "кошка",
    "ñandú",
    "→ ∅",
)


@pytest.fixture(autouse=True)
def noto() -> None:
    """Skips tests where the fonts that they draw with are not installed."""
    files = " ".join(font_manager.findSystemFonts())
    for name in ("NotoSansCJK", "NotoSansDevanagari", "NotoSansThai"):
        if name not in files:
            pytest.skip(f"no {name} among the fonts of the system")


def test_names_in_any_script_are_drawn_without_a_missing_glyph() -> None:
    k = len(NAMES)
    # matplotlib warns of each glyph that no font has, and a warning is an error here.
    assert png(confusion_matrix(np.ones((k, k), int), NAMES))
    images, labels = np.zeros((k, 4, 4, 1), np.uint8), np.arange(k)
    files = [f"{name}/{name}.jpg" for name in NAMES]
    assert png(worst_images(images, labels, np.full((k, k), 1 / k), NAMES, files=files))


@pytest.mark.parametrize(("one", "other"), [("猫", "狗"), ("ख", "ग"), ("ท", "ธ"), ("가", "나"), ("ע", "ג"), ("ق", "ف")])
def test_two_letters_of_a_script_do_not_look_alike(one: str, other: str) -> None:
    def drawn(text: str) -> bytes:
        figure = Figure(figsize=(0.5, 0.5))
        figure.text(0.2, 0.2, text, fontsize=16)
        return png(figure)

    assert drawn(one) != drawn(other)  # boxes would be equal
    assert drawn(one) == drawn(one)


def test_letters_are_written_in_the_shapes_of_their_country() -> None:
    assert families("猫") == ["Noto Sans CJK SC"]
    assert families("猫ネコ") == ["Noto Sans CJK JP"]
    assert families("猫고양이") == ["Noto Sans CJK KR"]
    assert families("cat, ñandú, кошка, قطة") == []


def test_signs_without_a_font_are_named() -> None:
    assert drawable("plain") == "plain"
    assert drawable("中文 👩‍🚀") in ("中文 [woman][rocket]", "中文 👩‍🚀")  # as the system has a font for them
    assert drawable("😀") == "😀"


def test_what_is_no_text_is_escaped() -> None:
    assert short_name("caf\udce9\n.jpg") == "caf\\udce9\\n.jpg"
    images, right = np.zeros((2, 4, 4, 1), np.uint8), np.eye(2)
    assert png(worst_images(images, np.array([0, 1]), right, ("猫", "b"), files=["猫/caf\udce9.jpg", "b/\x00\n.jpg"]))


def test_long_names_stay_apart() -> None:
    names = [f"the seventeenth kind of photographs, number {number}" for number in range(3)]
    assert len({short_name(name) for name in names}) == 3
    for name in (*NAMES, *names, "猫" * 60, "क्षत्रिय" * 20):
        assert columns(short_name(name)) <= 40
    assert short_name("猫" * 60) == "猫" * 10 + "…" + "猫" * 9


def test_without_a_font_one_line_says_so_and_plain_names_look_for_none() -> None:
    program = """
import logging, sys
from matplotlib import font_manager
asked = []
font_manager.findSystemFonts = lambda *args, **kwargs: asked.append(args) or []
from runner.figures import png
from runner.figures.confusion import confusion_matrix
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
png(confusion_matrix([[1, 0], [0, 1]], ("cat", "dog")))
assert not asked
for _ in range(2):
    png(confusion_matrix([[1, 0], [0, 1]], ("猫", "बिल्ली")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "WARNING figures: no installed font has Chinese, Devanagari characters; "
        "install a Noto font or convrunner[fonts]\n"
    )
