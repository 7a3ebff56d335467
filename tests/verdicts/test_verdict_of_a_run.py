"""A verdict as users meet it: in the terminal, and in the JSON of a run."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import Runner
from configurations import TINY

from runner.verdicts import terminal
from runner.verdicts.baselines import Linear, Majority
from runner.verdicts.verdict import Baselines, as_json, judged

NAMES = ("cat", "dog", "a class with a name that is much too long", "bird")
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
PROBABILITIES = np.full((8, 4), 0.1)
PROBABILITIES[np.arange(8), [0, 0, 1, 1, 1, 2, 2, 0]] = 0.7


def verdict(baselines: Baselines | None = None) -> list[str]:
    return terminal.lines(judged(LABELS, PROBABILITIES, NAMES, baselines=baselines), 80)


def test_the_lines_of_a_verdict() -> None:
    assert verdict(Baselines(Majority(0, 0.375), Linear(5, 6, 64, 1))) == [
        "95 % interval 40.93% to 92.85% (8 test examples)",
        "without a network: a linear classifier 62.50%, the most frequent class 37.50%",
        "balanced accuracy 77.78%, macro F1 0.7556",
        "lowest F1: cat (0.6667), dog (0.8000), a class with a name tha… (0.8000)",
        "calibration error 0.0500; by chance alone it would be up to 0.3250",
    ]
    reduced = verdict(Baselines(Majority(0, 0.375), Linear(5, 6, 64, 2)))
    assert "a linear classifier on means of 2×2 pixels 62.50%" in reduced[1]
    why_not = verdict(Baselines(Majority(0, 0.375), None, "the images are large"))
    assert why_not[1] == ("without a network: the most frequent class 37.50%; no linear classifier, as the")
    assert why_not[2] == "  images are large"
    assert not any("without" in line for line in verdict())


@pytest.mark.parametrize("width", [10, 40, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    found = judged(LABELS, PROBABILITIES, NAMES, baselines=Baselines(Majority(0, 0.375), Linear(5, 6, 64, 2)))
    assert max(map(len, terminal.lines(found, width))) <= max(width, 20)


def test_the_json_of_a_verdict_has_no_value_that_json_lacks() -> None:
    found = as_json(judged(LABELS, PROBABILITIES, NAMES))
    text = json.dumps(found, allow_nan=False)
    assert json.loads(text) == found
    bird = found["classes"][3]
    assert bird == {
        "class": "bird",
        "precision": {"value": 0.0, "low": 0.0, "high": 1.0},
        "recall": {"value": 0.0, "low": 0.0, "high": 1.0},
        "f1": {"value": 0.0, "low": 0.0, "high": 1.0},
        "support": 0,
        "roc_auc": None,
        "average_precision": None,
    }
    assert found["mistakes"] == [
        {"true": "cat", "taken": "dog", "count": 1},
        {"true": NAMES[2], "taken": "cat", "count": 1},
    ]
    assert found["top_5_accuracy"] is None
    assert found["baselines"] is None


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # from MLflow's use of SQLAlchemy
def test_a_run_records_its_verdict(runner: Runner) -> None:
    tracked = (line for line in TINY if not line.startswith("tracking"))
    done = runner(*tracked, "train.epochs=1", "figures=off", "hydra.run.dir=outputs/run")
    assert done.status == 0, done.err

    found = json.loads(Path("outputs/run/verdict.json").read_text())
    once = json.loads(Path("outputs/run/reproduce.json").read_text())["once"]
    assert found["accuracy"]["value"] == pytest.approx(once["test/accuracy"])
    assert found["accuracy"]["low"] == once["test/accuracy_low"]
    assert found["balanced_accuracy"]["value"] == once["test/balanced_accuracy"]
    assert found["macro"]["f1"]["value"] == once["test/f1_macro"]
    assert found["calibration"]["ece"] == once["test/ece"]
    assert 0.05 <= found["calibration"]["temperature"] <= 20
    low, high = once["test/accuracy_low"], once["test/accuracy_high"]
    assert f"  95 % interval {low:.2%} to {high:.2%} ({found['examples']} test examples)\n" in done.out
    assert f"a linear classifier {found['baselines']['linear']['accuracy']:.2%}" in done.out
