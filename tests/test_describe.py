"""The layer table: its numbers, its forms, and that it neither reads images nor compiles anything."""

import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.monitoring
import numpy as np
import pytest
from commands import Runner
from configurations import composed, parse
from PIL import Image

from runner.describe import as_json, as_text
from runner.errors import ConfigError
from runner.experiment import Experiment

LAYER_KEYS = {
    *("path", "kind", "output_shape", "parameters", "multiply_adds", "activation_bytes", "receptive_field"),
    *("effective_stride", "effective_padding"),
}
TOTAL_KEYS = LAYER_KEYS - {"path", "kind", "output_shape"}

VGG16: list[Any] = [
    entry
    for filters, times in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    for entry in (
        {
            "repeat": {
                "times": times,
                "layers": [{"conv": {"filters": filters, "kernel_size": 3, "padding": 1}}, "relu"],
            }
        },
        {"max_pool": {"size": 2}},
    )
] + ["flatten", {"repeat": {"times": 2, "layers": [{"dense": {"units": 4096}}, "relu"]}}, "classifier"]


def experiment(*overrides: str, layers: list[Any] | None = None, **model: Any) -> Experiment:
    config = composed("data=mnist", "data.root=no/such/folder", *overrides)
    config["model"].update(model if layers is None else {**model, "layers": layers})
    return parse(config)


def vgg16() -> Experiment:
    return experiment("data=cifar10", layers=VGG16, input={"height": 224, "width": 224}, name="vgg16")


def whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


# JSON


def test_json_has_the_promised_keys_and_types() -> None:
    for found in (experiment(), vgg16()):
        described = json.loads(as_json(found))
        assert set(described) == {"layers", "totals"}
        for row in described["layers"]:
            assert set(row) == LAYER_KEYS
            assert isinstance(row["path"], str)
            assert isinstance(row["kind"], str)
            assert row["path"].startswith("model.layers[")
            assert row["path"].endswith(row["kind"])
            assert all(whole(size) for size in row["output_shape"])
        assert set(described["totals"]) == TOTAL_KEYS
        for row in (*described["layers"], described["totals"]):
            assert all(whole(row[key]) for key in ("parameters", "multiply_adds", "activation_bytes"))
            for key in ("receptive_field", "effective_stride", "effective_padding"):
                assert len(row[key]) == 2
                assert all(whole(number) for number in row[key])


def test_json_of_lenet5_by_hand() -> None:
    described = json.loads(as_json(experiment()))
    assert described["layers"][3] == {
        "path": "model.layers[3].conv",
        "kind": "conv",
        "output_shape": [10, 10, 16],
        "parameters": 2_416,
        "multiply_adds": 10 * 10 * 16 * 5 * 5 * 6,
        "activation_bytes": 4 * 10 * 10 * 16,
        "receptive_field": [14, 14],
        "effective_stride": [2, 2],
        "effective_padding": [0, 0],
    }
    assert [row["output_shape"] for row in described["layers"]][-1] == [10]
    totals = described["totals"]
    assert (totals["parameters"], totals["multiply_adds"]) == (61_706, 416_520)
    assert totals["receptive_field"] == [16, 16]
    for key in ("parameters", "multiply_adds", "activation_bytes"):
        assert totals[key] == sum(row[key] for row in described["layers"])


def test_axes_of_their_own() -> None:
    layers: list[Any] = [
        {"conv": {"filters": 2, "kernel_size": [3, 5], "stride": [1, 2], "padding": [[1, 0], [2, 2]]}},
        *("flatten", "classifier"),
    ]
    row = json.loads(as_json(experiment(layers=layers)))["layers"][0]
    assert row["output_shape"] == [31, 16, 2]
    assert (row["receptive_field"], row["effective_stride"], row["effective_padding"]) == ([3, 5], [1, 2], [1, 2])
    assert "3×5    1×2     1×2" in as_text(experiment(layers=layers))


def test_a_stride_after_upsampling_is_a_fraction() -> None:
    layers: list[Any] = ["upsample", {"upsample": {"size": [2, 1]}}, "global_avg_pool", "classifier"]
    described = json.loads(as_json(experiment(layers=layers)))
    assert [row["effective_stride"] for row in described["layers"][:2]] == [[0.5, 0.5], [0.25, 0.5]]
    assert described["totals"]["effective_stride"] == [0.25, 0.5]
    assert "1/4×1/2" in as_text(experiment(layers=layers))


def test_a_repeated_layer_has_a_row_for_each_copy() -> None:
    rows = json.loads(as_json(vgg16()))["layers"]
    path = "model.layers[0].repeat.layers[0].conv"
    assert [row["parameters"] for row in rows if row["path"] == path] == [64 * 27 + 64, 64 * 64 * 9 + 64]


# The table


def test_the_table_of_lenet5() -> None:
    assert as_text(experiment(), width=80) == LENET5


