"""`runner predict run=RUN images=FILES`: the classes of new images or texts, by a trained network."""

import csv
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from annotated_types import Ge
from pydantic import Field

from runner.errors import ConfigError, Fault, printable
from runner.verb import Asked, RunSettings, SettingsVerb

if TYPE_CHECKING:
    from runner.predicting import Answer

_LEAST_JUDGED: Final = 20  # files whose class is known: what fewer come to, their table says


class Predict(RunSettings):
    """What is predicted, and how the answers are printed.

    If the files are in folders with the names of classes, the answers are scored.
    """

    images: str | None = Field(None, min_length=1, description="A file, a folder, a .zip, or a pattern: '*.jpg'.")
    texts: str | None = Field(None, min_length=1, description="The same with .txt files, for a network of texts.")
    top_k: Annotated[int, Ge(1)] = Field(1, description="Number of classes in each answer, the most probable first.")
    format: Literal["table", "csv", "json"] = Field("table", description="A table for people, CSV, or a JSON list.")
    device: Literal["auto", "cpu", "gpu", "tpu"] = Field("auto", description="Where the network runs.")


def predict(settings: Predict, asked: Asked) -> int:
    """Prints the answers. Returns 1 if no file could be read."""
    from runner import trained
    from runner.predicting import Predictor
    from runner.verdicts import terminal

    with asked.folder(settings.run) as folder:
        network = Predictor(trained.load(folder), device=settings.device)
    named = settings.texts if network.reads_texts else settings.images
    what, other = ("texts", settings.images) if network.reads_texts else ("images", settings.texts)
    if named is None or other is not None:
        raise ConfigError(Fault(what, f"must name the files for this network, which reads {what}"))
    began = time.perf_counter()
    answers = [answer for some in network.files(named, top_k=settings.top_k) for answer in some]
    seconds = time.perf_counter() - began
    for answer in answers:
        if answer.fault:
            print(f"passed over: {answer.fault}", file=sys.stderr)
    good = [answer for answer in answers if not answer.fault]
    {"table": _print_table, "csv": _print_csv, "json": _print_json}[settings.format](good)
    labelled = [answer for answer in good if answer.label is not None]
    print(_summary(good, len(answers) - len(good), what, seconds), file=sys.stderr)
    if len(labelled) >= _LEAST_JUDGED and (verdict := network.verdict(labelled)) is not None:
        width = min(shutil.get_terminal_size().columns, 120) - 2
        print(*(f"  {line}" for line in terminal.lines(verdict, width, of=what)), sep="\n", file=sys.stderr)
    return 0 if good else 1


def _print_table(answers: list["Answer"]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    for number in range(len(answers[0].top) if answers else 0):
        table.add_column("class" if number == 0 else f"{number + 1}.", overflow="fold")
        table.add_column("", justify="right", no_wrap=True)
    for answer in answers:
        cells = [cell for choice in answer.top for cell in (printable(choice.name), f"{choice.probability:.1%}")]
        table.add_row(printable(_short(answer.file)), *cells)
    if answers:
        Console(highlight=False, markup=False).print(table)


def _short(file: str) -> str:
    here = Path.cwd()
    return str(Path(file).relative_to(here)) if Path(file).is_relative_to(here) else file


def _print_csv(answers: list["Answer"]) -> None:
    writer = csv.writer(sys.stdout)
    count = len(answers[0].top) if answers else 1
    names = [name for number in range(1, count + 1) for name in (f"class_{number}", f"probability_{number}")]
    writer.writerow(["file", "class", "probability", *names[2:]])
    for answer in answers:
        writer.writerow([answer.file, *(value for choice in answer.top for value in choice)])


def _print_json(answers: list["Answer"]) -> None:
    from runner.answers import as_json

    objects = [{"file": answer.file, **as_json(answer.top)} for answer in answers]
    print(json.dumps(objects, indent=1, ensure_ascii=False))


def _summary(good: list["Answer"], passed_over: int, what: str, seconds: float) -> str:
    parts = [f"{len(good):,} {what} in {seconds:.1f} s ({len(good) / seconds:,.0f} a second)"]
    if passed_over:
        parts.append(f"{passed_over:,} passed over")
    labelled = [answer for answer in good if answer.label is not None]
    if labelled:
        right = sum(answer.top[0].name == answer.label for answer in labelled)
        parts.append(f"accuracy {right / len(labelled):.2%} of {len(labelled):,} in folders of a class")
    return "; ".join(parts)


VERB = SettingsVerb(Predict, predict, examples=("run=outputs/first images=photos top_k=2",))
