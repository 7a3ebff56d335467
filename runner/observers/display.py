"""What the terminal shows of a single run: a line for each epoch, a progress bar within it, and the result."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from runner import judging
from runner.data import Dataset
from runner.errors import printable
from runner.observers.activity import Activity, shown
from runner.trained import Trained
from runner.training.alone import Chunk
from runner.training.ledger import Epoch, Ledger
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome
from runner.training.plan import Plan
from runner.verdicts import terminal

_log = logging.getLogger(__name__)
# Of the table of epochs: heading, width, metric, format. Narrow terminals do without the last ones of _LEFT_OUT.
_COLUMNS = (
    ("train loss", 12, "train/loss", ".4f"),
    ("accuracy", 10, "train/accuracy", ".2%"),
    ("val loss", 13, "val/loss", ".4f"),
    ("accuracy", 10, "val/accuracy", ".2%"),
    ("images/s", 12, "images_per_second", ",.0f"),
)
_EPOCH_WIDTH = 9
_LEFT_OUT = ("images_per_second", "train/accuracy", "val/loss", "train/loss")


class Display(Observer):
    """Shows one training in the terminal, and writes the same to the log file. Made when the command begins."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._console = Console(highlight=False)
        self.activity = Activity(self._console)
        self._bar: Progress | None = None
        self._shown = ExitStack()
        self._task = TaskID(0)
        self._epochs, self._headed = 0, False
        self._dataset: Dataset | None = None

    def begins(self, member: Member, plan: Plan) -> None:
        self._epochs, self._dataset = plan.epochs, plan.dataset
        line = _data(plan)
        _log.info(line)
        if self._console.is_interactive:  # a pipe gets the result alone
            self._console.print(line, soft_wrap=True)
        if left_out := plan.dataset.left_out.summary():
            self.say([f"left out of the class folders: {left_out}"])
        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[reading]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            disable=not self._console.is_interactive,
        )
        self._task = self._bar.add_task("train", total=plan.total_steps, reading="compiling")
        self._shown.enter_context(shown(self._bar))

    def chunk(self, member: Member, chunk: Chunk) -> None:
        if self._bar is not None and (now := chunk.reading) is not None:
            text = f"loss {now.loss:.4f}  accuracy {now.accuracy:.1%}  {now.images_per_second:,.0f} images/s"
            self._bar.update(self._task, completed=now.step, reading=text)

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        number = f"{epoch.number:>4}/{self._epochs:<4}"
        _log.info("epoch %s", _row(number, epoch.metrics).strip())
        if self._bar is not None:
            if self._console.is_interactive:
                without = _left_out(self._console.width)
                if not self._headed:
                    self._bar.print(_headings(without), style="dim")
                    self._headed = True
                self._bar.print(_row(number, epoch.metrics, without))
            self._bar.update(self._task, completed=epoch.step)
        return ""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        self._shown.close()
        if outcome.status == "FINISHED":
            seconds = time.perf_counter() - self._began
            self.say(_summary(member, outcome, seconds, self._verdict(trained)))
            self.activity.now("saving the model")

    def _verdict(self, trained: Trained | None) -> list[str]:
        """The verdict on the answers to the test examples, for a terminal of this width."""
        if trained is None or trained.tested is None or self._dataset is None or not len(trained.tested):
            return []
        return terminal.lines(judging.verdict(self._dataset, trained.tested), min(self._console.width, 120) - 2)

    def say(self, lines: list[str]) -> None:
        """Prints lines, and writes them to the log file."""
        for line in lines:
            _log.info(line.strip())
            self._console.print(line, soft_wrap=True)


def _data(plan: Plan) -> str:
    """The size of each set, and that of the smallest and the largest class to train on."""
    dataset = plan.dataset
    counts = np.bincount(dataset.train.labels, minlength=len(dataset.classes))
    sizes = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    sets = f"{len(dataset.train):,} train, {len(dataset.val):,} val, {len(dataset.test):,} test"
    return f"{printable(dataset.name)}: {sets}; {len(counts):,} classes of {sizes} training examples"


def _left_out(width: int) -> tuple[str, ...]:
    """The metrics for which a terminal of this width has no column."""
    wide = _EPOCH_WIDTH + sum(column for _, column, _, _ in _COLUMNS)
    for count in range(len(_LEFT_OUT)):
        if wide <= width:
            return _LEFT_OUT[:count]
        wide -= next(column for _, column, metric, _ in _COLUMNS if metric == _LEFT_OUT[count])
    return _LEFT_OUT


def _headings(without: Sequence[str]) -> str:
    return "epoch".rjust(_EPOCH_WIDTH - 1).ljust(_EPOCH_WIDTH) + "".join(
        heading.rjust(width) for heading, width, metric, _ in _COLUMNS if metric not in without
    )


def _row(number: str, found: Mapping[str, float], without: Sequence[str] = ()) -> str:
    """The line of an epoch."""
    return number + "".join(
        f"{found[metric]:>{width}{form}}" for _, width, metric, form in _COLUMNS if metric not in without
    )


def _summary(member: Member, outcome: Outcome, wall_seconds: float, verdict: Sequence[str]) -> list[str]:
    """The result of a run in a few lines, with its verdict."""
    experiment, found = member.experiment, outcome.metrics
    ended = f" ({outcome.reason})" if outcome.reason else ""
    return [
        f"{experiment.model.name} on {experiment.data.name}: test accuracy {found['test/accuracy']:.2%}, "
        f"loss {found['test/loss']:.4f}",
        *(f"  {line}" for line in verdict),
        f"  {_best(member, outcome)}{ended}",
        f"  {wall_seconds:.1f} s, of which {found['seconds/train']:.1f} s training and "
        f"{found['seconds/compile']:.1f} s compiling",
    ]


def _best(member: Member, outcome: Outcome) -> str:
    """The best epoch, by `train.monitor`."""
    found, epochs = outcome.metrics, len(outcome.history)
    metric = member.experiment.train.monitor.metric
    if "best/epoch" not in found:
        return f"no epoch of {epochs} has a finite {metric}"
    loss, accuracy = f"loss {found['best/val_loss']:.4f}", f"accuracy {found['best/val_accuracy']:.2%}"
    return (
        f"best validation {loss if metric == 'val/loss' else accuracy} in epoch {found['best/epoch']:.0f} of {epochs}"
    )
