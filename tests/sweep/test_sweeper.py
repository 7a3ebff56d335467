"""The sweeper with Hydra's own launcher, which knows nothing of searches, against what Optuna's storage then has."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from commands import Runner
from configurations import TINY

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Hydra leaves its log files open
BASIC = ("-m", "hydra/launcher=basic", *TINY, "train.epochs=1")


def stored(name: str) -> list[optuna.trial.FrozenTrial]:
    storage = f"sqlite:///{Path('outputs/sweeps.db').absolute()}"
    return optuna.load_study(study_name=name, storage=storage).get_trials()


def test_members_are_compared_by_what_the_sweep_says(runner: Runner) -> None:
    own = ("sweep.metric=[val/loss,multiply_adds]", "model.width=0.5,1", "sweep.name=costs")
    assert runner(*BASIC, *own).status == 0
    narrow, wide = stored("costs")
    assert min(narrow.values[0], wide.values[0]) > 1  # no accuracy is
    assert 1 < wide.values[1] / narrow.values[1] < 4


def test_a_member_that_fails_costs_no_other_and_is_tried_again(runner: Runner) -> None:
    own = ("optimizer=sgd", "schedule=constant", "optimizer.learning_rate=1e30,0.05,0.01", "sweep.name=rates")
    for _ in range(2):
        done = runner(*BASIC, *own)
        assert done.status == 1
        assert done.err.splitlines()[-1].startswith("loss: must stay finite")
    assert [(trial.state.name, trial.params["optimizer.learning_rate"]) for trial in stored("rates")] == [
        ("FAIL", "1e+30"),
        ("COMPLETE", "0.05"),
        ("COMPLETE", "0.01"),
        ("FAIL", "1e+30"),
    ]
    [folder] = Path("outputs/sweeps").glob("*/*")  # it stayed where it was
    assert sorted(path.parent.parent.name for path in folder.rglob(".hydra/config.yaml")) == ["0", "1", "2", "3"]


@pytest.mark.slow
def test_what_hydras_own_sweeper_is_told_counts(runner: Runner) -> None:
    own = ("hydra.sweeper.params={model.width: '0.5,1'}", "hydra.sweeper.max_batch_size=3", "seed=0,1")
    assert runner(*BASIC, *own, "sweep.name=told").status == 0
    assert [trial.params for trial in stored("told")] == [
        {"model.width": width, "seed": seed} for width in ("0.5", "1") for seed in ("0", "1")
    ]


def test_what_does_not_fit_together_is_told_before_anything_runs(runner: Runner) -> None:
    def refused(*arguments: str) -> list[str]:
        done = runner("-m", *TINY, *arguments)
        assert done.status == 2
        assert not Path("outputs/sweeps").exists()
        return done.err.splitlines()

    assert refused("sweep.metric=[val/loss,seconds]", "sweep.direction=minimize", "seed=0,1") == [
        "sweep.direction: must have one for each of 2 metrics, got [minimize]"
    ]
    assert refused("sweep.metric=test/accuracy", "seed=0,1") == [
        "sweep.metric: must be a validation metric, since choosing by the test set would spoil it, got test/accuracy"
    ]
    assert refused("optimizer.learning_rate=interval(0,1)") == [
        "sweep.sampler: must be one that supports the interval of optimizer.learning_rate, such as tpe or random, "
        "got grid"
    ]
    assert refused("seed=0,1", "sweep.sampler=bayes", "sweep.pruner.min_epochs=0") == [
        "sweep.sampler: must be one of grid, random, tpe, gp, cmaes, nsga2, got bayes",
        "sweep.pruner.min_epochs: must be ≥ 1, got 0",
    ]


@pytest.mark.slow
def test_optimisers_are_searched_with_what_each_alone_has(runner: Runner) -> None:
    own = ("sweep.name=which", "sweep.trials=12", "sweep.sampler=random", "tracking.log_model=false")
    done = runner("sweep=optimizers", *TINY, "train.epochs=1", *own)
    assert done.status in (0, 1), done.err  # some may well diverge
    trials = [trial.params for trial in stored("which") if trial.params]
    assert len(trials) == 12
    for params in trials:
        assert ("optimizer.momentum" in params) == (params["optimizer"] == "momentum")
        assert ("optimizer.weight_decay" in params) == (params["optimizer"] == "adamw")
        assert params["optimizer.learning_rate"] < 0.03 or params["optimizer"] in ("sgd", "momentum")


def test_a_space_in_a_file_is_swept(runner: Runner) -> None:
    space: dict[str, Any] = {
        "sampler": "tpe",
        "trials": 3,
        "space": {"optimizer": "glob(ad*)", "optimizer.learning_rate": "tag(log, interval(1e-4, 1e-2))", "seed": 7},
    }
    Path("conf/sweep").mkdir(parents=True)
    Path("conf/sweep/mine.yaml").write_text("# mine\n" + yaml.safe_dump(space))
    done = runner("sweep=mine", *BASIC[1:], "sweep.name=file")
    assert done.status == 0, done.err
    for trial in stored("file"):
        assert trial.params["optimizer"].startswith("ad")
        assert 1e-4 <= trial.params["optimizer.learning_rate"] <= 1e-2
    configs = [yaml.safe_load(path.read_text()) for path in Path("outputs/sweeps").rglob(".hydra/config.yaml")]
    assert [config["seed"] for config in configs] == [7] * 3
