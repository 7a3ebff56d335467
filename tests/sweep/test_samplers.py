"""What samplers propose, and which members pruners end: one seed, one sequence, also after an interruption."""

from pathlib import Path

import optuna
import pytest
from studies import WIDE, came, opened, waiting

from runner.errors import ConfigError


def test_a_sampler_continues_with_stored_trials(tmp_path: Path, searches: list[optuna.Study]) -> None:
    study = opened(tmp_path, WIDE, sampler="tpe", trials=6, batch=4)
    batches = []
    while asked := study.ask():
        batches.append(len(asked))
        for one in asked:
            assert 1e-4 <= float(one.varied["optimizer.learning_rate"] or 0) <= 1e-1
            assert one.varied["train.batch_size"] in (16, 32)
            assert one.varied["model.width"] in (1, 2, 3, 4)
            study.tell(came(one, value=float(one.varied["train.batch_size"] or 0) / 100))
    assert batches == [4, 2]
    more = opened(tmp_path, WIDE, sampler="tpe", trials=8, batch=4)
    assert len(searches[-1].trials) == 6
    assert [one.number for one in more.ask()] == [6, 7]


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "nsga2", "gp"])
def test_every_sampler_proposes_the_same_from_the_same_seed(tmp_path: Path, sampler: str) -> None:
    if sampler == "gp":
        pytest.importorskip("torch", reason="PyTorch, with which Optuna computes Gaussian processes, is not installed")
    proposals = []
    for run in range(3):
        folder = tmp_path / str(run)
        folder.mkdir()
        seed = 0 if run < 2 else 1
        study = opened(folder, WIDE[:1] + WIDE[2:], sampler=sampler, trials=9, batch=3, seed=seed)
        found = []
        while asked := study.ask():
            found += [one.varied for one in asked]
            for one in asked:
                study.tell(came(one, value=-abs(float(one.varied["optimizer.learning_rate"] or 0) - 0.01)))
        proposals.append(found)
    assert proposals[0] == proposals[1]
    assert proposals[0] != proposals[2]


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_every_row_of_zipped_paths_is_tried_once_also_after_a_kill(tmp_path: Path, sampler: str) -> None:
    arguments, rows = ("++a=16,16,32", "++b=1,2,1", "++c=5,6"), [(16, 1), (16, 2), (32, 1)]
    fields = {"sampler": sampler, "trials": None if sampler == "grid" else 50, "batch": 4, "zip": [["a", "b"]]}
    seen = []
    while asked := opened(tmp_path, arguments, **fields).ask():
        study = opened(tmp_path, arguments, **fields)  # as after a kill: the first one told nothing
        assert [one.varied for one in study.ask()] == [one.varied for one in asked]
        seen += [tuple(one.varied.values()) for one in asked[:3]]
        for one in asked[:3]:
            study.tell(came(one, float(one.varied["b"] or 0)))
        study = opened(tmp_path, arguments, **fields)
        for one in waiting(study) if len(asked) > 3 else []:
            seen.append(tuple(one.varied.values()))
            study.tell(came(one, float(one.varied["b"] or 0)))
    assert sorted(seen) == [(*row, c) for row in rows for c in (5, 6)]
    assert list(opened(tmp_path, arguments, **fields).importances()) == ["a", "c"]


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "nsga2"])
def test_a_search_ends_when_everything_was_tried(tmp_path: Path, sampler: str) -> None:
    arguments = ("++a=1,2,3", "++b=range(0,3)")
    study = opened(tmp_path, arguments, sampler=sampler, trials=50, batch=4, constraints=["a != b"])
    seen = []
    while asked := study.ask():
        seen += [tuple(one.varied.values()) for one in asked]
        for one in asked:
            study.tell(came(one, float(one.varied["a"] or 0)))
    assert sorted(seen) == [(a, b) for a in (1, 2, 3) for b in range(3) if a != b]
    assert opened(tmp_path, arguments, sampler=sampler, trials=50, constraints=["a != b"]).ask() == []


def test_a_sampler_that_repeats_excluded_values_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searches: list[optuna.Study]
) -> None:
    stubborn = optuna.samplers.RandomSampler(seed=0)
    monkeypatch.setattr(stubborn, "sample_independent", lambda *_: 1)
    monkeypatch.setattr("runner.sweep.search.proposals.sampler", lambda *_: stubborn)
    study = opened(tmp_path, ("++a=range(0,50)",), sampler="gp", trials=5, constraints=["a > 1"])
    asked = [one.varied["a"] for one in study.ask()]
    assert len(set(asked)) == 5
    assert searches[-1].sampler is stubborn


def test_no_more_members_are_proposed_than_wanted(tmp_path: Path) -> None:
    study = opened(tmp_path)
    assert [[one.number for one in study.ask(4)] for _ in range(3)] == [[0, 1, 2, 3], [4, 5], []]
    study = opened(tmp_path, WIDE, sampler="random", trials=5, batch=4)
    assert [[one.number for one in study.ask(3)] for _ in range(3)] == [[0, 1, 2], [3, 4], []]


