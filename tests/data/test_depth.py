"""Files of 8 and 16 bits and of many channels keep their values, as other libraries wrote them."""

import io
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configurations import TINY, begun, composed, parse
from PIL import Image, ImageOps
from pydantic import ValidationError
from stores import STORES, encoded, on_disk

from runner.data import Dataset, Folder, ImageSize, load
from runner.data.inputs import Inputs
from runner.data.pixels.depth import bits_of, fitted, values_of
from runner.errors import DataError
from runner.inspecting import read as examined


def noise(seed: int, *shape: int, bits: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**bits, shape, np.uint16 if bits == 16 else np.uint8)


def tiff(values: np.ndarray, **options: Any) -> bytes:
    tifffile = pytest.importorskip("tifffile", reason="needs the extra depth: make oracle")
    pytest.importorskip("imagecodecs", reason="needs the extra depth: make oracle")
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def deep_png(values: np.ndarray) -> bytes:
    imagecodecs = pytest.importorskip("imagecodecs", reason="needs the extra depth: make oracle")
    return bytes(imagecodecs.png_encode(values))


CONTIGUOUS = {"photometric": "minisblack", "planarconfig": "contig"}


@pytest.mark.parametrize(
    ("values", "options", "axis"),
    [
        (noise(1, 6, 5), {}, None),
        (noise(1, 6, 5), {"compression": "lzw", "predictor": True}, None),
        (noise(1, 6, 5), {"byteorder": ">"}, None),
        (noise(2, 6, 5, 3), {"photometric": "rgb", "compression": "zlib"}, None),
        (noise(3, 6, 5, 7), CONTIGUOUS, None),
        (noise(3, 7, 6, 5), {"photometric": "minisblack", "planarconfig": "separate"}, 0),
        (noise(3, 7, 6, 5), {"imagej": True, "metadata": {"axes": "CYX"}}, 0),
        (noise(4, 6, 5, 5, bits=8), CONTIGUOUS, None),
        (noise(4, 6, 5, 3, bits=8), {"photometric": "rgb"}, None),
    ],
    ids=["grey", "lzw", "big-endian", "rgb", "seven", "planes", "pages", "five", "bytes"],
)
def test_a_tiff_keeps_its_values(values: np.ndarray, options: dict[str, Any], axis: int | None) -> None:
    found = values_of(tiff(values, **options), "a.tif")
    expected = values if axis is None else np.moveaxis(values, axis, -1)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, expected.reshape(6, 5, -1))


