"""The library of blocks that ships, and files of a user's own that join it."""

from pathlib import Path

import pytest
import yaml
from block_configurations import config, faults
from configurations import composed, parse

from runner import composition, launchable
from runner.describe import bound
from runner.errors import ConfigError
from runner.experiment import Experiment


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "conf" / "block"
    folder.mkdir(parents=True)
    return folder


def described(*overrides: str) -> Experiment:
    """As from the command line in the current folder."""
    composed.__globals__["_composed"].cache_clear()
    return parse(composed(*overrides))


def test_a_use_is_changed_from_the_command_line() -> None:
    found = described(
        "model=resnet18", "data=cifar10", "model.layers.3.basic_stage.width=32", "model.params.times=[1,1,1,1]"
    )
    shapes = {row.output.shape[-1] for row in bound(found).rows if "layers[3]" in row.path}
    assert shapes == {32}


def test_blocks_of_the_library_are_known_by_name_and_kept_with_the_configuration() -> None:
    whole = composed(
        "model.layers=[{bottleneck: {width: 4, shortcut: [{projection: {filters: 16}}]}}, flatten, classifier]"
    )
    assert set(whole["model"]["blocks"]) == {"bottleneck", "conv_bn_act", "projection"}
    # So that a run can be launched again from its config.yaml alone.
    assert parse(yaml.safe_load(launchable.as_yaml(whole))) == parse(whole)
    assert "blocks" not in composed("model=lenet5")["model"]


def test_own_blocks_join_the_library_and_win(own: Path) -> None:
    (own / "fire.yaml").write_text("layers: [tanh, tanh]\n")
    (own / "mine.yaml").write_text("params: {n: 3}\nlayers: [{conv: {filters: $n, kernel_size: 1}}, fire]\n")
    found = described("model.input=null", "model.layers=[mine, flatten, classifier]")
    assert [row.kind for row in bound(found).rows] == ["conv", "tanh", "tanh", "flatten", "classifier"]
    # A model's own come before both.
    found = described("model.input=null", "model.layers=[mine, flatten, classifier]", "+model.blocks.fire.layers=[elu]")
    assert [row.kind for row in bound(found).rows] == ["conv", "elu", "flatten", "classifier"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers: [relu", "conf/block/mine.yaml:"),
        ("3", "model.blocks.mine: must have a list of layers, got 3"),
        ("", "must have a list of layers, got"),
        ("[relu]", "must have a list of layers, got [relu]"),
        ("params: {a: ???}\nlayers: []", "must"),
    ],
)
def test_a_file_that_is_no_block(own: Path, text: str, expected: str) -> None:
    (own / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        described("model.layers=[mine, flatten, classifier]")
    assert len(str(caught.value).splitlines()) == 1
    assert expected in str(caught.value)


def test_a_misspelt_block_is_told_the_nearest() -> None:
    assert faults(["own_blok"], {"own_block": {"layers": ["relu"]}}) == [
        'model.layers[0]: unknown layer "own_blok"; did you mean "own_block"?'
    ]
    whole = config([{"botleneck": {"width": 3}}, "rellu"])
    with pytest.raises(ConfigError) as caught:
        parse(whole, composition.BlockLibrary())
    assert str(caught.value).splitlines() == [
        'model.layers[0]: unknown layer "botleneck"; did you mean "bottleneck"?',
        'model.layers[1]: unknown layer "rellu"; did you mean "relu"?',
    ]