def test_a_gaussian_process_without_torch_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, WIDE, sampler="gp")
    assert str(caught.value) == (
        "sweep.sampler: must be one whose packages are installed (gp needs torch: pip install 'convrunner[gp]'), got gp"
    )


def test_conditions_and_constraints_hold_for_sampled_members(tmp_path: Path) -> None:
    arguments = ("optimizer=adam,momentum", "++optimizer.momentum=interval(0.5,0.99)", "++train.batch_size=16,32,64")
    study = opened(
        tmp_path,
        arguments,
        sampler="tpe",
        trials=20,
        conditions={"optimizer.momentum": {"optimizer": "momentum"}},
        constraints=["train.batch_size < 64"],
    )
    seen = set()
    while asked := study.ask():
        for one in asked:
            seen.add((one.varied["optimizer"], "optimizer.momentum" in one.varied, one.varied["train.batch_size"]))
            study.tell(came(one))
    assert {key[:2] for key in seen} == {("adam", False), ("momentum", True)}
    assert {key[2] for key in seen} == {16, 32}


def test_constraints_that_exclude_everything_are_an_error(tmp_path: Path) -> None:
    study = opened(tmp_path, WIDE, sampler="random", constraints=["train.batch_size > 64"])
    with pytest.raises(ConfigError) as caught:
        study.ask()
    assert str(caught.value) == "sweep.constraints: must leave something to try, got [train.batch_size > 64]"


@pytest.mark.parametrize("pruner", ["median", "successive_halving", "hyperband"])
def test_poor_members_end_early_and_good_ones_do_not(tmp_path: Path, pruner: str) -> None:
    own = {"name": pruner} | ({"startup_members": 2} if pruner == "median" else {})
    study = opened(tmp_path, ("seed=range(0,24)",), pruner=own)
    ended = {}
    for one in study.ask():
        value = 0.9 - one.number * 0.03
        epochs = [epoch for epoch in range(1, 10) if not study.report(one.number, epoch, value * epoch / 9)]
        ended[one.number] = len(epochs)
        study.tell(came(one, value, "FINISHED" if len(epochs) == 9 else "PRUNED"))
    assert ended[0] == 9
    assert sum(count < 9 for count in ended.values()) > 8


@pytest.mark.parametrize("pruner", ["median", "successive_halving", "hyperband"])
def test_pruning_does_not_depend_on_interruptions(tmp_path: Path, pruner: str) -> None:
    own = {"name": pruner, "reduction_factor": 2, "startup_members": 2}
    ends = []
    for at_once in (24, 5):
        folder = tmp_path / str(at_once)
        folder.mkdir()
        ended: list[int] = []
        while asked := (study := opened(folder, ("seed=range(0,24)",), pruner=own, name="one")).ask(at_once):
            for one in asked:
                value = (one.number * 7 % 24) / 24
                lasts = [epoch for epoch in range(1, 10) if not study.report(one.number, epoch, value * epoch)]
                ended.append(len(lasts))
                study.tell(came(one, value, "FINISHED" if len(lasts) == 9 else "PRUNED"))
        ends.append(ended)
    assert min(ends[0]) < 9
    assert ends[0] == ends[1]


def test_generations_continue_after_a_restart(tmp_path: Path, searches: list[optuna.Study]) -> None:
    def generations() -> list[int]:
        ended = searches[-1].get_trials(states=[optuna.trial.TrialState.COMPLETE])
        return [trial.system_attrs["NSGAIISampler:generation"] for trial in ended]

    study = opened(tmp_path, WIDE, sampler="nsga2", trials=12, batch=4)
    while asked := study.ask():
        for one in asked:
            study.tell(came(one))
    before = generations()
    assert max(before) == 2
    opened(tmp_path, WIDE, sampler="nsga2", trials=16, batch=4)
    assert generations() == before


def test_several_metrics_have_a_direction_each(tmp_path: Path, searches: list[optuna.Study]) -> None:
    study = opened(tmp_path, WIDE, sampler="nsga2", trials=4, metric=["val/accuracy", "multiply_adds"])
    for one in study.ask():
        study.tell(came(one, multiply_adds=100 * one.number))
    assert study.objectives == (("val/accuracy", "maximize"), ("multiply_adds", "minimize"))
    assert [trial.values for trial in searches[-1].best_trials] == [[0.5, 0.0]]


def test_the_path_with_an_effect_is_important(tmp_path: Path) -> None:
    study = opened(tmp_path, ("++optimizer.learning_rate=0.1,0.01,0.001,0.0001", "seed=range(0,4)"))
    for one in study.ask():
        rate, seed = float(one.varied["optimizer.learning_rate"] or 0), int(one.varied["seed"] or 0)
        study.tell(came(one, value=rate + seed * 1e-4))
    shares = study.importances()
    assert list(shares) == ["optimizer.learning_rate", "seed"]
    assert shares["optimizer.learning_rate"] > 0.95
    assert sum(shares.values()) == pytest.approx(1)