def test_big_numbers_are_shortened_where_80_columns_are_too_few() -> None:
    found = vgg16()
    narrow, wide = as_text(found, width=80), as_text(found, width=140)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "134,301,514" in wide  # torchvision's 138,357,544 less 990 of its 1,000 classes
    assert "15,466,209,280" in wide
    assert "134 M" in narrow
    assert "15.5 G" in narrow
    assert "…" not in wide + narrow


def labels(text: str) -> list[str]:
    """The paths of a table's rows."""
    return re.findall(r"^(\[\S+\.[a-z]\w*(?: \(\d+\))?) ", text, flags=re.MULTILINE)


@pytest.mark.parametrize("width", [60, 80, 120, None])
@pytest.mark.parametrize(
    ("model", "data"), [("googlenet_aux", "imagenet"), ("resnet20_cifar", "cifar10"), ("densenet121", "imagenet")]
)
def test_rows_differ_at_every_width(model: str, data: str, width: int | None) -> None:
    chosen = experiment(f"model={model}", f"data={data}")
    text = as_text(chosen, width)
    rows = labels(text)
    network = chosen.network((32, 32, 3) if data == "cifar10" else (224, 224, 3), 10 if data == "cifar10" else 1000)
    assert len(rows) == len(set(rows)) == len(network.rows)
    assert "…" not in text
    assert width is None or max(map(len, text.splitlines())) <= width
    # Each row still ends in its layer's kind, with the number of the copy if it is repeated.
    assert [re.sub(r" \(\d+\)$", "", row).rpartition(".")[2] for row in rows] == [row.kind for row in network.rows]


def test_paths_by_indices_name_one_layer_each() -> None:
    inside: list[Any] = [{"conv": {"filters": 1, "kernel_size": 1}}, "relu"]
    layers: list[Any] = [
        {"residual": {"layers": inside, "shortcut": inside}},
        {"branches": {"paths": [inside, [{"repeat": {"times": 2, "layers": inside}}]]}},
        *("flatten", "classifier"),
    ]
    text = as_text(experiment(layers=layers), width=56)
    assert labels(text) == [
        *("[0.0].conv", "[0.1].relu", "[0.shortcut.0].conv", "[0.shortcut.1].relu", "[0].residual"),
        *("[1.0.0].conv", "[1.0.1].relu"),
        *("[1.1.0.0].conv (1)", "[1.1.0.1].relu (1)", "[1.1.0.0].conv (2)", "[1.1.0.1].relu (2)"),
        *("[1].branches", "[2].flatten", "[3].classifier"),
    ]
    assert text.endswith(
        "One image in float32. Receptive field in pixels of\nthe input; its total is that of the last feature\n"
        "map. (2) is the second copy of a repeated layer.\n[5.0.2] is layer 2 within layer 0 of\n"
        "model.layers[5]. Wider terminals show padding,\nstride and memory.\n"
    )


def test_a_field_larger_than_the_image_says_why() -> None:
    reason = "A receptive field larger than the 32×32 input reaches into the padding around it."
    padded: list[Any] = [{"conv": {"filters": 1, "kernel_size": 5, "padding": "same"}}, "global_avg_pool", "classifier"]
    assert json.loads(as_json(experiment(layers=padded)))["layers"][1]["receptive_field"] == [36, 36]
    assert reason in as_text(experiment(layers=padded), width=None).replace("\n", " ")
    assert "padding around it" not in as_text(experiment(), width=None)


