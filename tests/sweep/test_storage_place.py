"""Where a sweep is kept and recorded: places that the environment names, and limits on what one may ask for."""

from pathlib import Path

import pytest
from commands import Runner
from configurations import TINY

TRACKED = [line for line in TINY if not line.startswith("tracking")]
SMALL = ("train.epochs=1", "figures=off", "sweep.log_models=none")


@pytest.mark.parametrize("path", [pytest.param("tracking.uri", marks=pytest.mark.slow), "sweep.storage"])
def test_a_place_that_the_environment_names_is_the_sweeps(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str
) -> None:
    name = "mlflow" if path == "tracking.uri" else "sweeps"
    monkeypatch.setenv("PLACE", f"sqlite:///{tmp_path}/elsewhere/{name}.db")
    Path("elsewhere").mkdir()
    more = () if path == "tracking.uri" else ("tracking.enabled=false",)
    done = runner(*TRACKED, *SMALL, f"{path}=${{oc.env:PLACE}}", *more, "seed=0,1", "-m")
    assert done.status == 0, done.err
    assert Path("elsewhere/sweeps.db").is_file()
    assert not Path("outputs/sweeps.db").exists()
    assert not [found for found in Path().rglob("*") if "oc.env" in found.name]


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("sweep.trials=1000000000", "sweep.trials: must be ≤ 100000, got 1000000000"),
        ("sweep.batch=1000000000", "sweep.batch: must be ≤ 4096, got 1000000000"),
    ],
)
def test_a_sweep_of_any_number_of_members_is_refused(runner: Runner, override: str, line: str) -> None:
    for arguments in (("sweep.sampler=random", "seed=0,1", "-m"), ()):
        done = runner(*TINY, override, *arguments)
        assert done.status == 2
        assert done.err.splitlines() == [line]


@pytest.mark.slow
def test_a_long_name_is_recorded_or_refused(runner: Runner) -> None:
    long = "n" * 5000
    named = (f"model.name={long}", f"tracking.run_name={long}", f"tracking.tags={{{long}: {long}}}")
    done = runner(*TRACKED, *SMALL, *named, f"sweep.name={long}", "seed=0,1", "-m")
    assert done.status == 0, done.err
    assert not list(Path().rglob("untracked.jsonl"))
    refused = runner(*TRACKED, f"tracking.experiment={long}")
    assert refused.status == 2
    [line] = refused.err.splitlines()
    assert line.startswith("tracking.experiment: must have at most 500 characters, got nnn")
