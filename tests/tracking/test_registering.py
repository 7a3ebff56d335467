"""A trained model becomes a version in MLflow's registry, and its alias names the run in every command."""

import threading
from pathlib import Path
from typing import Any

import mlflow
import pytest
from commands import Runner
from configurations import TINY

from runner.tracking.models import register

TRACKED = (
    *(override for override in TINY if not override.startswith("tracking.")),
    "model.layers=[flatten, classifier]",
    "train.epochs=1",
    "figures.draw=[]",
)


def client() -> Any:
    uri = f"sqlite:///{Path('outputs/mlflow.db').absolute()}"
    return mlflow.MlflowClient(uri, uri)


def test_a_run_is_a_version_whose_alias_names_it(runner: Runner) -> None:
    done = runner(*TRACKED, "seed=1", "hydra.run.dir=outputs/1", "tracking.register=digits")
    assert (done.status, done.err) == (0, "")
    champion = client().get_model_version_by_alias("digits", "champion")
    [output] = client().get_run(champion.run_id).outputs.model_outputs
    assert champion.source == client().get_logged_model(output.model_id).artifact_location
    assert client().get_run(champion.run_id).data.params["seed"] == "1"
    for address in ("models:/digits@champion", f"models:/digits/{champion.version}"):
        done = runner("export", f"run={address}", "format=safetensors", "file=digits.safetensors")
        assert (done.status, done.err) == (0, "")
        assert Path("digits.safetensors").read_bytes() == Path("outputs/1/weights.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("models", ["best", "all"])
def test_of_a_sweep_the_best_member_is_registered(runner: Runner, models: str) -> None:
    settings = ("tracking.register=digits@best-of-all", f"sweep.log_models={models}", "sweep.strategy=loop")
    done = runner("-m", *TRACKED, *settings, "optimizer.learning_rate=0.0000001,0.01", "hydra.sweep.dir=outputs/sweep")
    assert (done.status, done.err) == (0, "")
    assert len(client().search_model_versions("name='digits'")) == 1
    version = client().get_model_version_by_alias("digits", "best-of-all")
    assert client().get_run(version.run_id).data.params["optimizer.learning_rate"] == "0.01"


@pytest.mark.slow
def test_a_sweep_that_logs_no_model_says_that_it_registers_none(runner: Runner) -> None:
    done = runner("-m", *TRACKED, "seed=0,1", "tracking.register=digits", "sweep.log_models=none")
    assert done.status == 0
    assert "tracking.register: no model is registered, as sweep.log_models=none" in done.out + done.err
    assert client().search_registered_models() == []


@pytest.mark.slow
def test_runs_that_register_at_once_are_different_versions_and_none_twice(runner: Runner) -> None:
    assert runner("-m", *TRACKED, "seed=0,1", "sweep.log_models=all", "sweep.strategy=loop").status == 0
    found = client().search_runs([client().get_experiment_by_name("digits").experiment_id])
    runs = [run.info.run_id for run in found if run.outputs.model_outputs]
    assert len(runs) == 2
    errors: list[Exception] = []

    def both(run_id: str) -> None:
        try:
            for _ in range(2):
                register(client(), run_id, "digits", "newest")
        except Exception as error:  # noqa: BLE001 - told by the thread that asks
            errors.append(error)

    threads = [threading.Thread(target=both, args=(run_id,)) for run_id in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(version.run_id for version in client().search_model_versions("name='digits'")) == sorted(runs)


@pytest.mark.parametrize("name", ["a/b", "digits@latest", "digits@v2", "digits@", "@champion", "a@b@c", ""])
def test_a_name_that_mlflow_refuses_is_refused_at_once(runner: Runner, name: str) -> None:
    done = runner(*TRACKED, f"tracking.register='{name}'")
    rule = "be NAME or NAME@ALIAS, the name without / : . % and quotes, the alias of letters, digits, - and _"
    shown = name or "''"
    assert (done.status, done.err) == (2, f"tracking.register: must {rule}, got {shown}\n")


def test_a_model_that_is_not_logged_cannot_be_registered(runner: Runner) -> None:
    done = runner(*TRACKED, "tracking.register=digits", "tracking.log_model=false")
    assert (done.status, done.err) == (
        2,
        "tracking: register must be null with log_model=false, as no model is logged\n",
    )
