"""`why` names the file and line, or the override, that a value comes from: held against what Hydra composes."""

import re
from pathlib import Path
from typing import Any

import pytest
from commands import Runner
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from runner.composition import for_hydra, origins, shipped
from runner.errors import shown
from runner.strict_yaml import plain_value

COMMANDS = [
    (),
    ("experiment=textbook", "optimizer.learning_rate=3"),
    ("experiment=cifar10_fast", "debug=overfit", "train.clip.norm=1.5"),
    ("model=resnet152", "model.params.times=[1,1,1,1]", "data=cifar10"),
    ("model=textcnn", "data=text", "schedule=step", "optimizer={name: sgd, learning_rate: 0.5}"),
    ("model.layers.3.conv.filters=5", "tracking=off", "augment=mnist_affine", "sweep=tune"),
]


def leaves(value: Any, path: str = "") -> dict[str, str]:
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        parts = [leaves(inner, f"{path}.{key}" if path else str(key)) for key, inner in items]
        return {name: text for part in parts for name, text in part.items()}
    return {path: "{}" if value == {} else shown(value, 1000)}


@pytest.mark.parametrize("overrides", COMMANDS, ids=str)
def test_the_last_origin_of_each_value_is_what_hydra_composes(overrides: tuple[str, ...]) -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(shipped())):
        raw = OmegaConf.to_container(compose("config", overrides=for_hydra(list(overrides))), resolve=False)
    last = {origin.path: origin for origin in origins(overrides)}
    for path, text in leaves(raw).items():
        origin = last[path]
        as_written = origin.value if "${" in origin.value else shown(plain_value(origin.value), 1000)
        assert text in (origin.value, as_written), path
        if origin.place == "command line":
            assert any(path.startswith(override.partition("=")[0]) for override in overrides)
        else:
            name, _, line = origin.place.rpartition(":")
            key = [part for part in path.split(".") if not part.isdigit()][-1]
            text = (shipped().parent / name).read_text().splitlines()[int(line) - 1]
            assert origin.value.split("\n")[0] in text or key in text, origin


def test_what_was_replaced_follows_the_value(runner: Runner) -> None:
    done = runner("why", "optimizer.learning_rate", "experiment=textbook", "optimizer.learning_rate=3")
    assert [line.rstrip() for line in done.out.splitlines()] == [
        "optimizer.learning_rate  3                command line",
        "                           replaces 0.02  conf/experiment/textbook.yaml:10",
        "                           replaces 0.1   conf/optimizer/sgd.yaml:4",
    ]


def test_a_group_is_shown_with_its_defaults_and_an_interpolation_with_its_value(runner: Runner) -> None:
    lines = [line.split() for line in runner("why", "tracking").out.splitlines()]
    assert ["tracking.experiment", "digits", "(${data.name})", "conf/tracking/local.yaml:4"] in lines
    assert ["tracking.run_name", "null", "default"] in lines
    layer = runner("why", "model.layers[3]").out
    assert re.search(r"model\.layers\.3\.conv\.filters +16 +conf/model/lenet5\.yaml:10", layer)


def test_each_member_of_a_sweep_is_explained(runner: Runner) -> None:
    lines = runner("why", "seed", "-m", "seed=5,7").out.splitlines()
    assert [line.split() for line in lines if line.startswith("seed")] == [
        ["seed", "5", "command", "line"],
        ["seed", "7", "command", "line"],
    ]


def test_an_own_file_is_named(runner: Runner) -> None:
    Path("conf/optimizer").mkdir(parents=True)
    Path("conf/optimizer/mine.yaml").write_text("name: sgd\n\nlearning_rate: 0.25\n")
    line = runner("why", "optimizer.learning_rate", "optimizer=mine").out
    assert line.split() == ["optimizer.learning_rate", "0.25", "conf/optimizer/mine.yaml:3"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "command line: must name one setting, such as optimizer.learning_rate, got ''"),
        (("seed", "train"), "command line: must name one setting, such as optimizer.learning_rate, got seed train"),
        (
            ("optimizer.lerning_rate",),
            'command line: unknown setting "optimizer.lerning_rate"; did you mean "optimizer.learning_rate"?',
        ),
        (("seed", "seed=x"), "seed: must be a whole number, got x"),
    ],
)
def test_a_mistake_is_one_line(runner: Runner, arguments: tuple[str, ...], line: str) -> None:
    done = runner("why", *arguments)
    assert (done.status, done.out, done.err) == (2, "", f"{line}\n")
