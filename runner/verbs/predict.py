"""`runner predict run=RUN images=FILES`: what a trained network answers to new images or texts."""

import csv
import json
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from annotated_types import Ge
from pydantic import Field

from runner.errors import ConfigError, Fault, must, printable
from runner.verb import Asked, RunSettings, SettingsVerb

if TYPE_CHECKING:
    from rich.table import Table

    from runner.predicting import Answer
    from runner.tasks import Task

_LEAST_JUDGED: Final = 20  # files whose class is known: what fewer come to, their table says


class Predict(RunSettings):
    """What is predicted, and how the answers are printed.

    The answers are classes, labels or numbers, as the network learnt them. If the files are in folders with the names
    of classes, the answers are scored.
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
    if settings.top_k != 1 and network.task.form != "classes":
        raise ConfigError(must("top_k", f"be 1 for a network that answers {network.task.form}", settings.top_k))
    began = time.perf_counter()
    answers = [answer for some in network.files(named, top_k=settings.top_k) for answer in some]
    seconds = time.perf_counter() - began
    for answer in answers:
        if answer.fault:
            print(f"passed over: {answer.fault}", file=sys.stderr)
    good = [answer for answer in answers if not answer.fault]
    printers = {"table": _print_table, "csv": _print_csv, "json": _print_json}
    printers[settings.format](good, network.task, network.trained.classes)
    labelled = [answer for answer in good if answer.label is not None]
    print(_summary(good, len(answers) - len(good), what, seconds), file=sys.stderr)
    if len(labelled) >= _LEAST_JUDGED and (verdict := network.verdict(labelled)) is not None:
        width = min(shutil.get_terminal_size().columns, 120) - 2
        print(*(f"  {line}" for line in terminal.lines(verdict, width, of=what)), sep="\n", file=sys.stderr)
    return 0 if good else 1


def _print_table(answers: list["Answer"], task: "Task", names: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("file", overflow="fold")
    if task.form != "classes":
        _fill(table, answers, task, names)
        if answers:
            Console(highlight=False, markup=False).print(table)
        return
    for number in range(len(answers[0].top) if answers else 0):
        table.add_column("class" if number == 0 else f"{number + 1}.", overflow="fold")
        table.add_column("", justify="right", no_wrap=True)
    for answer in answers:
        cells = [cell for choice in answer.top for cell in (printable(choice.name), f"{choice.probability:.1%}")]
        table.add_row(printable(_short(answer.file)), *cells)
    if answers:
        Console(highlight=False, markup=False).print(table)


def _fill(table: "Table", answers: list["Answer"], task: "Task", names: tuple[str, ...]) -> None:
    """Adds the labels that are given to each input, or a column for each number."""
    if task.form == "labels":
        table.add_column("labels", overflow="fold")
        for answer in answers:
            given = ", ".join(f"{printable(choice.name)} {choice.probability:.1%}" for choice in answer.top)
            table.add_row(printable(_short(answer.file)), given or "none")
        return
    for name in names:
        table.add_column(printable(name), justify="right")
    for answer in answers:
        table.add_row(printable(_short(answer.file)), *(f"{value:.4g}" for value in _values(answer)))


def _values(answer: "Answer") -> list[float]:
    return [] if answer.values is None else [float(value) for value in answer.values]


def _short(file: str) -> str:
    here = Path.cwd()
    return str(Path(file).relative_to(here)) if Path(file).is_relative_to(here) else file


def _print_csv(answers: list["Answer"], task: "Task", names: tuple[str, ...]) -> None:
    writer = csv.writer(sys.stdout)
    if task.form != "classes":  # a column for the probability of each label, or for each number
        writer.writerow(["file", *names])
        writer.writerows([answer.file, *_values(answer)] for answer in answers)
        return
    count = len(answers[0].top) if answers else 1
    heads = [name for number in range(1, count + 1) for name in (f"class_{number}", f"probability_{number}")]
    writer.writerow(["file", "class", "probability", *heads[2:]])
    for answer in answers:
        writer.writerow([answer.file, *(value for choice in answer.top for value in choice)])


def _print_json(answers: list["Answer"], task: "Task", names: tuple[str, ...]) -> None:
    from runner.answers import as_json, labels_as_json, numbers_as_json
    from runner.tasks import MultiLabel

    def told(answer: "Answer") -> dict[str, Any]:
        if task.form == "classes" or answer.values is None:
            return as_json(answer.top)
        if isinstance(task, MultiLabel):
            return labels_as_json(answer.values, names, task.threshold)
        return {"numbers": numbers_as_json(answer.values, names)}

    objects = [{"file": answer.file, **told(answer)} for answer in answers]
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
