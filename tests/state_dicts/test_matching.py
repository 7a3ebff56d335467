"""The names of the common libraries, sorted as a .safetensors file sorts them, find the layers they are."""

from typing import Any

import numpy as np
import pytest
from configurations import experiment
from torchvision_names import STATE_DICTS

from runner.errors import ConfigError
from runner.layers.base import Shape
from runner.model import Model
from runner.records import frozen
from runner.state_dicts import Slot, slots, translated
from runner.state_dicts.layout import Array, modules
from runner.state_dicts.matching import matched

CONV = {"conv": {"filters": 4, "kernel_size": 3, "padding": 1, "use_bias": False}}


def of_shapes(shapes: dict[str, Shape]) -> dict[str, Array]:
    """Arrays without memory of their own."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def zoo(name: str) -> list[Slot]:
    return slots(experiment(f"model={name}", "data=imagenet").model.bind((224, 224, 3), 1000).layers, (224, 224, 3))


def small(*layers: Any, shape: Shape = (8, 8, 4), fresh: tuple[str, ...] = ()) -> list[Slot]:
    net = Model.model_validate(frozen({"name": "net", "layers": list(layers)})).bind(shape, 10)
    return slots(net.layers, shape, fresh=fresh)


def pairs(wanted: list[Slot], shapes: dict[str, Shape], *, ordered: bool = False) -> dict[str, str]:
    """Layer by layer, the module that it is found to be."""
    names = shapes if ordered else sorted(shapes)
    state = of_shapes({name: shapes[name] for name in names})
    return {slot.path: module.name for slot, module in matched(wanted, modules(state), ordered=ordered)}


def refused(wanted: list[Slot], shapes: dict[str, Shape], *, ordered: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        pairs(wanted, shapes, ordered=ordered)
    return str(caught.value)


@pytest.mark.parametrize("name", STATE_DICTS)
def test_sorted_names_match_the_layers_of_the_zoo(name: str) -> None:
    shapes = STATE_DICTS[name]
    found = pairs(zoo(name), shapes)
    assert found == pairs(zoo(name), shapes, ordered=True)
    # torchvision declares its modules in the order in which they compute, but for GoogLeNet's side heads.
    own = [module.name for module in modules(of_shapes(shapes))]
    last = [part for part in own if not part.startswith("aux")]
    assert [part for part in found.values() if not part.startswith("aux")] == last
    heads = {path: part for path, part in found.items() if part.startswith("aux")}
    assert all("auxiliary" in path for path in heads)
    assert list(heads.values()) == [part for part in own if part.startswith("aux")]


def test_a_prefix_around_everything_changes_nothing() -> None:
    shapes = {f"module.net.{name}": shape for name, shape in STATE_DICTS["resnet18"].items()}
    expected = pairs(zoo("resnet18"), STATE_DICTS["resnet18"])
    assert pairs(zoo("resnet18"), shapes) == {path: f"module.net.{name}" for path, name in expected.items()}


def test_numbers_in_names_are_sorted_as_numbers() -> None:
    shapes = {f"net.{2 * number}.weight": (4, 4, 3, 3) for number in range(12)} | {"net.30.weight": (10, 4)}
    wanted = small(*[CONV] * 12, "global_avg_pool", {"classifier": {"use_bias": False}})
    assert list(pairs(wanted, shapes).values()) == [f"net.{2 * number}" for number in range(12)] + ["net.30"]


def test_two_possible_orders_are_refused() -> None:
    shapes = {"first.weight": (4, 4, 3, 3), "again.weight": (4, 4, 3, 3), "head.weight": (10, 4), "head.bias": (10,)}
    wanted = small(CONV, CONV, "global_avg_pool", "classifier")
    assert refused(wanted, shapes) == (
        "model.weights: must show by its names (or, as an .npz, by its order) which module is layers[0].conv, "
        "got again and first"
    )
    assert list(pairs(wanted, shapes, ordered=True).values()) == ["first", "again", "head"]


LENET: dict[str, Shape] = {
    "features.0.weight": (6, 1, 5, 5),
    "features.0.bias": (6,),
    "features.3.weight": (16, 6, 5, 5),
    "features.3.bias": (16,),
    "classifier.0.weight": (120, 400),
    "classifier.0.bias": (120,),
    "classifier.2.weight": (84, 120),
    "classifier.2.bias": (84,),
    "classifier.4.weight": (10, 84),
    "classifier.4.bias": (10,),
}


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"features.3.weight": (16, 6, 3, 3)},
            "must fit layers[3].conv.kernel 5×5×6×16, got features.3.weight 16×6×3×3",
        ),
        ({"classifier.4.weight": (7, 84)}, "must fit layers[11].classifier.kernel 84×10, got classifier.4.weight 7×84"),
        ({"classifier.2.bias": None}, "must fit layers[9].dense.bias 84, got classifier.2 without it"),
        (
            {"classifier.4.weight": None, "classifier.4.bias": None},
            "must hold layers[11].classifier.kernel 84×10, got no further module",
        ),
        (
            {"classifier.6.weight": (10, 10), "classifier.6.bias": (10,)},
            "must end with layers[11].classifier, got classifier.6.weight 10×10 too",
        ),
        (
            {"features.0.running_mean": (6,)},
            "must fit layers[0].conv, which has no running_mean, got features.0.running_mean 6",
        ),
        ({"features.0.gamma": (6,)}, "must fit layers[0].conv, which has no gamma, got features.0.gamma 6"),
    ],
)
@pytest.mark.parametrize("ordered", [False, True])
def test_a_mismatch_is_one_line_that_names_both(changed: dict[str, Any], line: str, ordered: bool) -> None:
    shapes = {name: shape for name, shape in (LENET | changed).items() if shape is not None}
    wanted = slots(experiment("model=lenet5").model.bind((32, 32, 1), 10).layers, (32, 32, 1))
    said = refused(wanted, shapes, ordered=ordered)
    assert said == f"model.weights: {line}"


def test_a_fresh_layer_skips_a_module_of_its_kind() -> None:
    layers = experiment("model=lenet5").model.bind((32, 32, 1), 10).layers
    kept = pairs(slots(layers, (32, 32, 1), fresh=("classifier",)), LENET | {"classifier.4.weight": (1000, 84)})
    assert kept == {
        **{"0_conv": "features.0", "3_conv": "features.3", "7_dense": "classifier.0", "9_dense": "classifier.2"}
    }
    without = {name: shape for name, shape in LENET.items() if not name.startswith("classifier.4")}
    assert pairs(slots(layers, (32, 32, 1), fresh=("classifier",)), without) == kept
    middle = pairs(slots(layers, (32, 32, 1), fresh=("3_conv",)), LENET | {"features.3.weight": (9, 6, 3, 3)})
    assert "3_conv" not in middle
    assert middle["7_dense"] == "classifier.0"


def test_too_many_orders_are_refused_quickly() -> None:
    # Twelve modules that nothing tells apart, and then one that does not fit.
    shapes: dict[str, Shape] = {f"{letter}.weight": (4, 4, 3, 3) for letter in "abcdefghijkl"}
    wanted = small(*[CONV] * 12, "global_avg_pool", "classifier")
    assert refused(wanted, shapes | {"z.weight": (9, 4), "z.bias": (9,)}) == (
        "model.weights: must have names that show the order of its modules, got too many possible orders"
    )


def test_names_without_modules_are_layers_too() -> None:
    state = {"weight": np.arange(20.0).reshape(10, 2), "bias": np.zeros(10)}
    found = translated(small("classifier", shape=(2,)), state)
    np.testing.assert_array_equal(found["0_classifier.kernel"], state["weight"].T)
