"""Outcomes of members, and the sweep that they make."""

from typing import Any

from runner.sweep.results import SweepResult
from runner.training.outcome import Outcome


def member(number: int, accuracy: float = 0.5, status: str = "FINISHED", epochs: int = 3, **fields: Any) -> Outcome:
    own: dict[str, Any] = {
        "number": number,
        "name": f"learning_rate=0.0{number} seed={number}",
        "overrides": (f"optimizer.learning_rate=0.0{number}", f"seed={number}"),
        "varied": {"optimizer.learning_rate": 0.001 * (number + 1), "seed": number, "optimizer": "adam"},
        "status": status,
        "metrics": {"val/accuracy": accuracy, "val/loss": 1 - accuracy, "test/accuracy": accuracy},
        "history": tuple({"val/accuracy": accuracy * e / epochs, "val/loss": 1.0 / e} for e in range(1, epochs + 1)),
        "run_id": f"run{number}",
        "multiply_adds": 100 + number,
        "parameters": 10,
        "seconds": 1.5,
        "group": "abc",
    }
    return Outcome(**(own | fields))


def sweep(*members: Outcome, **fields: Any) -> SweepResult:
    own: dict[str, Any] = {
        "name": "sweep lenet5: learning_rate × seed",
        "command": "runner -m optimizer.learning_rate=0.01,0.02 seed=0,1",
        "objectives": (("val/accuracy", "maximize"),),
        "space": {"optimizer.learning_rate": "0.01,0.02", "seed": "0,1"},
        "members": members,
        "seconds": 12.0,
        "groups": 1,
        "compiles": 1,
        "seconds_saved": 3.0,
    }
    return SweepResult(**(own | fields))
