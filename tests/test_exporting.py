"""Exported files: whole networks as other programs compute them, the model card, and what a user is told."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from commands import Runner
from configurations import TINY, arrays_file, begun, composed, parse
from golden.cases import write_texts
from jax import export as jax_export
from safetensors.numpy import load_file

from runner import exporting, weights
from runner.errors import ConfigError
from runner.exporting import Format, export, stablehlo
from runner.launchable import as_yaml
from runner.trained import Trained

NORMALISED = (
    "model.layers=[{conv: {filters: 4, kernel_size: 3}}, batch_norm, relu, {repeat: {times: 2, layers: [{conv: "
    "{filters: 4, kernel_size: 1}}, relu]}}, {dropout: {rate: 0.2}}, flatten, classifier]"
)
PLAIN = "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, flatten, classifier]"
CASES: dict[str, tuple[str, ...]] = {
    "resized and mirrored": (NORMALISED, "model.input={height: 11, width: 6}", "train.test_time.views=mirror"),
    "padded": (PLAIN, "model.input={height: 11, width: 9, fit: pad}", "data.mean=[0.5]"),
    "cropped": (PLAIN, "model.input={height: 5, width: 8, fit: crop}", "loss=squared_error"),
    "ten crops": (
        *(PLAIN, "model.input={height: 11, width: 9, fit: pad}"),
        "train.test_time={views: ten_crops, margin: 3}",
    ),
    "five crops": (PLAIN, "train.test_time={views: five_crops, margin: 2}", "loss=squared_error"),
    "bfloat16": (NORMALISED, "train.precision=bfloat16"),
    "signals": (
        *("data=arrays", "data.root=signals.npz", "data.axes=lc", "data.range=[-2, 2]"),
        "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, global_avg_pool, classifier]",
    ),
    "labels": (
        *(PLAIN, "task=multi_label", "data.targets={is_even: [0, 2, 4, 6, 8], is_one: [1]}"),
        "train.test_time={views: five_crops, margin: 2}",
    ),
    "numbers": (
        *(PLAIN, "task=regression", "loss=huber", "data.targets={ink: ink, angle: {rotation: 45}}"),
        "train.test_time={views: five_crops, margin: 2}",
    ),
    "texts": (
        *("data=text", "data.root=texts.csv", "data.length=6"),
        "model.layers=[{embedding: {dim: 6}}, {conv: {filters: 5, kernel_size: 2}}, global_max_pool, classifier]",
    ),
}


def network(*overrides: str) -> tuple[dict[str, Any], Trained]:
    """A configuration, and a network of it that was trained for no step."""
    config = composed(*TINY, *overrides)
    return config, begun(parse(config)).trained({"val/accuracy": 0.25})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    config, trained = network()
    trained.save(folder, as_yaml(config))
    return folder


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow) if case in ("ten crops", "five crops", "numbers") else case
        for case in CASES
    ],
)
@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_a_file_computes_what_we_do(case: str, form: Format, tmp_path: Path) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime", reason="needs the extra onnx: make oracle")
    arrays_file(Path.cwd(), length=8)
    write_texts(Path.cwd())
    _, trained = network(*CASES[case])
    done = export(trained, form, tmp_path / "network")
    assert done.deviation is not None
    assert done.deviation < 1e-5
    assert done.size_bytes == done.path.stat().st_size > 100


def test_stablehlo_is_for_every_platform_and_any_number_of_images(run: Path, runner: Runner) -> None:
    assert runner("export", f"run={run}", "format=stablehlo").status == 0
    loaded = jax_export.deserialize(bytearray(Path("tiny.stablehlo").read_bytes()))
    assert loaded.platforms == ("cpu", "cuda", "tpu")
    assert str(loaded.in_avals[0].shape) == "(n, 8, 8, 1)"


def test_onnx_names_layers_and_classes(run: Path, runner: Runner) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra onnx: make oracle")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra onnx: make oracle")
    done = runner("export", f"run={run}", "format=onnx", "file=digits.onnx")
    assert (done.status, done.err) == (0, "")
    assert "from ours by onnxruntime, relative to the largest output\n" in done.out
    made = onnx.load("digits.onnx")
    assert {value.name for value in made.graph.initializer} >= {"0_conv.kernel", "0_conv.bias", "4_classifier.kernel"}
    assert {node.name for node in made.graph.node} >= {"0_conv.Conv", "1_relu.Relu", "2_max_pool.MaxPool"}
    session = runtime.InferenceSession("digits.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == [str(digit) for digit in range(10)]
    assert session.get_inputs()[0].shape == ["n", 8, 8, 1]
    assert [(one.name, one.shape) for one in session.get_outputs()] == [
        ("probabilities", ["n", 10]),
        ("outputs", ["n", 10]),
    ]


def test_safetensors_has_the_weights_under_the_paths_of_their_layers(run: Path, runner: Runner) -> None:
    assert runner("export", f"run={run}", "format=safetensors").status == 0
    found = load_file("tiny.safetensors")
    assert {name: array.shape for name, array in found.items()} == {
        "0_conv.kernel": (3, 3, 1, 4),
        "0_conv.bias": (4,),
        "4_classifier.kernel": (36, 10),
        "4_classifier.bias": (10,),
    }
    kept = weights.read(run / "weights.safetensors")
    assert all(np.array_equal(kept[name], array) for name, array in found.items())


@pytest.mark.parametrize("form", ["stablehlo", "safetensors"])
def test_the_card_says_how_to_load_the_file_and_its_code_works(run: Path, runner: Runner, form: str) -> None:
    assert runner("export", f"run={run}", f"format={form}").status == 0
    card = Path(f"tiny.{form}.md").read_text(encoding="utf-8")
    code = card.partition("```python\n")[2].partition("\n```")[0]
    names: dict[str, Any] = {"images": np.zeros((2, 8, 8, 1), np.uint8)}
    exec(code, names)
    if form == "stablehlo":
        assert names["probabilities"].shape == (2, 10)
        assert "uint8 (n, 8, 8, 1) for any n: bytes, 0 is black and 255 is white." in card
    else:
        assert "| `0_conv.kernel` | 3×3×1×4 |" in card
    for part in ("| val/accuracy | 0.25 |", "- 10 classes: 0, 1, 2,", "| `layers[0].conv` | 6×6×4 | 40 |", "digest `"):
        assert part in card


def test_outputs_are_compared_where_probabilities_are_saturated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, trained = network()

    def scaled(factor: float) -> Trained:
        return dataclasses.replace(trained, params=jax.tree.map(lambda leaf: leaf * factor, trained.params))

    # As a file whose weights are not quite ours: the probabilities of both are 0 and 1.
    made = stablehlo.content(scaled(1.01e4))
    monkeypatch.setattr(stablehlo, "content", lambda trained: made)
    with pytest.raises(ConfigError, match=r"jax\.export gives outputs that differ by"):
        export(scaled(1e4), "stablehlo", tmp_path / "network")


def test_outputs_that_differ_are_no_file(run: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "LARGEST_DEVIATION", 0.0)
    done = runner("export", f"run={run}", "format=stablehlo")
    assert done.status == 2
    assert done.err.startswith(
        "format: must give outputs within 0 of ours, but jax.export gives outputs that differ by "
    )
    assert not Path("tiny.stablehlo").exists()


def test_a_missing_library_is_named_with_its_extra(run: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = runner("export", f"run={run}", "format=onnx")
    rule = "must not be onnx, as its library is not installed: pip install 'convrunner[onnx]'"
    assert (done.status, done.err) == (2, f"format: {rule}\n")


def test_without_onnxruntime_a_file_is_said_not_to_be_compared(
    run: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx", reason="needs the extra onnx: make oracle")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = runner("export", f"run={run}", "format=onnx")
    assert "not compared with ours, as onnxruntime is not installed" in done.out


def test_a_layer_without_nodes_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the extra onnx: make oracle")
    from runner.layers.activation import Relu
    from runner.layers.base import Layer

    monkeypatch.setattr(Relu, "nodes", Layer.nodes)
    with pytest.raises(ConfigError) as caught:
        export(network()[1], "onnx", tmp_path / "tiny.onnx")
    assert str(caught.value) == "format: must not be onnx for a network with the layer relu, which has no nodes in ONNX"


def test_a_folder_that_is_not_there_is_no_place_for_a_file(run: Path, runner: Runner) -> None:
    done = runner("export", f"run={run}", "format=safetensors", "file=nowhere/tiny.safetensors")
    assert done.err == "file: must be a file in a folder that exists, got nowhere/tiny.safetensors\n"
