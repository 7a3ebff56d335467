"""Values of the environment reach no file and no store by way of an error's text."""

import logging
from pathlib import Path

import mlflow
import pytest
from commands import Runner
from configurations import TINY

from runner import endings, withheld
from runner.errors import Fault, TrainingError, shown

SECRET = "very-secret-value"
TRACKED = [line for line in TINY if not line.startswith("tracking")]


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    withheld.forget()


def recorded() -> list[Path]:
    """Every file that commands wrote here; those that hold the secret, in the bytes of a database too."""
    files = [path for path in Path().rglob("*") if path.is_file()]
    return [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize("mode", [pytest.param((), marks=pytest.mark.slow), ("seed=0,1", "-m")])
def test_an_error_is_recorded_without_values_of_the_environment(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, mode: tuple[str, ...]
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise TrainingError(Fault("data", f"must lie in /data/{SECRET}/x, {shown(SECRET, 12)} or {SECRET!r}"))

    monkeypatch.setattr("runner.training.alone.Training.test", fail)
    done = runner(
        *TRACKED,
        "train.epochs=1",
        "figures=off",
        "++ui.host=${oc.env:SECRET}",
        "model.name=x-${oc.env:SECRET}",
        *mode,
    )
    assert done.status == 1
    client = mlflow.MlflowClient(f"sqlite:///{Path('outputs/mlflow.db').absolute()}")
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    failures = [run.data.tags["failure"] for run in runs if "failure" in run.data.tags]
    host = "${oc.env:SECRET}"
    assert set(failures) == {f"data: must lie in /data/{host}/x, {host}... or '{host}'"}
    assert {path.suffix for path in Path("outputs").rglob("*")} >= {".log", ".yaml", ".db"}
    assert recorded() == []


@pytest.mark.parametrize("mode", [(), ("seed=0,1", "-m")])
def test_a_missing_folder_is_recorded_with_its_interpolation(runner: Runner, mode: tuple[str, ...]) -> None:
    done = runner(*TRACKED, "data=folder", "data.limit=null", "data.root=/nowhere/${oc.env:SECRET}/x", *mode)
    assert done.status == 2
    assert f"/nowhere/{SECRET}/x" in done.err  # the terminal is the user's own
    assert recorded() == []


def test_a_traceback_is_kept_without_values_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    withheld.remember(SECRET, "${oc.env:SECRET}")
    assert endings.report_error(RuntimeError(f"lost {SECRET}")) == 1
    [kept] = tmp_path.glob("convrunner-*.log")
    assert "lost ${oc.env:SECRET}" in kept.read_text()
    assert recorded() == []


def test_short_values_are_not_replaced() -> None:
    withheld.remember({"a": [1, True, None, "abc", "12345"]}, "${x}")
    assert withheld.withheld("1 True None abc 12345 123") == "1 True None abc ${x} 123"


def test_a_value_that_is_cut_short_is_replaced() -> None:
    long = "".join(chr(ord("a") + index % 26) for index in range(300))
    withheld.remember(long, "${x}")
    for longest in (10, 60, 299, 300):
        assert withheld.withheld(f"got {shown(long, longest)}") in ("got ${x}...", "got ${x}")
