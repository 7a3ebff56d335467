"""An .npz whose headers and directory promise too much is refused before memory is taken for it."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner import limits
from runner.data import Arrays, load, statistics
from runner.data import npz as room
from runner.data.npz import read_npz, readable
from runner.errors import DataError

Y = np.arange(60) % 3
X = np.random.default_rng(0).normal(size=(60, 6, 5))


def refused(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(Arrays(source="arrays", root=str(path)))
    return str(caught.value).replace(str(path), "FILE")


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where an array is read, which is when memory is taken."""
    monkeypatch.setattr(np.lib.format, "read_array", lambda *arguments, **named: pytest.fail("an array was read"))


def with_header(path: Path, shape: tuple[int, ...], content: bytes) -> Path:
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", stream.getvalue() + content)
        archive.writestr("y_train.npy", b"")
    return path


@pytest.mark.usefixtures("no_reading")
@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((10**9, 10**6, 10**3), "hold the 888.2 PiB of shape (1000000000, 1000000, 1000) that its header promises"),
        ((60, 8, 8), "hold the 3.8 KiB of shape (60, 8, 8) that its header promises"),
        ((2,), "hold the 2 bytes of shape (2,) that its header promises"),
        ((-3, 1), "hold the -3 bytes of shape (-3, 1) that its header promises"),
    ],
)
def test_a_header_that_disagrees_with_the_content_is_refused(tmp_path: Path, shape: tuple[int, ...], text: str) -> None:
    assert refused(with_header(tmp_path / "a.npz", shape, b"abc")) == f"FILE: x_train: must {text}, got 3 bytes"


@pytest.mark.usefixtures("no_reading")
def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "NPZ_BYTES", 2**20)
    np.savez_compressed(tmp_path / "a.npz", x_train=np.zeros((60, 300, 300), np.uint8), y_train=Y)
    assert refused(tmp_path / "a.npz").startswith("FILE: must unpack to at most 1.0 MiB, for ")
    assert refused(tmp_path / "a.npz").endswith(", got 5.2 MiB")


@pytest.mark.usefixtures("no_reading")
def test_arrays_larger_than_the_memory_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "memory_bytes", lambda: 2**10)
    path = saved(tmp_path / "a.npz", x_train=X, y_train=Y)
    assert refused(path) == "FILE: must fit into the 1.0 KiB of memory here, got 14.8 KiB"


def test_running_out_of_memory_is_a_one_line_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **named: Any) -> None:
        raise MemoryError("Unable to allocate 9.1 GiB for an array with shape (7,)")

    path = saved(tmp_path / "a.npz", x_train=X, y_train=Y)
    monkeypatch.setattr(np.lib.format, "read_array", full)
    assert refused(path) == "FILE: must fit into memory, got Unable to allocate 9.1 GiB for an array with shape (7,)"


@pytest.mark.usefixtures("no_reading")
@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array([{}] * 60), "object"),
        (np.array(["a"] * 60), "<U1"),
        (np.zeros(60, "M8[s]"), "datetime64[s]"),
        (np.zeros(60, [("a", "f4")]), "[('a', '<f4')]"),
    ],
)
def test_arrays_that_are_not_numbers_are_refused(tmp_path: Path, array: np.ndarray, kind: str) -> None:
    path = saved(tmp_path / "a.npz", x_train=array, y_train=Y)
    assert refused(path) == f"FILE: x_train: must hold numbers, got values of type {kind}"


def test_arrays_in_other_orders_are_the_same_data(tmp_path: Path) -> None:
    plain = load(Arrays(source="arrays", root=str(saved(tmp_path / "a.npz", x_train=X.astype("f4"), y_train=Y))))
    for x, y in ((np.asfortranarray(X.astype("f4")), Y), (X.astype(">f4"), Y.astype(">i2")), (X.astype("f4"), Y * 1)):
        again = load(Arrays(source="arrays", root=str(saved(tmp_path / "b.npz", x_train=x, y_train=y))))
        assert again.digest == plain.digest


def test_unknown_arrays_are_not_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", x_train=X, y_train=Y, notes=np.array([{}]))
    assert set(read_npz(path, ("x_train", "y_train", "x_val"))) == {"x_train", "y_train"}


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (10**18, "888.2 PiB")]
)
def test_sizes_are_shown_in_binary_units(count: int, text: str) -> None:
    assert readable(count) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (1e300, "hold values that fit float32 (±3.4e+38), got 1e+300"),
        (-1e39, "hold values that fit float32 (±3.4e+38), got -1e+39"),
        (np.nan, "be finite, got NaN or infinite values"),
    ],
)
def test_floats_beyond_float32_are_refused(tmp_path: Path, values: float, text: str) -> None:
    x = np.where(Y[:, None, None] == 2, values, X)
    assert refused(saved(tmp_path / "a.npz", x_train=x, y_train=Y)) == f"FILE: x_train: must {text}"


def test_values_whose_difference_exceeds_float32_are_refused(tmp_path: Path) -> None:
    # cases/f32max.npz: the mean is a NaN in float32, and x − mean is infinite.
    x = np.where(Y[:, None, None] == 2, 3e38, -3e38) * np.ones((60, 6, 5))
    assert refused(saved(tmp_path / "a.npz", x_train=x.astype("f4"), y_train=Y)).startswith(
        "FILE: x_train: must hold values that differ by no more than float32 can hold (3.4e+38), got -3e+38 to 3e+38"
    )


def test_statistics_of_large_values_are_those_of_float64() -> None:
    inputs = (np.random.default_rng(0).normal(size=(500, 8, 8, 2)) * 3e36).astype(np.float32)
    mean, std = statistics(inputs)
    np.testing.assert_allclose(mean, inputs.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(std, inputs.std(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)
