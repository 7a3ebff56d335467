"""Chooses fonts that have the characters of a figure: matplotlib's own has no Chinese, Hindi or emoji.

A name is written in the first font that has it, of matplotlib's own, those of the system, and those of the packages
that `convrunner[fonts]` installs. If all characters are in matplotlib's own font, no other font is looked for.
"""

import functools
import importlib.util
import io
import itertools
import logging
import threading
import unicodedata
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from matplotlib import font_manager, get_data_path
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font, StyleFlags
from matplotlib.text import Text
from PIL import Image

from runner.errors import printable

_log = logging.getLogger(__name__)
_OWN: Final = "DejaVu Sans"
_PACKAGES: Final = (
    "cvttf_NotoSansCJK_Regular",
    "fontpkg_noto_sans_arabic",
    "fontpkg_noto_sans_devanagari",
    "fontpkg_noto_sans_tamil",
    "fontpkg_noto_sans_telugu",
    "fontpkg_noto_sans_thai",
)
# One code point is written in other shapes in China, Japan and Korea; a kana or a Hangul letter tells the country.
_COUNTRIES: Final = (("HIRAGANA", " JP"), ("KATAKANA", " JP"), ("HANGUL", " KR"), ("CJK", " SC"))
_UNDRAWN: Final = {"Cc", "Cs", "Zl", "Zp"}  # control characters, undecodable bytes, ends of lines
_JOINERS: Final = {"\u200d", "\ufe0e", "\ufe0f"}
_lock = threading.Lock()
# Characters that no font has are drawn as boxes, and logged here; hides one warning for each.
warnings.filterwarnings("ignore", message="Glyph .* missing from font")
# A family without bold letters is no fault: the log would have a line for each bold text.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


class Face(NamedTuple):
    """One font of a file, which may hold several."""

    path: str
    family: str
    bold: bool


def choose_fonts(figure: Figure) -> None:
    """Sets the fonts of all texts of a figure, unless matplotlib's own font has all of their characters."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.get_ticklabels()  # makes the texts of fixed labels
    texts = figure.findobj(Text)
    found = families("".join(text.get_text() for text in texts))
    if not found:
        return
    for text in texts:
        text.set_fontfamily([_OWN, *found])
    for axes in figure.axes:
        axes.tick_params(which="both", labelfontfamily=[_OWN, *found])


def text_picture(text: str, size: float, dpi: int, *, colour: str, bold: bool) -> np.ndarray:
    """A text of so many points as colours (h, w, 4), uint8, on a transparent background."""
    figure = Figure(figsize=(0.1, 0.1), dpi=dpi)
    figure.text(0, 0, text.replace("$", r"\$"), fontsize=size, color=colour, fontweight="bold" if bold else "normal")
    choose_fonts(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, transparent=True, bbox_inches="tight", pad_inches=0)
    return np.asarray(Image.open(buffer).convert("RGBA"))


def drawable(text: str) -> str:
    """The text on one line, with the names of emoji and other signs that no font has: `🚀` becomes `[rocket]`.

    matplotlib cannot draw fonts of coloured bitmaps, such as Noto Color Emoji, nor bytes of file names outside UTF-8.
    """
    text = "".join(printable(char) if unicodedata.category(char) in _UNDRAWN else char for char in text)
    if text.isascii():
        return text
    missing = _missing(text)
    lost = missing - {char for face in _chosen(missing) for char in _covered(face.path, missing)}
    signs = {char for char in lost if unicodedata.category(char) in ("So", "Sk")}
    if not signs:
        return text
    known = ((char, unicodedata.name(char, "sign").lower()) for char in text if char not in _JOINERS)
    return "".join(f"[{name}]" if char in signs else char for char, name in known)


def families(text: str) -> list[str]:
    """The fonts that have those characters of a text that matplotlib's own font lacks; logs it if none has some."""
    missing = _missing(text)
    if not missing:
        return []
    chosen = _chosen(missing)
    _note_lost(missing - {char for face in chosen for char in _covered(face.path, missing)})
    return [face.family for face in chosen]


