"""The diagram of a network, read back from its SVG."""

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest
from configurations import experiment

from runner.explaining.outline import Box, Group, outline
from runner.figures.diagram import diagram
from runner.layers import sequence
from runner.network import Network

SVG = "{http://www.w3.org/2000/svg}"
MODELS = ["lenet5", "resnet20_cifar", "resnet50", "googlenet", "densenet121", "mobilenet_v1", "squeezenet1_0"]


def network(model: str) -> Network:
    return experiment(f"model={model}", "data=cifar10").network((32, 32, 3), 10)


def drawn(own: Network) -> ElementTree.Element:
    found = outline(own)
    return ElementTree.fromstring(diagram(found.input, found.parts, "net <1>", "5 parameters"))


def boxes(node: ElementTree.Element, x: float = 0, y: float = 0) -> list[tuple[str, float, float, float, float]]:
    """The rectangles of layers and of groups with their places, as `layer` or `group`."""
    found = []
    if moved := re.match(r"translate\(([-\d.]+),([-\d.]+)\)", node.get("transform", "")):
        x, y = x + float(moved[1]), y + float(moved[2])
    for child in node:
        if child.tag == f"{SVG}rect" and child.get("rx") in ("5", "7"):
            left, top = x + float(child.get("x", 0)), y + float(child.get("y", 0))
            kind = "layer" if child.get("rx") == "5" else "group"
            found.append((kind, left, top, left + float(child.get("width", 0)), top + float(child.get("height", 0))))
        found += boxes(child, x, y)
    return found


@pytest.mark.parametrize("model", MODELS)
def test_layers_lie_beside_each_other_inside_the_picture(model: str) -> None:
    picture = drawn(network(model))
    found = boxes(picture)
    assert len(found) > 8
    width, height = float(picture.get("width", 0)), float(picture.get("height", 0))
    for _, left, top, right, bottom in found:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    for (_, *one), (_, *other) in combinations([box for box in found if box[0] == "layer"], 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, (one, other)


def test_a_layer_without_settings_has_a_box_of_one_line() -> None:
    box = Box("batch_norm", "", "8×8×16", 64, "norm")
    lower = Box("conv", "filters 16", "8×8×16", 448, "conv")
    picture = ElementTree.fromstring(diagram("8×8×3", (box, lower), "net", "5 parameters"))
    one, two = [bottom - top for kind, _, top, _, bottom in boxes(picture) if kind == "layer"]
    assert one < 30 < two
    assert all(text.text for text in picture.iter(f"{SVG}text"))


def test_a_diagram_says_sizes_settings_and_joints() -> None:
    texts = [text.text for text in drawn(network("resnet20_cifar")).iter(f"{SVG}text")]
    assert {"net <1>", "32×32×3", "8×8×64", "+", "input", "classifier"} <= set(texts)
    assert any("kernel_size 3" in (text or "") for text in texts)


def test_an_outline_has_every_layer_once() -> None:
    def count(parts: tuple[Box | Group, ...]) -> int:
        return sum(1 if isinstance(part, Box) else sum(map(count, part.paths)) for part in parts)

    own = network("googlenet")
    layers = (layer for layer in sequence.every(own.layers) if not layer.kind.startswith("$"))
    leaves = [layer for layer in layers if not any(True for _ in layer.held())]
    assert count(outline(own).parts) == len(leaves)

    def groups(parts: tuple[Box | Group, ...]) -> list[Group]:
        own = [part for part in parts if isinstance(part, Group)]
        return own + [inner for group in own for path in group.paths for inner in groups(path)]

    inceptions = [group for group in groups(outline(own).parts) if group.joint == "concat"]
    assert [len(group.paths) for group in inceptions] == [4] * 9


def test_the_input_itself_is_a_path_of_a_dense_connection_and_a_side_head_joins_nothing() -> None:
    layers = (
        "model.layers=[{dense_connection: {layers: [{conv: {filters: 2, kernel_size: 3, padding: same}}]}}, "
        "{auxiliary: {layers: [flatten, classifier]}}, {repeat: {times: 3, layers: [relu]}}, flatten, classifier]"
    )
    own = experiment("model=lenet5", "data=cifar10", layers).network((32, 32, 3), 10)
    dense, side, repeat, *_ = outline(own).parts
    assert isinstance(dense, Group)
    assert isinstance(side, Group)
    assert isinstance(repeat, Group)
    assert (dense.joint, [len(path) for path in dense.paths], dense.shape) == ("concat", [0, 1], "32×32×5")
    assert (side.joint, side.side, [len(path) for path in side.paths]) == ("", True, [0, 2])
    assert repeat.title == "3 ×"
    assert len(boxes(drawn(own))) == 9
