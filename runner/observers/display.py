"""What the terminal shows of a single run: a line for each epoch, a progress bar within it, and the result."""

import logging
import time
from contextlib import ExitStack

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from runner.observers.activity import Activity, shown
from runner.trained import Trained
from runner.training.alone import Chunk
from runner.training.ledger import Epoch, Ledger
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome
from runner.training.plan import Plan

_log = logging.getLogger(__name__)
_HEADINGS = "   epoch   train loss  accuracy     val loss  accuracy    images/s"


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

    def begins(self, member: Member, plan: Plan) -> None:
        self._epochs = plan.epochs
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
        found = epoch.metrics
        line = (
            f"{epoch.number:>4}/{self._epochs:<4}{found['train/loss']:>11.4f}{found['train/accuracy']:>10.2%}"
            f"{found['val/loss']:>13.4f}{found['val/accuracy']:>10.2%}{found['images_per_second']:>12,.0f}"
        )
        _log.info("epoch %s", line.strip())
        if self._bar is not None:
            if self._console.is_interactive:
                if not self._headed:
                    self._bar.print(_HEADINGS, style="dim")
                    self._headed = True
                self._bar.print(line)
            self._bar.update(self._task, completed=epoch.step)
        return ""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        self._shown.close()
        if outcome.status == "FINISHED":
            self.say(_summary(member, outcome, time.perf_counter() - self._began))
            self.activity.now("saving the model")

    def say(self, lines: list[str]) -> None:
        """Prints lines, and writes them to the log file."""
        for line in lines:
            _log.info(line.strip())
            self._console.print(line, soft_wrap=True)


def _summary(member: Member, outcome: Outcome, wall_seconds: float) -> list[str]:
    """The result of a run in a few lines."""
    experiment, found = member.experiment, outcome.metrics
    ended = f" ({outcome.reason})" if outcome.reason else ""
    return [
        f"{experiment.model.name} on {experiment.data.name}: test accuracy {found['test/accuracy']:.2%}, "
        f"loss {found['test/loss']:.4f}",
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