def test_of_other_pages_the_first_one_is_read() -> None:
    pages = noise(5, 3, 6, 5)
    np.testing.assert_array_equal(values_of(tiff(pages, photometric="minisblack"), "a.tif")[..., 0], pages[0])
    white = tiff(pages[0], photometric="miniswhite")
    np.testing.assert_array_equal(values_of(white, "a.tif")[..., 0], 65535 - pages[0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_deep_tiff_is_turned_upright_as_pillow_turns_bytes(orientation: int) -> None:
    values, tags = noise(6, 6, 5, 3, bits=8), [(274, 3, 1, orientation, True)]
    with Image.open(io.BytesIO(tiff(values, photometric="rgb", extratags=tags))) as image:
        upright = np.asarray(ImageOps.exif_transpose(image), np.uint16)
    deep = tiff(values.astype(np.uint16) << 8, photometric="rgb", extratags=tags)
    np.testing.assert_array_equal(values_of(deep, "a.tif") >> 8, upright)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_deep_png_in_colour_keeps_its_values(channels: int) -> None:
    values = noise(7, 6, 5, channels)
    content = deep_png(values)
    np.testing.assert_array_equal(values_of(content, "a.png"), values)
    with Image.open(io.BytesIO(content)) as image:
        assert bits_of(image) == 16


def test_what_pillow_keeps_is_read_without_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tifffile", "imagecodecs"):
        monkeypatch.setitem(sys.modules, name, None)
    grey, colour = noise(8, 6, 5), noise(8, 6, 5, 3, bits=8)
    for form in ("PNG", "TIFF"):
        np.testing.assert_array_equal(values_of(encoded(grey, form), "a")[..., 0], grey)
        np.testing.assert_array_equal(values_of(encoded(colour, form), "a"), colour)
    palette, stream = Image.fromarray(colour).quantize(8), io.BytesIO()
    palette.save(stream, "PNG")
    np.testing.assert_array_equal(values_of(stream.getvalue(), "a"), np.asarray(palette.convert("RGB")))


def test_other_files_name_the_libraries_that_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"a.png": deep_png(noise(1, 6, 5, 3)), "a.tif": tiff(noise(1, 6, 5, 3), photometric="rgb")}
    files["b.tif"] = tiff(noise(1, 6, 5, 7), **CONTIGUOUS)
    for name in ("tifffile", "imagecodecs"):
        monkeypatch.setitem(sys.modules, name, None)
    needed = "must be read by tifffile and imagecodecs, which are not installed: pip install 'convrunner[depth]'"
    for name, content in files.items():
        with pytest.raises(DataError) as caught:
            values_of(content, name)
        assert str(caught.value) == f"{name}: {needed}"


@pytest.mark.parametrize("values", [noise(1, 6, 5).astype(np.float32), noise(1, 6, 5).astype(np.int32)])
def test_other_depths_are_refused(values: np.ndarray) -> None:
    with pytest.raises(DataError, match=rf"^a.tif: must have 8 or 16 bits for each channel, got {values.dtype}$"):
        values_of(tiff(values), "a.tif")


def test_broken_files_are_refused_in_a_line() -> None:
    deep = deep_png(noise(1, 30, 20, 3))
    for whole in (deep, tiff(noise(1, 30, 20, 3), photometric="rgb")):
        for content in (whole[: len(whole) // 2], whole[:30], whole[:200] + bytes(100) + whole[300:]):
            with suppress(DataError):
                assert values_of(content, "a").shape[-1] == 3  # where the damage hits values alone
    vast = deep[:16] + (60000).to_bytes(4, "big") * 2 + deep[24:]
    with pytest.raises(DataError, match="must have at most 134,217,728 pixels, got 60,000 × 60,000"):
        values_of(vast, "a")


@pytest.mark.parametrize("how", ["resize", "crop", "pad"])
def test_values_are_fitted_channel_by_channel_as_pillow_fits_floats(how: Any) -> None:
    values = noise(9, 20, 30, 5)
    found = fitted(values, (8, 8, 5), how, "a")
    for channel in range(5):
        plane = Image.fromarray(values[..., channel].astype(np.float32))
        fit = {"resize": ImageOps.fit, "pad": ImageOps.pad}.get(how)
        expected = plane.crop((11, 6, 19, 14)) if fit is None else fit(plane, (8, 8), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(found[..., channel], np.asarray(expected))


# In data


def folder(root: Path, files: dict[str, bytes], **changes: Any) -> Folder:
    return Folder.model_validate({"source": "folder", "root": str(on_disk(root / "photos", files)), **changes})


def greys(count: int = 20) -> dict[str, bytes]:
    return {f"{'ab'[index % 2]}/{index:02}.png": encoded(noise(index, 8, 8)) for index in range(count)}


def by_file(dataset: Dataset) -> dict[str, np.ndarray]:
    parts = (dataset.train, dataset.val, dataset.test)
    return {file: image for part in parts for file, image in zip(part.files, part.inputs, strict=True)}


@pytest.mark.parametrize("store", STORES)
def test_a_data_set_keeps_16_bits_from_files_and_from_the_cache(tmp_path: Path, store: str) -> None:
    files = greys()
    root = str(STORES[store](tmp_path, files))
    for _ in range(2):
        dataset = load(Folder(source="folder", root=root, depth="keep", range=(0.0, 65535.0)))
        assert dataset.train.inputs.dtype == np.float32
        assert dataset.range == ((0.0,), (65535.0,))
        assert dataset.remarks == ()
        for file, image in by_file(dataset).items():
            np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(io.BytesIO(files[file]))))
        as_bytes = load(Folder(source="folder", root=root))
        assert as_bytes.train.inputs.dtype == np.uint8
        for file, image in by_file(as_bytes).items():
            np.testing.assert_array_equal(image, by_file(dataset)[file].astype(int) >> 8)
        rule = "has 16 bits for each channel, of which 8 are read; data.depth=keep keeps them"
        assert [line.partition("/")[2] and line.endswith(rule) for line in as_bytes.remarks] == [True]


def test_seven_channels_are_read_fitted_and_described(tmp_path: Path) -> None:
    files = {f"{'ab'[index % 2]}/{index}.tif": tiff(noise(index, 9, 8, 7), **CONTIGUOUS) for index in range(20)}
    data = folder(tmp_path, files, depth="keep")
    dataset = load(data)
    assert dataset.shape == (9, 8, 7)
    assert load(folder(tmp_path, files, depth="keep", on_bad_file="skip")).digest == dataset.digest
    sized = folder(tmp_path, files, depth="keep", image=ImageSize(height=4, width=4, channels=7))
    assert load(sized).shape == (4, 4, 7)
    found = examined(data)
    assert found.parts["train"].inputs.shape[1:] == (9, 8, 7)
    assert found.kinds == ({"TIFF": 20}, {"7 channels (16 bits)": 20}, {"9×8×7": 20})
    assert load(data.for_input(6, 6)).shape == (9, 8, 7)
    for one in (data, sized):
        streamed, kept = load(one.model_copy(update={"residence": "stream"})), load(one)
        assert (streamed.statistics, streamed.range) == (kept.statistics, kept.range)
        for part in ("train", "val", "test"):
            np.testing.assert_array_equal(getattr(streamed, part).inputs[:], getattr(kept, part).inputs)


def test_files_of_several_depths_or_channels_are_refused(tmp_path: Path) -> None:
    def refusal(name: str, file: bytes, **changes: Any) -> list[str]:
        with pytest.raises(DataError) as caught:
            load(folder(tmp_path / name, greys() | {"b/x.png": file}, depth="keep", **changes))
        return str(caught.value).replace(str(tmp_path / name / "photos"), "ROOT").splitlines()

    shallow = encoded(noise(1, 8, 8, bits=8))
    assert refusal("a", shallow) == ["ROOT/b/x.png: must have 16 bits for each channel, like the first image, got 8"]
    colour = encoded(noise(1, 8, 8, 3, bits=8))
    rule = "must have 1 channels like the first image, for data.depth=keep"
    assert refusal("b", colour, on_bad_file="skip") == [f"ROOT/b/x.png: {rule}, got 3"]


def test_a_range_belongs_to_deep_images() -> None:
    for changes, text in (
        ({"range": (0.0, 1.0)}, "must have a range with depth=keep only, got [0.0, 1.0]"),
        ({"range": (1.0, 0.0), "depth": "keep"}, "must have a range that rises, [black, white], got [1.0, 0.0]"),
    ):
        with pytest.raises(ValidationError) as caught:
            Folder.model_validate({"source": "folder", **changes})
        assert caught.value.errors()[0]["msg"] == f"Value error, {text}"


def test_new_files_are_read_as_in_training(tmp_path: Path) -> None:
    files = greys()
    dataset = load(folder(tmp_path, files, depth="keep"))
    inputs = Inputs(dataset.shape, "float32", range=dataset.range, keeps_depth=True)
    for file, image in by_file(dataset).items():
        np.testing.assert_array_equal(inputs.of_file(files[file], file), image)
    with pytest.raises(DataError) as caught:
        inputs.of_file(encoded(noise(1, 8, 8, bits=8)), "x.png")
    assert str(caught.value) == "x.png: must have 16 bits for each channel, as the training images have, got 8"
    with pytest.raises(DataError, match=r"^x.png: must have 3 channels, got 1$"):
        Inputs((8, 8, 3), "float32", keeps_depth=True).of_file(files["a/00.png"], "x.png")


@pytest.mark.slow
def test_a_trained_network_reads_files_as_in_training(tmp_path: Path) -> None:
    files = greys()
    root = on_disk(tmp_path / "photos", files)
    config = composed(*TINY, "data=folder", f"data.root={root}", "data.depth=keep", "train.batch_size=8")
    training = begun(parse(config))
    list(training.epochs())
    inputs = training.trained({}).inputs
    for file, image in by_file(load(training.trained({}).experiment.data)).items():
        np.testing.assert_array_equal(inputs.of_file(files[file], file), image)
