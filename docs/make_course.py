"""Runs every command of the course and makes its pictures again: `make course`.

A picture follows its command in docs/course.md. The title of the picture is its file in the run's folder.
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

HERE = Path(__file__).resolve().parent
_STEP = re.compile(
    r"^```console\n(?P<lines>.*?)^```\n(?:\n!\[[^\]]*\]\((?P<picture>\S+) \"(?P<file>\S+)\"\))?", re.M | re.S
)
_WIDEST = 1200  # pixels
_LARGEST_BYTES = 100_000


class Step(NamedTuple):
    """A command, the picture that follows it, and the file in the run's folder that the picture is made from."""

    arguments: tuple[str, ...]
    picture: str
    file: str


def steps(text: str) -> Iterator[Step]:
    """The commands of a course in order; `picture` and `file` are empty if no picture follows."""
    for found in _STEP.finditer(text):
        *before, last = [shlex.split(line.removeprefix("$ ")) for line in found["lines"].splitlines()]
        for words in before:
            yield Step(tuple(words[3:]), "", "")
        yield Step(tuple(last[3:]), found["picture"] or "", found["file"] or "")


def run(step: Step, folder: Path) -> Path | None:
    """Runs a command in `folder` and returns the file of its picture. Raises CalledProcessError if it fails."""
    out = folder / (Path(step.picture).stem or "run")
    where = [f"hydra.run.dir={out}"] if step.picture else []
    subprocess.run([sys.executable, "-m", "runner", *step.arguments, *where], cwd=folder, check=True)
    return out / step.file if step.picture else None


def shrink(drawn: Path, picture: Path) -> None:
    """Writes a figure in 128 colours, as wide as it may be below 100 kB; an SVG as it is."""
    if drawn.suffix == ".svg":
        shutil.copyfile(drawn, picture)
        return
    whole = Image.open(drawn).convert("RGB")
    width = min(whole.width, _WIDEST)
    while True:
        small = whole.resize((width, round(whole.height * width / whole.width)), Image.Resampling.LANCZOS)
        small.quantize(128, dither=Image.Dither.NONE).save(picture, optimize=True)
        if picture.stat().st_size < _LARGEST_BYTES:
            return
        width = round(width * 0.9)


def main() -> None:
    """Makes the pictures of the commands whose picture is named, or of all."""
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for step in steps((HERE / "course.md").read_text(encoding="utf-8")):
            if wanted and Path(step.picture).stem not in wanted:
                continue
            print("$ python -m runner", shlex.join(step.arguments), flush=True)
            if drawn := run(step, Path(folder)):
                shrink(drawn, HERE / step.picture)


if __name__ == "__main__":
    main()
