"""Overrides, interpolations and YAML end after bounded work, whatever they say."""

import re
from pathlib import Path
from typing import Any

import pytest
from commands import Runner
from omegaconf import ValueNode

from runner import limits
from runner.composition import interpolations


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("seed=range(0,100000000)", "-m"), "seed: must list at most 100,000 values (an interval lists none), got"),
        (("seed=range(0,1,1e-300)", "-m"), "seed: must list at most 100,000 values"),
        (("sweep.space={seed: 'range(0,100000000)'}", "-m"), "sweep.space.seed: must list at most 100,000 values"),
        (("+hydra.sweeper.params.seed='range(0,100000000)'", "-m"), "hydra.sweeper.params.seed: must list at most"),
        (
            ("seed=range(0,1000)", "train.batch_size=range(1,1000)", "train.epochs=range(1,1000)", "-m"),
            "sweep.space: must have at most 100000 combinations, got 998001000",
        ),
        (
            (
                "seed=range(0,1000)",
                "train.batch_size=range(1,1000)",
                "train.epochs=range(1,1000)",
                "hydra/sweeper=basic",
                "-m",
            ),
            "command line: must have at most 100,000 combinations, got 998,001,000",
        ),
        (("model.layers=" + "[" * 3000,), "command line: must have at most 48 brackets inside one another, got more"),
        (("model.layers=" + "[" * 49 + "]" * 49,), "command line: must have at most 48 brackets inside one another"),
        (("model.name=" + "x" * 20_000,), "command line: must have overrides of at most 16,384 characters, got 20,011"),
    ],
)
def test_unbounded_overrides_are_refused(runner: Runner, arguments: tuple[str, ...], line: str) -> None:
    done = runner(*arguments)
    assert done.status == 2
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith(line)


def doubled(count: int, leaf: str) -> list[str]:
    """Overrides of which each is twice the one before."""
    return [f"+bomb.a0={leaf}", *(f"+bomb.a{i}=${{bomb.a{i - 1}}}${{bomb.a{i - 1}}}" for i in range(1, count))]


BOMBS = {
    "texts": (doubled(30, "x"), "must need at most 10,000 interpolations, got more"),
    "lists": (
        ["+bomb.a0=[x]", *(f"+bomb.a{i}=[${{bomb.a{i - 1}}},${{bomb.a{i - 1}}}]" for i in range(1, 30))],
        "must need at most 10,000 interpolations, got more",
    ),
    "long texts": (
        [f"+bomb.a0={'x' * 10_000}", "+bomb.a1=" + "${bomb.a0}" * 16, "+bomb.a2=" + "${bomb.a1}" * 16],
        "must give at most 1,048,576 characters and values, got more",
    ),
    "a chain": (
        ["+bomb.a0=x", *(f"+bomb.a{i}=${{bomb.a{i - 1}}}" for i in range(1, 200))],
        "must need at most 24 interpolations inside one another, got more",
    ),
    "of Hydra's own": ([*doubled(20, "x"), "hydra.run.dir=${bomb.a19}"], "must need at most 10,000 interpolations"),
}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of every text, and 1 for all else, that OmegaConf resolves."""
    found: list[int] = []
    own = interpolations.resolve_parse_tree

    def noted(*arguments: Any, **named: Any) -> Any:
        value = own(*arguments, **named)
        found.append(len(str(value)) if isinstance(value, str | ValueNode) else 1)
        return value

    monkeypatch.setattr(interpolations, "resolve_parse_tree", noted)
    return found


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("mode", ["overrides", "file", "sweep", "shown"])
def test_interpolations_end_after_bounded_work(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, steps: list[int], kind: str, mode: str
) -> None:
    overrides, rule = BOMBS[kind]
    if "10,000 interpolations" in rule:  # as many take seconds
        monkeypatch.setattr(limits, "INTERPOLATIONS", 400)
        rule = rule.replace("10,000", "400")
    if mode == "file":
        lines = [f"  {path.removeprefix('+bomb.')}: {value}" for path, _, value in map(partitioned, overrides)]
        Path("conf/experiment").mkdir(parents=True)
        own = [line for line in lines if "hydra" not in line]
        hydra = ["hydra: {run: {dir: '${bomb.a19}'}}"] if own != lines else []
        quoted = (re.sub(r"(?<=[\[,])(\$[^,\]]*)", r'"\1"', line) for line in own)
        text = "\n".join(["# @package _global_", "bomb:", *quoted, *hydra])
        Path("conf/experiment/bomb.yaml").write_text(text + "\n")
        overrides = ["experiment=bomb"]
    more = {"sweep": ("seed=0,1", "-m"), "shown": ("--cfg=hydra", "--resolve")}.get(mode, ())
    done = runner("train", *overrides, *more)
    assert (done.status, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert rule in line
    assert len(steps) <= 3 * limits.INTERPOLATIONS
    assert sum(steps) <= 3 * limits.INTERPOLATED_SIZE


def partitioned(text: str) -> tuple[str, str, str]:
    return text.partition("=")