def _missing(text: str) -> frozenset[str]:
    """The characters of a text that matplotlib's own font lacks."""
    if text.isascii():
        return frozenset()
    printed = {char for char in text if not char.isspace() and char not in _JOINERS and char.isprintable()}
    return frozenset(printed - _covered(str(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf")), printed))


def _covered(path: str, chars: Iterable[str]) -> set[str]:
    """Those characters that the font of a file has."""
    wanted = sorted(set(chars))
    return set(itertools.compress(wanted, np.isin([ord(char) for char in wanted], _points(path))))


@functools.cache
def _points(path: str) -> np.ndarray:
    """The code points of the characters of a font; takes a millisecond for each file."""
    return np.fromiter(FT2Font(path).get_charmap(), np.uint32)


@functools.lru_cache(maxsize=256)
def _chosen(missing: frozenset[str]) -> tuple[Face, ...]:
    """As few fonts as have most of these characters, made known to matplotlib."""
    if not missing:
        return ()
    country = _country(missing)
    has = {path: _covered(path, missing) for path in dict.fromkeys(face.path for face in _faces() if not face.bold)}
    left, chosen = set(missing), list[Face]()
    while left:
        count = max((len(own & left) for own in has.values()), default=0)
        if not count:
            break
        best = [face for face in _faces() if not face.bold and len(has[face.path] & left) == count]
        chosen.append(min(best, key=lambda face: _rank(face, country)))
        left -= has[chosen[-1].path]
    for face in chosen:
        _make_known(face.family)
    return tuple(chosen)


def _country(chars: Iterable[str]) -> str:
    """The ending of the names of fonts for the country whose letters are among these."""
    scripts = {_script(char) for char in chars}
    return next((country for script, country in _COUNTRIES if script in scripts), "")


def _rank(face: Face, country: str) -> tuple[bool, bool, bool, str]:
    """Smaller is better: a plain sans serif of the country first."""
    family = face.family
    plain = not any(word in family for word in ("Mono", "Serif", "UI", "Condensed", "Display", "Nastaliq", "Kufi"))
    return not plain, not (country and family.endswith(country)), "Sans" not in family, family


@functools.cache
def _faces() -> tuple[Face, ...]:
    """The fonts of the system and of installed packages; 300 files take a fifth of a second."""
    paths = [*sorted(font_manager.findSystemFonts()), *_packaged()]
    return tuple(face for path in paths for face in _faces_of(path))


def _faces_of(path: str) -> list[Face]:
    try:
        first = FT2Font(path)
        faces = [first, *(FT2Font(path, face_index=index) for index in range(1, first.num_faces))]
    except (OSError, RuntimeError):  # a broken file
        return []
    # matplotlib draws outlines only; the fonts of coloured emoji are bitmaps.
    upright = [font for font in faces if font.scalable and not StyleFlags.ITALIC & font.style_flags]
    return [Face(path, font.family_name, bool(StyleFlags.BOLD & font.style_flags)) for font in upright]


def _packaged() -> list[str]:
    """The fonts that `convrunner[fonts]` installs."""
    specs = (importlib.util.find_spec(name) for name in _PACKAGES)
    folders = (Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ())
    return [str(path) for folder in folders for path in sorted(folder.rglob("*.[ot]tf"))]


def _make_known(family: str) -> None:
    """Adds a family to matplotlib's fonts, whose own list may be older than the installation of the font."""
    with _lock:
        if all(known.name != family for known in font_manager.fontManager.ttflist):
            for path in dict.fromkeys(face.path for face in _faces() if face.family == family):
                font_manager.fontManager.addfont(path)


def _script(char: str) -> str:
    """The first word of the character's name, which is that of its script: DEVANAGARI, HANGUL, CJK."""
    return unicodedata.name(char, "UNKNOWN").partition(" ")[0]


def _note_lost(lost: Iterable[str]) -> None:
    """Logs one line for the scripts of characters that no font has, each once."""
    with _lock:
        new = {_script(char) for char in lost} - _noted
        _noted.update(new)
    if new:
        names = ", ".join(sorted("Chinese" if name == "CJK" else name.capitalize() for name in new))
        _log.warning("figures: no installed font has %s characters; install a Noto font or convrunner[fonts]", names)


_noted: set[str] = set()
