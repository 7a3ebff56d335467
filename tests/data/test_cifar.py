"""CIFAR's binary form, written here after its description, packed and unpacked, whole and broken."""

import io
import tarfile

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from runner.data import Data, load
from runner.errors import DataError
from runner.records import frozen


def configured(repository, variant, **changes):
    config = yaml.safe_load((repository / f"conf/data/{variant}.yaml").read_text())
    return TypeAdapter(Data).validate_python(frozen(config | changes))


def image(label):
    """32×32×3 whose red is the row, whose green is the column, and whose blue is the label."""
    rows, columns = np.indices((32, 32))
    return np.stack([rows, columns, np.full((32, 32), label)], axis=-1).astype(np.uint8)


def record(*labels):
    return bytes(labels) + image(labels[-1]).transpose(2, 0, 1).tobytes()


def cifar10():
    files = {f"data_batch_{i}.bin": b"".join(record(label) for label in range(10)) * 2 for i in range(1, 6)}
    files["test_batch.bin"] = b"".join(record(label) for label in range(10))
    files["batches.meta.txt"] = b"\n".join(b"kind%d" % label for label in range(10)) + b"\n"
    return {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}


def cifar100():
    every = b"".join(record(label // 5, label) for label in range(100))
    names = {"fine": 100, "coarse": 20}
    files = {"train.bin": every * 10, "test.bin": every} | {
        f"{kind}_label_names.txt": "\n".join(f"{kind}{i}" for i in range(count)).encode()
        for kind, count in names.items()
    }
    return {f"cifar-100-binary/{name}": content for name, content in files.items()}


def packed(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def unpacked(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_the_planes_become_channels(repository, tmp_path):
    packed(tmp_path / "cifar-10-binary.tar.gz", cifar10())
    dataset = load(configured(repository, "cifar10", root=str(tmp_path)))
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (90, 10, 10)
    assert dataset.classes == tuple(f"kind{label}" for label in range(10))
    for found, label in zip(dataset.train.inputs, dataset.train.labels, strict=True):
        np.testing.assert_array_equal(found, image(label))


def test_class_names_may_translate_but_not_reorder(repository, tmp_path):
    packed(tmp_path / "cifar-10-binary.tar.gz", cifar10())
    translated = tuple(f"art{label}" for label in range(10))
    assert load(configured(repository, "cifar10", root=str(tmp_path), class_names=translated)).classes == translated
    exchanged = [f"kind{label}" for label in (1, 0, *range(2, 10))]
    with pytest.raises(
        DataError, match=r"^data\.class_names: must keep the order of the labels \(kind0, kind1, .*\), got"
    ):
        load(configured(repository, "cifar10", root=str(tmp_path), class_names=exchanged))


def test_an_archive_and_its_folder_are_the_same(repository, tmp_path):
    path = packed(tmp_path / "cifar-10-binary.tar.gz", cifar10())
    unpacked(tmp_path / "open", cifar10())
    roots = (tmp_path, path, tmp_path / "open", tmp_path / "open" / "cifar-10-batches-bin")
    assert len({load(configured(repository, "cifar10", root=str(root))).digest for root in roots}) == 1


@pytest.mark.parametrize(("labels", "count"), [("fine", 100), ("coarse", 20)])
def test_cifar100_has_two_kinds_of_labels(repository, tmp_path, labels, count):
    unpacked(tmp_path, cifar100())
    data = configured(repository, "cifar100", root=str(tmp_path), labels=labels)
    assert (data.shape, data.class_count) == ((32, 32, 3), count)
    dataset = load(data)
    assert dataset.classes == tuple(f"{labels}{i}" for i in range(count))
    # The fine label is the image's blue; five of them make a coarse one.
    divisor = 1 if labels == "fine" else 5
    np.testing.assert_array_equal(dataset.test.inputs[:, 0, 0, 2] // divisor, dataset.test.labels)


def test_a_broken_archive_is_refused(repository, tmp_path):
    path = packed(tmp_path / "cifar-10-binary.tar.gz", cifar10())
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"not an archive", b""):
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=rf"^{path}: must (be a whole \.tar\.gz archive, got a broken one|hold data_batch)"
        ):
            load(configured(repository, "cifar10", root=str(tmp_path)))


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("test_batch.bin", record(3)[:-1], "/test_batch.bin: must hold whole records of 3073 bytes, got 3072 bytes"),
        (
            "data_batch_2.bin",
            record(10),
            "/data_batch_1.bin … data_batch_5.bin: must hold labels below 10, got 10 (example 20, counted from 0)",
        ),
        (
            "data_batch_4.bin",
            None,
            ": must hold data_batch_1.bin, data_batch_2.bin, data_batch_3.bin, data_batch_4.bin, data_batch_5.bin, "
            "test_batch.bin, got none of data_batch_4.bin",
        ),
    ],
)
def test_a_broken_member_is_refused(repository, tmp_path, pack, file, content, text):
    files = cifar10()
    name = f"cifar-10-batches-bin/{file}"
    if content is None:
        del files[name]
    else:
        files[name] = content
    place = tmp_path / ("cifar-10-binary.tar.gz" if pack else "cifar-10-batches-bin")
    (packed(place, files) if pack else unpacked(tmp_path, files))
    with pytest.raises(DataError) as caught:
        load(configured(repository, "cifar10", root=str(tmp_path)))
    assert str(caught.value) == f"{place}{text}"


def test_labels_and_classes_must_be_the_variants(repository):
    with pytest.raises(ValidationError, match="must have labels=fine for cifar10, got coarse"):
        configured(repository, "cifar10", labels="coarse")
    with pytest.raises(ValidationError, match="must have 20 classes for cifar100 with coarse labels, got 100"):
        configured(repository, "cifar100", labels="coarse", classes=100)
