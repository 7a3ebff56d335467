"""Searches in a folder, and members that came to an end."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from runner.composition.reading import read
from runner.records import frozen
from runner.sweep.search import Study, Suggestion, open_study
from runner.sweep.settings import Sweep
from runner.training.outcome import Outcome

GRID = ("++optimizer.learning_rate=0.1,0.01", "seed=range(0,3)")


WIDE = (
    "++optimizer.learning_rate=tag(log,interval(1e-4,1e-1))",
    "++train.batch_size=16,32",
    "++model.width=range(1,5)",
)


def opened(
    folder: Path,
    arguments: tuple[str, ...] = GRID,
    base: dict[str, str] | None = None,
    hold: ExitStack | None = None,
    **fields: Any,
) -> Study:
    settings = Sweep.model_validate(frozen(fields))
    storage = f"sqlite:///{folder}/sweeps.db"
    space = read(arguments, settings)
    return open_study(space, settings, base=base or {"loss.name": "x"}, storage=storage, epochs=9, hold=hold)


def came(asked: Suggestion, value: float = 0.5, status: str = "FINISHED", **more: Any) -> Outcome:
    fields: dict[str, Any] = {
        "number": asked.number,
        "name": str(asked.varied),
        "overrides": tuple(line.lstrip("+") for line in asked.overrides),
        "varied": asked.varied,
        "status": status,
        "metrics": {"val/accuracy": value, "val/loss": 1 - value},
        "history": ({"val/accuracy": value / 2}, {"val/accuracy": value}),
        "run_id": f"run{asked.number}",
    }
    return Outcome(**(fields | more))


def waiting(study: Study) -> list[Suggestion]:
    """The next members, without those that had ended when an earlier session was killed."""
    return [one for one in study.ask() if study.is_waiting_for(one.number)]
