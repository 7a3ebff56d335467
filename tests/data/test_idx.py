"""IDX files: the published MNIST, and every way in which a file can be broken."""

import gzip
import struct

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter

from runner.data import Data, load, statistics
from runner.errors import DataError
from runner.records import frozen

SPELT = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}


def configured(repository, name="mnist", **changes):
    config = yaml.safe_load((repository / f"conf/data/{name}.yaml").read_text())
    return TypeAdapter(Data).validate_python(frozen(config | changes))


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def small(tmp_path):
    """100 training and 20 test images of 28×28, whose pixels are their label, as the four files."""
    for part, count in (("train", 100), ("test", 20)):
        labels = np.arange(count) % 10
        images = np.broadcast_to(labels[:, None, None], (count, 28, 28))
        for kind, array in (("images", images), ("labels", labels)):
            (tmp_path / SPELT[f"{part}_{kind}"]).write_bytes(gzip.compress(idx(array)))
    return tmp_path


def test_mnist_has_its_published_digest(repository, data_folder):
    data = configured(repository, root=str(data_folder / "mnist"))
    dataset = load(data)
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (54_000, 6_000, 10_000)
    labels = np.concatenate([dataset.train.labels, dataset.val.labels])
    # LeCun, Cortes & Burges: the class counts, and the mean and deviation that every MNIST example quotes.
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    mean, std = statistics(np.concatenate([dataset.train.inputs, dataset.val.inputs]))
    assert mean == pytest.approx((0.1307,), abs=5e-5)
    assert std == pytest.approx((0.3081,), abs=5e-5)


def test_a_limit_keeps_the_proportions_of_mnist(repository, data_folder):
    dataset = load(configured(repository, root=str(data_folder / "mnist"), limit=1000))
    shares = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]) / 60_000
    assert abs(np.bincount(dataset.train.labels) - 1000 * shares).max() <= 1


def test_images_keep_their_labels(repository, small):
    dataset = load(configured(repository, root=str(small)))
    for part in (dataset.train, dataset.val, dataset.test):
        assert part.inputs.shape[1:] == (28, 28, 1)
        np.testing.assert_array_equal(part.inputs[:, 3, 4, 0], part.labels)


def test_unpacked_files_work_as_well(repository, small):
    packed = load(configured(repository, root=str(small))).digest
    for name in SPELT.values():
        (small / name.removesuffix(".gz")).write_bytes(gzip.decompress((small / name).read_bytes()))
        (small / name).unlink()
    assert load(configured(repository, root=str(small))).digest == packed


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("train_images", b"\x1f\x8b\x08\x00 nothing", "must be a whole gzip file, got a broken one ("),
        ("train_images", b"not gzip", "must be a whole gzip file, got a broken one (Not a gzipped file (b'no'))"),
        ("train_images", gzip.compress(b"", mtime=0), "must start with the magic number 00000803, got no bytes"),
        (
            "train_images",
            gzip.compress(idx(np.zeros(5)), mtime=0),
            "must start with the magic number 00000803, got 00000801",
        ),
        ("train_labels", gzip.compress(bytes((0, 0, 8, 1)), mtime=0), "must have a header of 8 bytes, got 4 bytes"),
        (
            "train_labels",
            gzip.compress(idx(np.zeros(100))[:-1], mtime=0),
            "must hold 108 bytes, as its header says, got 107 bytes",
        ),
        ("train_labels", gzip.compress(idx(np.zeros(99)), mtime=0), "must hold 100 labels, one per input, got 99"),
        ("test_labels", gzip.compress(idx(np.full(20, 10)), mtime=0), "must hold labels below 10, got 10"),
        ("test_images", gzip.compress(idx(np.zeros((0, 28, 28))), mtime=0), "must hold images, got shape (0, 28, 28)"),
    ],
)
def test_a_broken_file_is_refused(repository, small, file, content, text):
    (small / SPELT[file]).write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(configured(repository, root=str(small)))
    assert str(caught.value).startswith(f"{small / SPELT[file]}: {text}")


def test_a_truncated_gzip_file_is_refused(repository, small):
    path = small / SPELT["train_images"]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=f"^{path}: must be a whole gzip file, got a broken one"):
        load(configured(repository, root=str(small)))


def test_a_class_that_is_missing_is_refused(repository, small):
    (small / SPELT["train_labels"]).write_bytes(gzip.compress(idx(np.arange(100) % 9)))
    with pytest.raises(DataError) as caught:
        load(configured(repository, root=str(small)))
    place = small / SPELT["train_labels"]
    assert str(caught.value) == f'{place}: must have training examples of every class, got none of "9"'


def test_a_file_that_may_not_be_read_is_refused(repository, small, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("gzip.open", refused)
    path = small / SPELT["train_images"]
    with pytest.raises(DataError, match=f"^{path}: must be readable, got Permission denied$"):
        load(configured(repository.absolute(), root=str(small)))
