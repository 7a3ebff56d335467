"""Weights as files: what is loaded, what begins as drawn, what a user is told."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from configurations import composed, here, report, tiny
from weighted import LAYERS, fresh, held, trained

from runner import compiling, limits, train, weights
from runner.errors import ConfigError
from runner.layers import places
from runner.layers.reshape import Flatten
from runner.model import Model
from runner.training.alone import Training

NAMES = {
    *("0_conv.kernel", "0_conv.bias"),
    *(f"1_batch_norm.{name}" for name in ("scale", "bias", "mean", "variance")),
    *("4_residual.layers.0_conv.kernel", "4_residual.layers.0_conv.bias"),
    *(f"4_residual.layers.1_batch_norm.{name}" for name in ("scale", "bias", "mean", "variance")),
    *("7_classifier.kernel", "7_classifier.bias"),
}


@pytest.fixture(scope="module")
def first() -> Training:
    """A network that has learnt something."""
    return trained()


@pytest.fixture
def saved(first: Training, tmp_path: Path) -> Path:
    path = tmp_path / "first.safetensors"
    weights.save(path, first.state.params, first.state.statistics)
    return path


def refused(call: Callable[[], Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value).splitlines()


# Files


def test_a_file_has_readable_names_and_other_programs_read_it(first: Training, saved: Path) -> None:
    found = safetensors.numpy.load_file(saved)
    assert set(found) == NAMES
    for name, array in held(first).items():
        np.testing.assert_array_equal(found[name], array)


def test_what_is_saved_is_loaded_bit_for_bit(first: Training, saved: Path) -> None:
    second = fresh(f"model.weights={saved}", "seed=5")
    assert held(second).keys() == NAMES
    for name, array in held(second).items():
        np.testing.assert_array_equal(array, held(first)[name])
    assert second.test() == first.test()
    again = saved.with_name("again.safetensors")
    weights.save(again, second.state.params, second.state.statistics)
    assert again.read_bytes() == saved.read_bytes()


def test_everything_that_starts_from_parameters_starts_from_those(first: Training, saved: Path) -> None:
    # The running average, and an optimiser that remembers where it began.
    training = fresh(
        f"model.weights={saved}", "seed=5", "train.ema_decay=0.9", "optimizer={name: prodigy, learning_rate: 1.0}"
    )
    jax.tree.map(np.testing.assert_array_equal, training.state.average, train.evaluated(first.state))
    remembered = [leaf for leaf in jax.tree.leaves(training.state.optimizer) if leaf.shape == (3, 3, 1, 4)]
    assert any(np.array_equal(leaf, held(first)["0_conv.kernel"]) for leaf in remembered)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, jnp.bfloat16])
def test_numbers_of_other_widths_are_read(first: Training, tmp_path: Path, dtype: Any) -> None:
    arrays = {name: array.astype(dtype) for name, array in held(first).items()}
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file(arrays, path)
    for name, array in held(fresh(f"model.weights={path}")).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, arrays[name].astype(np.float32))


@pytest.mark.parametrize("value", [1e300, np.nan])
def test_numbers_that_float32_cannot_hold_are_named(first: Training, tmp_path: Path, value: float) -> None:
    arrays = {name: array.astype(np.float64) for name, array in held(first).items()}
    arrays["7_classifier.bias"][3] = value
    np.savez(tmp_path / "large.npz", **arrays)  # type: ignore[arg-type]
    assert refused(lambda: fresh(f"model.weights={tmp_path / 'large.npz'}").state) == [
        f"model.weights: must hold finite numbers that fit float32, got large.npz: 7_classifier.bias with {value:g}"
    ]


def test_an_npz_is_read_as_well(first: Training, tmp_path: Path) -> None:
    np.savez(tmp_path / "first.npz", **held(first))
    training = fresh(f"model.weights={tmp_path / 'first.npz'}", "seed=5")
    np.testing.assert_array_equal(held(training)["0_conv.kernel"], held(first)["0_conv.kernel"])


def test_a_state_dict_of_pytorch_is_known_by_its_names(first: Training, tmp_path: Path) -> None:
    theirs, kernel = {}, "kernel"
    names = {"scale": "weight", "mean": "running_mean", "variance": "running_var", kernel: "weight", "bias": "bias"}
    modules = {"0_conv": "conv1", "1_batch_norm": "bn1", "7_classifier": "fc"}
    modules |= {"4_residual.layers.0_conv": "block.conv1", "4_residual.layers.1_batch_norm": "block.bn1"}
    for path, array in held(first).items():
        module, _, last = path.rpartition(".")
        if last == kernel and array.ndim == 4:
            array = array.transpose(3, 2, 0, 1)
        elif last == kernel:
            array = array.reshape(3, 3, 4, 10).transpose(3, 2, 0, 1).reshape(10, -1)
        theirs[f"{modules[module]}.{names[last]}"] = np.asarray(array, order="C")
    theirs["bn1.num_batches_tracked"] = np.array(7)
    path = tmp_path / "torch.safetensors"
    safetensors.numpy.save_file(theirs, path)
    for name, array in held(fresh(f"model.weights={path}", "seed=5")).items():
        np.testing.assert_array_equal(array, held(first)[name])


# Where values come from is no part of what is computed


def test_weights_are_no_part_of_the_compiled_program(saved: Path) -> None:
    drawn, loaded = fresh(), fresh(f"model.weights={saved}", "model.weights_except=classifier")
    assert drawn.plan.structure == loaded.plan.structure
    assert compiling.compiled(drawn.plan.program, here()) is compiling.compiled(loaded.plan.program, here())


# What begins afresh


@pytest.mark.parametrize("residual", ["4_residual", "layers.4", '"layers[4].residual"'])
def test_excepted_layers_begin_as_drawn(first: Training, saved: Path, residual: str) -> None:
    drawn = held(fresh("seed=5"))
    training = fresh(f"model.weights={saved}", f"model.weights_except=[classifier,{residual}]", "seed=5")
    for name, array in held(training).items():
        afresh = name.startswith(("7_classifier", "4_residual"))
        np.testing.assert_array_equal(array, (drawn if afresh else held(first))[name])


def test_an_excepted_classifier_may_have_other_classes(first: Training, saved: Path) -> None:
    five = tiny(LAYERS, f"model.weights={saved}", "model.weights_except=classifier").model.bind((8, 8, 1), 5)
    params, _ = weights.load(str(saved), five, fresh=("classifier",))
    assert set(places.dotted(params)) == {
        name for name in places.dotted(first.state.params) if "classifier" not in name
    }


def test_a_name_of_the_file_alone_leaves_that_out(first: Training, tmp_path: Path) -> None:
    arrays = held(first) | {"8_auxiliary.layers.0_dense.kernel": np.zeros((3, 3), np.float32)}
    path = tmp_path / "more.safetensors"
    safetensors.numpy.save_file(arrays, path)
    assert refused(lambda: fresh(f"model.weights={path}")) == [
        "model.weights: must hold this model's layers alone, got 8_auxiliary.layers.0_dense.kernel 3×3"
    ]
    training = fresh(f"model.weights={path}", "model.weights_except=[8_auxiliary]")
    np.testing.assert_array_equal(held(training)["7_classifier.kernel"], arrays["7_classifier.kernel"])


# What a user is told


def test_every_mismatch_is_a_line_that_names_both(first: Training, tmp_path: Path) -> None:
    arrays = held(first) | {
        "0_conv.kernel": np.zeros((5, 5, 1, 4), np.float32),
        "9_dense.bias": np.zeros(2, np.float32),
    }
    del arrays["1_batch_norm.mean"]
    path = tmp_path / "odd.safetensors"
    safetensors.numpy.save_file(arrays, path)
    assert refused(lambda: fresh(f"model.weights={path}")) == [
        "model.weights: must fit layers[0].conv.kernel 3×3×1×4, got 0_conv.kernel 5×5×1×4",
        "model.weights: must hold layers[1].batch_norm.mean 4 as 1_batch_norm.mean, got nothing of that name",
        "model.weights: must hold this model's layers alone, got 9_dense.bias 2",
    ]


def test_the_file_of_another_network_is_not_reported_to_the_end(tmp_path: Path) -> None:
    arrays = {f"{number}_dense.kernel": np.zeros((2, 2), np.float32) for number in range(20)}
    safetensors.numpy.save_file(arrays, tmp_path / "far.safetensors")
    lines = refused(lambda: fresh(f"model.weights={tmp_path / 'far.safetensors'}"))
    assert len(lines) == 11
    assert lines[-1] == "model.weights: must fit the model, got 24 further arrays that do not"


def zipped(name: str, content: bytes) -> bytes:
    """An archive with one member: what a PyTorch file is as well, where that member is a pickle."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(name, content)
    return held.getvalue()


