"""Too few values to normalise: refused before anything is compiled, as PyTorch refuses them in training."""

from typing import Any

import pytest
from alone import told

from runner.layers.base import Step
from runner.model import Model
from runner.records import frozen

BATCH_NORM_OF_ONE = "must have at least 2 values per channel to normalise, from train.batch_size ({}) / "
BATCH_NORM_OF_ONE += "train.accumulate ({}) images of 1 position, got 1"
FLAT: list[Any] = ["flatten", {"dense": {"units": 3}}]


def refused(layers: list[Any], *, batch_size: int = 1, accumulate: int = 1, freeze: tuple[str, ...] = ()) -> list[str]:
    model = Model.model_validate(frozen({"name": "refused", "layers": layers}))
    return [str(fault) for fault in model.survey((4, 4, 2), 10, step=Step(batch_size, accumulate, freeze)).faults]


@pytest.mark.parametrize(("batch_size", "accumulate"), [(1, 1), (8, 8), (2, 1), (8, 4), (256, 1)])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (4, 4), None], ids=str)
def test_a_batch_of_one_value_per_channel_is_refused_where_pytorch_refuses_it(
    batch_size: int, accumulate: int, size: tuple[int, int] | None
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images = batch_size // accumulate
    if size is None:
        layers, theirs, x = [*FLAT, "batch_norm"], torch.nn.BatchNorm1d(3), torch.ones(images, 3)
    else:
        pool = {"avg_pool": {"size": [4 // size[0], 4 // size[1]]}}
        layers, theirs, x = [pool, "batch_norm", "flatten"], torch.nn.BatchNorm2d(2), torch.ones(images, 2, *size)
    try:
        theirs(x)
        expected = []
    except ValueError:  # Expected more than 1 value per channel when training
        where = f"model.layers[{layers.index('batch_norm')}].batch_norm"
        expected = [f"{where}: {BATCH_NORM_OF_ONE.format(batch_size, accumulate)}"]
    assert refused([*layers, "classifier"], batch_size=batch_size, accumulate=accumulate) == expected


# An entry that holds a batch_norm, where that stands in the YAML, and its place in the tree of parameters.
WITHIN: list[tuple[Any, str, str]] = [
    ({"residual": {"layers": ["batch_norm"]}}, "residual.layers[0]", "2_residual.layers.0_batch_norm"),
    ({"branches": {"paths": [["relu"], ["batch_norm"]]}}, "branches.paths[1][0]", "2_branches.1.0_batch_norm"),
    (
        {"auxiliary": {"layers": ["batch_norm", "classifier"]}},
        "auxiliary.layers[0]",
        "2_auxiliary.layers.0_batch_norm",
    ),
]


@pytest.mark.parametrize(("entry", "path", "place"), WITHIN, ids=lambda value: str(value)[:40])
def test_it_is_found_in_layers_that_hold_layers(entry: Any, path: str, place: str) -> None:
    layers = [*FLAT, entry, "classifier"]
    assert refused(layers) == [f"model.layers[2].{path}.batch_norm: {BATCH_NORM_OF_ONE.format(1, 1)}"]
    assert not refused(layers, batch_size=2)
    for freeze in ("batch_norm", place, place.split(".")[0]):
        assert not refused(layers, freeze=(freeze,))
    assert refused(layers, freeze=("0_conv",))


def test_of_a_repetition_every_copy_is_looked_at() -> None:
    layers = [*FLAT, {"repeat": {"times": 2, "layers": ["relu", "batch_norm"]}}, "classifier"]
    copies = tuple(f"2_repeat.layers.{number}_batch_norm" for number in (1, 3))
    assert refused(layers) == [f"model.layers[2].repeat.layers[1].batch_norm: {BATCH_NORM_OF_ONE.format(1, 1)}"]
    assert not refused(layers, freeze=copies)
    assert not refused(layers, freeze=("layers[2].repeat.layers[1]",))  # as the fault names it
    for one in copies:
        assert len(refused(layers, freeze=(one,))) == 1


def test_what_stays_as_it_is_does_not_look_at_the_batch() -> None:
    for freeze in (("2_batch_norm",), ("2_batch_norm.mean",)):
        assert not refused([*FLAT, "batch_norm", "classifier"], freeze=freeze)
    assert not told(*FLAT, "batch_norm", "classifier")  # nobody trains


def test_one_channel_is_not_normalised() -> None:
    pool = {"conv": {"filters": 1, "kernel_size": 1}}
    assert told(pool, "layer_norm", "flatten", "classifier") == [
        "model.layers[1].layer_norm: must have at least 2 channels to normalise, got 1"
    ]
    assert told(pool, "softmax", "flatten", "classifier") == [
        "model.layers[1].softmax: must have at least 2 channels, got 1"
    ]
    assert not told(pool, "local_response_norm", "flatten", "classifier")  # x / (k + α x²)^β still depends on x


def test_groups_of_one_value_are_refused() -> None:
    rule = "must have at least 2 values per group to normalise, got 1"
    pool = {"avg_pool": {"size": 8}}
    assert told(pool, "instance_norm", "flatten", "classifier") == [f"model.layers[1].instance_norm: {rule}"]
    assert told(pool, {"group_norm": {"groups": 3}}, "flatten", "classifier") == [f"model.layers[1].group_norm: {rule}"]
    assert not told(pool, {"group_norm": {"groups": 1}}, "flatten", "classifier")
    assert not refused(["instance_norm", "flatten", "classifier"])  # a batch of one image is enough
