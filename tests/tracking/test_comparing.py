"""`diff` and `compare`: what differs between runs, sweeps, folders and files, and their results side by side."""

import difflib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from commands import Runner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from runner.comparing.differences import layer_rows, rows
from runner.tracking import Run, Tracking, start
from runner.tracking.summaries import recorded_name

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's affair with SQLAlchemy

CONFIG: dict[str, Any] = {
    "seed": 0,
    "model": {"name": "small", "layers": [{"conv": {"filters": 6, "kernel_size": 5}}, "relu", "flatten", "classifier"]},
    "data": {"source": "digits"},
    "optimizer": {"name": "adam", "learning_rate": 0.003},
    "train": {"epochs": 2, "batch_size": 32},
}


def written(folder: Path, **changes: Any) -> Path:
    """A folder with the configuration of a run."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG | changes))
    return folder


def recorded(
    uri: str, name: str, accuracy: float, parent: Run | None = None, folder: Path = Path("outputs"), **tags: str
) -> Run:
    run = start(
        Tracking(uri=uri), run_name=name, tags=tags, params={"model.name": "small"}, folder=folder, parent=parent
    )
    for epoch in (1, 2):
        run.log_metrics({"val/accuracy": accuracy * epoch / 2, "val/loss": 1 / epoch}, step=epoch)
    run.log_metrics({recorded_name("best/val_accuracy"): accuracy, recorded_name("test/accuracy"): accuracy}, step=0)
    run.finish("FINISHED")
    return run


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_layers_differ_as_in_a_unified_diff(first: list[str], second: list[str]) -> None:
    found = layer_rows(first, second)
    lines = list(difflib.unified_diff(first, second, n=0, lineterm=""))[2:]
    assert [row.first for row in found if row.first is not None] == [line[1:] for line in lines if line[0] == "-"]
    assert [row.second for row in found if row.second is not None] == [line[1:] for line in lines if line[0] == "+"]


def test_rows_are_the_values_that_differ() -> None:
    found = rows({"a": "1", "b": "2"}, {"b": "3", "c": "4"})
    assert [(row.path, row.first, row.second) for row in found] == [("a", "1", None), ("b", "2", "3"), ("c", None, "4")]


def test_diff_says_what_differs_between_runs_a_folder_and_a_file(runner: Runner, uri: str) -> None:
    layers = [{"conv": {"filters": 8, "kernel_size": 5}}, "relu", {"dropout": {"rate": 0.5}}, "flatten", "classifier"]
    one, two = written(Path("outputs/one")), written(Path("outputs/two"), model={"name": "small", "layers": layers})
    first = recorded(uri, "first", 0.5, folder=one, version="0.1", jax="1")
    recorded(uri, "second", 0.75, folder=two, version="0.2", jax="1")
    store = f"tracking.uri={uri}"
    done = runner("diff", str(first.run_id), str(two), store, "format=json")
    assert done.status == 0, done.err
    parts = json.loads(done.out)
    assert [(row["path"], row["first"], row["second"]) for row in parts["configuration"]] == [
        ("model.layers[0]", "conv: {filters: 6, kernel_size: 5}", "conv: {filters: 8, kernel_size: 5}"),
        ("model.layers[2]", None, "dropout: {rate: 0.5}"),
    ]
    assert [row["path"] for row in parts["code, data and versions"]] == ["convrunner"]
    assert {row["path"]: (row["first"], row["second"]) for row in parts["results"]} == {
        "val/accuracy": ("0.5", "0.75"),
        "best/val_accuracy": ("0.5", "0.75"),
        "test/accuracy": ("0.5", "0.75"),
    }
    # A default that is written out does not differ from one that is left out.
    Path("written.yaml").write_text(
        yaml.safe_dump(CONFIG | {"train": {"epochs": 2, "batch_size": 32, "accumulate": 1}})
    )
    assert runner("diff", "written.yaml", str(one / "config.yaml")).out == "configuration: no difference\n"
    Path("part.yaml").write_text("layers: [relu]\n")
    Path("other.yaml").write_text("layers: [relu, tanh]\nname: other\n")
    assert table(runner("diff", "part.yaml", "other.yaml").out) == [
        ["configuration", "part.yaml", "other.yaml"],
        ["name", "–", "other"],
        ["model.layers[1]", "–", "tanh"],
    ]


def test_compare_shows_runs_and_a_sweep_side_by_side(runner: Runner, uri: str) -> None:
    one = written(Path("outputs/three"))
    single = recorded(uri, "single", 0.5, folder=one)
    sweep = start(Tracking(uri=uri), run_name="the sweep", tags={"sweep": "mine"}, params={}, folder=Path("outputs"))
    for number, accuracy in enumerate((0.25, 0.75, 0.5)):
        folder = written(Path(f"outputs/member{number}"), seed=number)
        recorded(uri, f"member {number}", accuracy, sweep, folder)
    sweep.finish("FINISHED")
    done = runner("compare", str(one), str(sweep.run_id), f"tracking.uri={uri}", "file=curves.png")
    assert done.status == 0, done.err
    lines = table(done.out)
    assert ["seed", "0", "1"] in lines  # the best member stands for the sweep
    assert ["members", "3"] in lines
    assert ["test/accuracy", "50.00%", "75.00%"] in lines
    assert ["test/accuracy", "of", "all", "50.00%", "±", "25.00"] in lines
    assert ["2", "50.00%", "75.00%"] in lines
    assert lines[-2:] == [["1", str(one)], ["2", "the", "sweep"]]
    with Image.open("curves.png") as image:
        assert np.asarray(image.convert("L")).std() > 5
    named = (str(sweep.run_id), "outputs")  # by its folder as by its id
    [by_id, by_folder] = json.loads(runner("compare", *named, f"tracking.uri={uri}", "format=json").out)
    assert by_folder == by_id | {"name": "outputs"}
    [found, _] = json.loads(runner("compare", str(single.run_id), str(one), f"tracking.uri={uri}", "format=json").out)
    assert found["history"]["2"] == {"val/accuracy": 0.5, "val/loss": 0.5}


@pytest.mark.parametrize(
    ("params", "best"),
    [
        ({}, "accurate"),
        ({"train.monitor.metric": "val/loss"}, "low"),
        ({"train.monitor.metric": "val/loss", "train.monitor.direction": "maximize"}, "accurate"),
        ({"train.monitor.direction": "minimize"}, "low"),
    ],
    ids=["by default", "loss", "largest loss", "least accuracy"],
)
def test_the_best_member_is_that_of_the_metric_that_the_members_monitor(
    runner: Runner, uri: str, params: dict[str, str], best: str
) -> None:
    sweep = start(Tracking(uri=uri), run_name="sweep", tags={}, params={}, folder=Path("sweep"))
    for name, accuracy, loss in (("accurate", 0.9, 0.5), ("low", 0.8, 0.1)):
        member = start(Tracking(uri=uri), run_name=name, tags={}, params=params, folder=Path(name), parent=sweep)
        member.log_metrics({"best_val_accuracy": accuracy, "best_val_loss": loss}, step=0)
        member.finish("FINISHED")
    sweep.finish("FINISHED")
    done = runner("compare", str(sweep.run_id), str(sweep.run_id), f"tracking.uri={uri}", "format=json")
    assert [side["best"] for side in json.loads(done.out)] == [best, best]


def test_a_folder_with_a_quote_in_its_name_is_found_in_the_store(runner: Runner, uri: str) -> None:
    folder = written(Path("outputs/Ada's"))
    recorded(uri, "hers", 0.5, folder=folder)
    done = runner("compare", str(folder), str(folder), f"tracking.uri={uri}", "format=json")
    assert json.loads(done.out)[0]["history"]["2"] == {"val/accuracy": 0.5, "val/loss": 0.5}


def test_more_sides_than_fit_stand_in_tables_below(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"{number}.yaml" for number in range(1, 15)]
    for number, name in enumerate(names):
        Path(name).write_text(yaml.safe_dump({"loss": {"label_smoothing": 0.1234567 + number / 100}}))
    lines = runner("compare", *names).out.splitlines()
    assert max(map(len, lines)) <= 80
    values = [value for line in lines if line.startswith("loss.") for value in line.split()[1:]]
    assert values == [repr(0.1234567 + number / 100) for number in range(14)]
    numbers = [number for line in lines if line.startswith("settings") for number in line.split()[3:]]
    assert numbers == [str(number) for number in range(1, 15)]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("diff", "."), "command line: must name 2 runs, folders or YAML files, got ."),
        (("diff", ".", ".", "."), "command line: must name 2 runs, folders or YAML files, got . . ."),
        (("compare",), "command line: must name 2 or more runs, folders or YAML files, got nothing"),
        (("diff", ".", "."), "command line: must name runs, YAML files, or folders with config.yaml, got ."),
        (("compare", ".", ".", "file=a.pdf"), "file: must end in .png or .svg, got a.pdf"),
        (("diff", "list.yaml", "list.yaml"), "list.yaml: must be a mapping, got [1]"),
    ],
)
def test_a_mistake_is_one_line(runner: Runner, arguments: tuple[str, ...], line: str) -> None:
    Path("list.yaml").write_text("[1]\n")
    done = runner(*arguments)
    assert (done.status, done.out, done.err) == (2, "", f"{line}\n")


def test_a_name_that_is_no_run_is_one_line(runner: Runner, uri: str) -> None:
    done = runner("diff", "0123456789", ".", f"tracking.uri={uri}")
    assert done.err == f"run: must be a run that {uri} has, got 0123456789\n"
