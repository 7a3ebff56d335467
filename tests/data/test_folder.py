"""Class folders of images, on disk and zipped: held against Pillow, and broken in every way that folders break."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from stores import STORES, encoded, zipped

from runner.data import Folder, ImageSize, load
from runner.errors import DataError


def noise(seed, height=12, width=10, channels=3):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def classes(prefix="", count=10):
    return {
        f"{prefix}{name}/{i}.png": encoded(noise(i + 100 * len(name)))
        for name in ("cat", "eagle")
        for i in range(count)
    }


def read(root, **changes):
    return load(Folder(source="folder", root=str(root), **changes))


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("around", ["", "photographs/", "a/b/"])
def test_class_folders_become_classes(tmp_path, store, around):
    files = classes(around)
    files |= {
        f"{around}.DS_Store": b"",
        "__MACOSX/cat/._1.png": b"",
        f"{around}cat/Thumbs.db": b"",
        f"{around}cat/.x/y": b"",
    }
    files[f"{around}LICENCE.txt"] = b"beside the classes"
    dataset = read(STORES[store](tmp_path, files))
    assert dataset.classes == ("cat", "eagle")
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (14, 2, 4)
    expected = {
        noise(i + 100 * len(name)).tobytes(): label for label, name in enumerate(dataset.classes) for i in range(10)
    }
    for part in (dataset.train, dataset.val, dataset.test):
        for image, label in zip(part.inputs, part.labels, strict=True):
            assert expected.pop(image.tobytes()) == label
    assert not expected


@pytest.mark.parametrize("store", STORES)
def test_examples_know_their_files(tmp_path, store):
    files = classes("a photograph album/")
    dataset = read(STORES[store](tmp_path, files), limit=12)
    for part in (dataset.train, dataset.val, dataset.test):
        assert len(part.files) == len(part) > 0
        for image, path in zip(part.inputs, part.files, strict=True):
            assert (np.asarray(Image.open(io.BytesIO(files[path]))) == image).all()


@pytest.mark.parametrize("store", STORES)
def test_existing_parts_are_used(tmp_path, store):
    files = classes("train/") | classes("val/", 3) | classes("test/", 4)
    dataset = read(STORES[store](tmp_path, files))
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (20, 6, 8)


def test_disk_and_zip_are_the_same(tmp_path):
    files = classes("train/") | classes("test/", 4)
    digests = {read(store(tmp_path, files)).digest for store in STORES.values()}
    digests.add(read(zipped(tmp_path, files, zipfile.ZIP_STORED)).digest)
    assert len(digests) == 1


def test_formats_and_modes_are_those_of_pillow(tmp_path):
    colour, grey = noise(1), noise(2, channels=1)
    palette = Image.fromarray(colour).quantize(16)
    stream = io.BytesIO()
    palette.save(stream, "PNG")
    deep = (grey.astype(np.uint16) << 8) + 17
    files = {
        "a/1.jpg": encoded(colour, "JPEG"),
        "a/2.JPEG": encoded(grey, "JPEG"),
        "a/3.bmp": encoded(colour, "BMP"),
        "a/4.webp": encoded(colour, "WEBP", lossless=True),
        "b/5.png": stream.getvalue(),
        "b/6.png": encoded(deep),
        "b/7.png": encoded(np.dstack([colour, grey])),
        "b/8.png": encoded(colour),
    }
    data = Folder(source="folder", root=str(zipped(tmp_path, files)), image=ImageSize(height=12, width=10, channels=3))
    images = data.read(print).train.inputs[np.arange(8)]
    np.testing.assert_array_equal(images[0], np.asarray(Image.open(io.BytesIO(files["a/1.jpg"]))))
    np.testing.assert_array_equal(images[1], np.asarray(Image.open(io.BytesIO(files["a/2.JPEG"])).convert("RGB")))
    for place in (2, 3, 6, 7):
        np.testing.assert_array_equal(images[place], colour)
    np.testing.assert_array_equal(images[4], np.asarray(palette.convert("RGB")))
    np.testing.assert_array_equal(images[5], np.dstack([grey] * 3))


@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_images_are_fitted_to_the_declared_size(tmp_path, fit):
    files = {f"{name}/{i}.png": encoded(np.full((20 + i, 30, 3), 200, np.uint8)) for name in "ab" for i in range(5)}
    dataset = read(zipped(tmp_path, files), image=ImageSize(height=16, width=16, channels=1), fit=fit)
    assert dataset.shape == (16, 16, 1)
    image = dataset.train.inputs[0, :, :, 0]
    if fit == "pad":  # the whole width is there, with zeros above and below
        assert not image[0].any()
        assert not image[-1].any()
        assert (image[8] == 200).all()
    else:
        assert (image == 200).all()


def test_large_jpegs_are_reduced_while_they_are_decoded(tmp_path):
    rows, columns = np.indices((400, 400))
    smooth = np.dstack([rows // 2, columns // 2, rows // 4]).astype(np.uint8)
    files = {f"{name}/{i}.jpg": encoded(smooth, "JPEG", quality=95) for name in "ab" for i in range(3)}
    dataset = read(zipped(tmp_path, files), image=ImageSize(height=20, width=20, channels=3))
    expected = np.asarray(Image.fromarray(smooth).resize((20, 20), Image.Resampling.BILINEAR), int)
    assert abs(dataset.train.inputs[0].astype(int) - expected).max() <= 3


def test_only_used_files_are_decoded(tmp_path):
    told = []
    files = classes("train/", 600)
    load(Folder(source="folder", root=str(zipped(tmp_path, files))), report=told.append)
    assert told[0] == "decoded 500 of 864 images"
    broken = classes("train/", 10) | {f"train/cat/{i}.png": b"" for i in range(10, 20)}
    read(zipped(tmp_path, classes("train/", 10)), limit=2)
    with pytest.raises(DataError):
        read(zipped(tmp_path, broken))


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"cat/9.png": b""}, "/cat/9.png: must be a JPEG, PNG, GIF, TIFF, BMP or WebP image, got an empty file"),
        (
            {"cat/9.png": b"hello, world"},
            "/cat/9.png: must be a JPEG, PNG, GIF, TIFF, BMP or WebP image, got a file that starts with 68656c6c6f2c20",
        ),
        (
            {"cat/9.png": encoded(noise(1))[:-200]},
            "/cat/9.png: must be an image that decodes, got a broken one (image file is truncated",
        ),
        (
            {"cat/9.jpg": encoded(noise(1), "JPEG")[:-100]},
            "/cat/9.jpg: must be an image that decodes, got a broken one (image file is truncated",
        ),
        (
            {"cat/9.png": encoded(noise(1, 11))},
            "/cat/9.png: must be 12×10×3 like the first image, or be fitted to it by "
            "'data.image={height: 12, width: 10, channels: 3}', got 11×10×3",
        ),
        (
            {"eagle/9.png": encoded(noise(1, channels=1))},
            "/eagle/9.png: must be 12×10×3 like the first image, or be fitted to it by "
            "'data.image={height: 12, width: 10, channels: 3}', got 12×10×1",
        ),
    ],
)
def test_a_broken_file_is_refused(tmp_path, store, changes, text):
    root = STORES[store](tmp_path, classes() | changes)
    with pytest.raises(DataError) as caught:
        read(root)
    assert str(caught.value).startswith(f"{root}{text}")


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (
            classes("train/") | {"test/cat/1.png": encoded(noise(1))},
            "/test: must have the class folders of train, got no eagle",
        ),
        (
            classes("train/") | classes("test/") | {"test/dog/1.png": encoded(noise(1))},
            "/test/dog: must be a class of train, got cat, eagle",
        ),
        (
            classes("Training/") | {"Test/cat/1.png": encoded(noise(1))},
            "/Test: must have the class folders of Training, got no eagle",
        ),
        ({"cat/1.png": b""}, ": must hold at least two class folders of images, got cat"),
        ({"photos/cat/1.png": b""}, ": must hold at least two class folders of images, got cat"),
        ({"train/1.png": b"", "test/2.png": b""}, ": must hold at least two class folders of images, got none"),
        ({"1.png": b""}, ": must hold at least two class folders of images, got none"),
        ({"train/cat/1.png": b""}, ": must hold at least two class folders of images, got cat"),
    ],
)
def test_a_folder_of_another_layout_is_refused(tmp_path, files, text):
    root = zipped(tmp_path, files)
    with pytest.raises(DataError) as caught:
        read(root)
    assert str(caught.value) == f"{root}{text}"


def test_a_file_that_is_not_a_zip_is_refused(tmp_path):
    path = zipped(tmp_path, classes())
    whole = path.read_bytes()
    for content in (b"", b"not a zip", whole[:-100]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"^{path}: must be a whole \.zip archive, got a broken one"):
            read(path)


def test_a_broken_entry_of_a_zip_is_refused(tmp_path):
    for compression, reason in (
        (zipfile.ZIP_STORED, "wrong checksum"),
        (zipfile.ZIP_DEFLATED, "a broken one|wrong checksum"),
    ):
        path = zipped(tmp_path, classes(), compression)
        content = bytearray(path.read_bytes())
        content[60:70] = bytes(10)
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=rf"^{path}/cat/0\.png: must be a whole entry of the \.zip, got .*({reason})"
        ):
            read(path)


def test_missing_roots_are_refused():
    for root, got in ((None, "null"), ("nowhere", "nowhere")):
        with pytest.raises(DataError, match=rf"^data\.root: must be a folder or a \.zip .*, got {got}$"):
            load(Folder(source="folder", root=root))


def test_class_names_order_the_labels(tmp_path):
    root = zipped(tmp_path, classes())
    dataset = read(root, class_names=("eagle", "cat"))
    assert dataset.classes == ("eagle", "cat")
    expected = {noise(i + 100 * len(name)).tobytes(): name for name in ("cat", "eagle") for i in range(10)}
    for image, label in zip(dataset.test.inputs, dataset.test.labels, strict=True):
        assert expected[image.tobytes()] == dataset.classes[label]


@pytest.mark.parametrize(
    ("names", "got"),
    [
        (("cat", "dog"), "no eagle and unknown dog"),
        (("cat", "dog", "eagle"), "unknown dog"),
        (("Cat", "eagle"), "no cat and unknown Cat"),
    ],
)
def test_class_names_must_be_the_folders(tmp_path, names, got):
    with pytest.raises(DataError) as caught:
        read(zipped(tmp_path, classes()), class_names=names)
    rule = "must hold the 2 classes of the files, in the order of their labels"
    assert str(caught.value) == f"data.class_names: {rule}, got {got}"


def test_cifar_as_photographs(data_folder):
    dataset = read(data_folder / "cifar10" / "cifar10-jpeg.zip", limit=200)
    assert dataset.shape == (32, 32, 3)
    assert dataset.classes == ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert np.bincount(dataset.train.labels).tolist() == [20] * 10
