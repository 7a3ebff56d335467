"""Golden runs: weights, metrics and MLflow's contents of a dozen configurations stay what they were.

On the machine that recorded them (processor, threads, versions) they stay so bit for bit. Elsewhere, where last bits
differ and early stopping with them, what is recorded stays the same, not the numbers.
`GOLDEN=write` records them anew, which only a change of behaviour that is meant to be one calls for.
"""

import json
import os
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

import pytest
from commands import Runner
from golden import recorded
from golden.cases import ALONE, STRATEGIES, SWEPT, TINY, write_texts

GOLDEN = Path(__file__).parent / "golden.json"
# The ordinary suite holds these; `make test-slow` holds all, as whoever changes training should.
OFTEN = ("plain",)
OFTEN_SWEPT = "plain", "vmap"
WRITE = os.environ.get("GOLDEN") == "write"
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # from MLflow's use of SQLAlchemy
]


def _known() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"machine": {}, "runs": {}}
    return found


def hold(name: str, found: dict[str, Any]) -> None:
    known = _known()
    if WRITE:
        known["machine"] = recorded.machine()
        known["runs"][name] = found
        runs = dict(sorted(known["runs"].items()))
        GOLDEN.write_text(json.dumps({**known, "runs": runs}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    found, wanted = json.loads(json.dumps(found)), known["runs"][name]
    if known["machine"] == recorded.machine():
        assert found == wanted
    else:
        assert recorded.names_alone(found) == recorded.names_alone(wanted)


def left_behind() -> dict[str, Any]:
    """What the commands of this folder left: every weights file in order of its folder, and the store."""
    files = sorted(Path("outputs").rglob("weights.safetensors"))
    weights = [recorded.weights(path) for path in files if "artifacts" not in path.parts]
    return {"weights": weights, "store": recorded.store(Path("outputs/mlflow.db"))}


def cases(names: Iterable[str], often: Container[str]) -> list[Any]:
    return [pytest.param(name, marks=() if name in often else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", cases(ALONE, OFTEN))
def test_a_run_leaves_what_it_left_before(name: str, runner: Runner, tmp_path: Path) -> None:
    write_texts(tmp_path)
    done = runner(*TINY, *ALONE[name])
    assert done.status == 0, done.err
    hold(f"alone {name}", left_behind())


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        pytest.param(name, strategy, marks=() if (name, strategy) == OFTEN_SWEPT else pytest.mark.slow)
        for name in SWEPT
        for strategy in STRATEGIES
    ],
)
def test_a_sweep_leaves_what_it_left_before(name: str, strategy: str, runner: Runner) -> None:
    done = runner("-m", *TINY, *SWEPT[name], f"sweep.strategy={strategy}", "sweep.log_models=all")
    assert done.status == 0, done.err
    hold(f"{strategy} {name}", left_behind())