def test_a_pipe_is_as_wide_as_the_table_unless_columns_says_otherwise(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    command = ("describe", "model=googlenet", "data=imagenet")
    wide = runner(*command).out
    assert "[5].module[0].inception[0].branches.paths[1][1].conv_bn_act[1].own_norm[0].batch_norm" in wide
    monkeypatch.setenv("COLUMNS", "80")
    assert "[5.0.0.1.1.1.0].batch_norm" in runner(*command).out


def test_long_paths_cost_neither_a_number_nor_a_kind() -> None:
    inner: Any = {"local_response_norm": {"size": 3}}
    for _ in range(6):
        inner = {"repeat": {"times": 1, "layers": [inner]}}
    text = as_text(experiment(layers=[inner, "flatten", "classifier"]), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "response_norm" in text
    for number in ("32×32×1", "1024", "10.2 k", "4.1 kB", "40 B"):
        assert number in text


def test_brackets_in_a_name_are_no_markup() -> None:
    assert as_text(experiment(name="[bold]net[/]")).startswith("[bold]net[/] on mnist: 32×32×1 input")


# What it does not do


def test_nothing_is_compiled_and_no_image_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    def listen(event: str, duration: float, **_: Any) -> None:
        events.append(event)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("describe reads no images")

    found = vgg16()
    monkeypatch.setattr(type(found.data), "read", refuse)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        as_json(found)
        as_text(found)
        assert not [event for event in events if "compile" in event or "trace" in event]
        jax.jit(lambda x: x + 1)(np.float32(1))  # the listener does hear
        assert [event for event in events if "trace" in event]
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_data_that_only_their_files_tell_of() -> None:
    for name, missing in (("image", "data.image"), ("classes", "data.classes")):
        config = composed("data=mnist")
        config["data"][name] = None
        with pytest.raises(ConfigError) as caught:
            as_text(parse(config))
        assert str(caught.value) == f"{missing}: must be given, since only the files tell it otherwise, got null"


def test_what_is_not_declared_is_read_from_the_files(runner: Runner, tmp_path: Path) -> None:
    shades = np.arange(20, dtype=np.uint8)
    for shade in shades:
        path = tmp_path / "photos" / f"class {shade % 4}" / f"{shade}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 10), (int(shade), 0, 0)).save(path)
    np.savez(tmp_path / "signals.npz", x_train=np.zeros((20, 50, 2), np.float32), y_train=shades % 5)
    folder = runner(
        "describe", "data=folder", "data.root=photos", "model.input=null", "model.layers=[flatten,classifier]"
    )
    assert (folder.status, folder.err) == (0, "")
    assert folder.out.startswith("lenet5 on photos: 10×12×3 input")
    assert re.search(r"\[1\]\.classifier +4 +1,444 ", folder.out)
    arrays = runner(
        *("describe", "data=arrays", "data.root=signals.npz", "data.axes=lc", "model.input=null"),
        "model.layers=[flatten,classifier]",
    )
    assert arrays.out.startswith("lenet5 on signals: 50×2 input")
    assert re.search(r"\[1\]\.classifier +5 +505 ", arrays.out)
    gone = runner("describe", "data=folder", "data.root=nowhere")
    assert (gone.status, gone.err) == (2, "data.root: must be a folder or a .zip that exists, got nowhere\n")


def test_layers_that_do_not_fit_are_told_and_not_described() -> None:
    config = composed("data=mnist", "model.input=null", "data.image=null")
    config["model"]["layers"] = ["flatten"]
    unread = parse(config)  # without a size nothing can be known to misfit
    sized = unread.model_copy(update={"data": experiment().data})
    with pytest.raises(ConfigError, match=r"must give one output for each of 10 classes"):
        as_json(sized)


LENET5 = """\
lenet5 on mnist: 32×32×1 input
                                    multiply-         receptive
model.layers      output parameters      adds  memory     field stride padding
──────────────────────────────────────────────────────────────────────────────
[0].conv         28×28×6        156   117,600 18.8 kB         5      1       0
[1].relu         28×28×6                      18.8 kB         5      1       0
[2].max_pool     14×14×6                       4.7 kB         6      2       0
[3].conv        10×10×16      2,416   240,000  6.4 kB        14      2       0
[4].relu        10×10×16                       6.4 kB        14      2       0
[5].max_pool      5×5×16                       1.6 kB        16      4       0
[6].flatten          400                       1.6 kB        32      4       0
[7].dense            120     48,120    48,000   480 B        32      4       0
[8].relu             120                        480 B        32      4       0
[9].dense             84     10,164    10,080   336 B        32      4       0
[10].relu             84                        336 B        32      4       0
[11].classifier       10        850       840    40 B        32      4       0

total                        61,706   416,520 60.0 kB        16      4       0
One image in float32. Receptive field, effective stride and padding in pixels
of the input; their totals are those of the last feature map.
"""


# How convolutions are computed


def test_lowerings_are_those_that_a_step_takes() -> None:
    chosen = experiment("train.lowering=portable")
    rows = json.loads(as_json(chosen, with_lowerings=True))["layers"]
    assert {row["path"]: row["lowering"] for row in rows if "lowering" in row} == {
        "model.layers[0].conv": "portable",
        "model.layers[3].conv": "portable",
    }
    plain = experiment("train.lowering=reference")
    assert {row.get("lowering") for row in json.loads(as_json(plain, with_lowerings=True))["layers"]} == {
        None,
        "reference",
    }
    assert max(map(len, as_text(chosen, width=80, with_lowerings=True).splitlines())) <= 80
    assert "portable" in as_text(chosen, width=80, with_lowerings=True)


@pytest.mark.parametrize(
    "model",
    [
        "mobilenet_v2",
        pytest.param("googlenet_aux", marks=pytest.mark.slow),
        "lecun1989",
        pytest.param("densenet121", marks=pytest.mark.slow),
    ],
)
def test_every_convolution_is_of_one_row(model: str) -> None:
    chosen = experiment(f"model={model}", "train.lowering=portable", "train.batch_size=2")
    rows = json.loads(as_json(chosen, with_lowerings=True))["layers"]
    assert all(("lowering" in row) == (row["kind"] in ("conv", "partial_conv")) for row in rows)
    # Depthwise convolutions have groups, which are left to the plain way.
    assert ("reference" in {row.get("lowering") for row in rows}) == (model == "mobilenet_v2")