# The header of an array of 10¹⁸ bytes: 888 PiB.
_HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (250000000000000000,), }"
HUGE = b"\x93NUMPY\x01\x00" + len(_HEADER).to_bytes(2, "little") + _HEADER


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("w.pt", b"", "must be a .safetensors or an .npz file, got {path}"),
        ("w.safetensors", None, "must be a file that is there, got {path}"),
        ("w.safetensors", b"\x08", "must be a whole .safetensors file, got w.safetensors ("),
        ("w.safetensors", b"\xff" * 64, "must be a whole .safetensors file, got w.safetensors ("),
        ("w.npz", b"PK\x03\x04", "must be a whole .npz file, got w.npz ("),
        ("w.npz", b"", "must be a whole .npz file, got w.npz (no archive)"),
        (
            "w.npz",
            zipped("archive/data.pkl", b"\x80\x02."),
            "must be a whole .npz file, got w.npz (archive/data.pkl ",
        ),
        ("w.npz", zipped("a.npy", HUGE), "must be a whole .npz file, got w.npz (Unable to allocate 888."),
        ("w.npz", zipped("a.npy", b"\x93NUMPY\x07\x00"), "must be a whole .npz file, got w.npz ("),
        ("w.safetensors", b"\xff" * 7 + b"\x7f{}", "must be a whole .safetensors file, got w.safetensors ("),
        ("w.npz", b"\x93NUMPY", "must be a whole .npz file, got w.npz (no archive)"),
    ],
)
def test_a_file_that_does_not_read_is_said_so(tmp_path: Path, name: str, content: bytes | None, line: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    [said] = refused(lambda: weights.read(path))
    shown = str(path) if len(str(path)) <= 60 else str(path)[:57] + "..."
    assert said.startswith("model.weights: " + line.format(path=shown))


def test_an_npz_that_unpacks_to_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "w.npz", a=np.zeros(2**20, np.float32))
    monkeypatch.setattr(limits, "NPZ_BYTES", 2**20)
    monkeypatch.setattr("numpy.lib.format.read_array", pytest.fail)
    [said] = refused(lambda: weights.read(tmp_path / "w.npz"))
    assert said.startswith(f"{tmp_path}/w.npz: must unpack to at most 1.0 MiB, for ")
    assert said.endswith(" compressed, got 4.0 MiB")


