"""What the terminal shows of a single run: a line for each epoch, a progress bar within it, and the result."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from runner import judging, metrics
from runner.data import Dataset
from runner.data.examples import counts_of
from runner.errors import printable
from runner.observers.activity import Activity, shown
from runner.trained import Trained
from runner.training.alone import Chunk
from runner.training.ledger import Epoch, Ledger
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome
from runner.training.plan import Plan

_log = logging.getLogger(__name__)
_EPOCH_WIDTH = 9


class _Columns:
    """The table of epochs of a task: heading, width, metric and format of each column.

    Narrow terminals do without the first ones of `_left_out`.
    """

    def __init__(self, metric: str) -> None:
        heading, form = metric.replace("_", " "), metrics.metric(metric).form
        width = max(10, len(heading) + 2)
        self._columns = (
            ("train loss", 12, "train/loss", ".4f"),
            (heading, width, f"train/{metric}", form),
            ("val loss", 13, "val/loss", ".4f"),
            (heading, width, f"val/{metric}", form),
            ("images/s", 12, "images_per_second", ",.0f"),
        )
        self._left_out = ("images_per_second", f"train/{metric}", "val/loss", "train/loss")

    def without(self, width: int) -> tuple[str, ...]:
        """The metrics for which a terminal of this width has no column."""
        wide = _EPOCH_WIDTH + sum(column for _, column, _, _ in self._columns)
        for count in range(len(self._left_out)):
            if wide <= width:
                return self._left_out[:count]
            wide -= next(column for _, column, metric, _ in self._columns if metric == self._left_out[count])
        return self._left_out

    def headings(self, without: Sequence[str]) -> str:
        """The line above the epochs."""
        return "epoch".rjust(_EPOCH_WIDTH - 1).ljust(_EPOCH_WIDTH) + "".join(
            heading.rjust(width) for heading, width, metric, _ in self._columns if metric not in without
        )

    def row(self, number: str, found: Mapping[str, float], without: Sequence[str] = ()) -> str:
        """The line of an epoch."""
        return number + "".join(
            f"{found[metric]:>{width}{form}}" for _, width, metric, form in self._columns if metric not in without
        )


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
        self._metric = "accuracy"  # the first of the task
        self._columns = _Columns(self._metric)

    def begins(self, member: Member, plan: Plan) -> None:
        self._epochs, self._dataset = plan.epochs, plan.dataset
        self._metric = plan.program.metrics[0]
        self._columns = _Columns(self._metric)
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
            first = f"{self._metric.replace('_', ' ')} {metrics.printed(f'train/{self._metric}', now.measured)}"
            text = f"loss {now.loss:.4f}  {first}  {now.images_per_second:,.0f} images/s"
            self._bar.update(self._task, completed=now.step, reading=text)

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        number = f"{epoch.number:>4}/{self._epochs:<4}"
        _log.info("epoch %s", self._columns.row(number, epoch.metrics).strip())
        if self._bar is not None:
            if self._console.is_interactive:
                without = self._columns.without(self._console.width)
                if not self._headed:
                    self._bar.print(self._columns.headings(without), style="dim")
                    self._headed = True
                self._bar.print(self._columns.row(number, epoch.metrics, without))
            self._bar.update(self._task, completed=epoch.step)
        return ""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        self._shown.close()
        if outcome.status == "FINISHED":
            seconds = time.perf_counter() - self._began
            self.say(_summary(member, outcome, self._metric, seconds, self._verdict(trained)))
            self.activity.now("saving the model")

    def _verdict(self, trained: Trained | None) -> list[str]:
        """The verdict on the answers to the test examples, for a terminal of this width."""
        if trained is None or trained.tested is None or self._dataset is None or not len(trained.tested):
            return []
        found = judging.verdict(self._dataset, trained.tested, trained.experiment.task)
        return judging.lines(found, min(self._console.width, 120) - 2)

    def say(self, lines: list[str]) -> None:
        """Prints lines, and writes them to the log file."""
        for line in lines:
            _log.info(line.strip())
            self._console.print(line, soft_wrap=True)


def _data(plan: Plan) -> str:
    """The size of each set, and that of the smallest and the largest class, or label, to train on; or the numbers."""
    dataset = plan.dataset
    sets = f"{len(dataset.train):,} train, {len(dataset.val):,} val, {len(dataset.test):,} test"
    return f"{printable(dataset.name)}: {sets}; {_targets(dataset)}"


def _targets(dataset: Dataset) -> str:
    if dataset.form == "numbers":
        names = ", ".join(map(printable, dataset.classes[:_MOST_NAMES]))
        return f"numbers: {names}" + (", …" if len(dataset.classes) > _MOST_NAMES else "")
    counts = counts_of(dataset.train, len(dataset.classes))
    sizes = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    return f"{len(counts):,} {dataset.form} of {sizes} training examples"


_MOST_NAMES = 5


def _summary(member: Member, outcome: Outcome, metric: str, wall_seconds: float, verdict: Sequence[str]) -> list[str]:
    """The result of a run in a few lines, with its verdict."""
    experiment, found = member.experiment, outcome.metrics
    first = f"{metric.replace('_', ' ')} {metrics.printed(metric, found[f'test/{metric}'])}"
    ended = f" ({outcome.reason})" if outcome.reason else ""
    return [
        f"{experiment.model.name} on {experiment.data.name}: test {first}, loss {found['test/loss']:.4f}",
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
    value = found[f"best/{metric.replace('/', '_')}"]
    name = metric.removeprefix("val/")
    return (
        f"best validation {name.replace('_', ' ')} {metrics.printed(name, value, '.4f')} "
        f"in epoch {found['best/epoch']:.0f} of {epochs}"
    )