def test_a_file_of_whole_numbers_or_of_none_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "whole.safetensors"
    safetensors.numpy.save_file({"a.weight": np.zeros((3, 2), np.int64)}, path)
    assert refused(lambda: weights.read(path)) == ["model.weights: must hold real numbers alone, got a.weight of int64"]
    safetensors.numpy.save_file({}, path)
    [said] = refused(lambda: fresh(f"model.weights={path}"))
    assert said == "model.weights: must hold layers[0].conv.kernel 3×3×1×4, got no further module"
    nothing = Model(name="nothing", layers=(Flatten(),)).bind((2, 5, 1), 10)
    assert refused(lambda: weights.load(str(path), nothing)) == [
        "model.weights: must be null, as this model learns nothing, got whole.safetensors"
    ]


def test_names_that_stand_for_nothing_are_told_the_nearest(saved: Path) -> None:
    assert refused(lambda: fresh(f"model.weights={saved}", "model.weights_except=[clasifier]")) == [
        'model.weights_except[0]: unknown layer "clasifier"; did you mean "classifier"?'
    ]
    assert report(composed("train.freeze=[conv,batchnorm]", LAYERS, "model.input=null")) == [
        'train.freeze[1]: unknown layer "batchnorm"; did you mean "batch_norm"?'
    ]
    assert report(composed("train.freeze=[relu]")) == [
        'train.freeze[0]: unknown layer "relu"; must be one of classifier, conv, dense'
    ]


def test_what_would_do_nothing_is_refused() -> None:
    assert report(composed("model.weights_except=classifier")) == [
        "model.weights_except: must be empty where model.weights is null, got [classifier]"
    ]
    assert report(composed("train.freeze=[conv,dense,classifier]")) == [
        "train.freeze: must leave a layer to learn, got [conv, dense, classifier]"
    ]
