"""Photographs with an EXIF orientation come upright, as Pillow's own exif_transpose shows them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps, JpegImagePlugin
from stores import encoded, zipped

from runner.data import Folder, ImageSize, load

ORIENTATION = 274


def tagged(value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


def picture(height=24, width=40):
    """Smooth, and different in every corner."""
    rows, columns = np.indices((height, width))
    return np.dstack([rows * 255 // height, columns * 255 // width, (rows + columns) * 2]).astype(np.uint8)


def shown(content):
    """What a viewer shows of a file."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))


def first(tmp_path, content, suffix, **changes):
    files = {f"{name}/{index}.{suffix}": content for name in "ab" for index in range(4)}
    return load(Folder(source="folder", root=str(zipped(tmp_path, files)), **changes)).train.inputs[0]


FORMS = {
    "jpg": ("JPEG", {"quality": 100}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
}


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", FORMS)
def test_every_orientation_becomes_upright(tmp_path, suffix, value):
    form, options = FORMS[suffix]
    content = encoded(picture(), form, exif=tagged(value), **options)
    np.testing.assert_array_equal(first(tmp_path, content, suffix), shown(content))


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("fit", ["resize", "crop", "pad"])
def test_a_turned_image_is_fitted_as_the_upright_one(tmp_path, fit, value):
    size = ImageSize(height=20, width=12, channels=3)
    turned = encoded(picture(), exif=tagged(value))
    (tmp_path / "upright").mkdir()
    expected = first(tmp_path / "upright", encoded(shown(turned)), "png", image=size, fit=fit)
    np.testing.assert_array_equal(first(tmp_path, turned, "png", image=size, fit=fit), expected)


@pytest.mark.parametrize("value", range(1, 9))
def test_a_reduced_jpeg_keeps_twice_the_needed_pixels(tmp_path, monkeypatch, value):
    reduced = []
    draft = JpegImagePlugin.JpegImageFile.draft

    def noted(self, mode, size):
        found = draft(self, mode, size)
        reduced.append(self.size)
        return found

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "draft", noted)
    content = encoded(picture(400, 800), "JPEG", quality=95, exif=tagged(value))
    upright = shown(content)
    height, width = (100, 50) if upright.shape[0] > upright.shape[1] else (50, 100)
    image = first(tmp_path, content, "jpg", image=ImageSize(height=height, width=width, channels=3))
    expected = ImageOps.fit(Image.fromarray(upright), (width, height), Image.Resampling.BILINEAR)
    # Stored 800 wide and 400 high: a quarter of it is 200 × 100, twice what is needed, whichever way it is turned.
    assert set(reduced) == {(200, 100)}
    assert np.abs(image.astype(int) - np.asarray(expected, int)).max() <= 4


def test_a_broken_exif_shows_the_image_as_it_is_stored(tmp_path):
    whole = encoded(picture(), "JPEG", quality=100, exif=tagged(6))
    place = whole.index(b"Exif\0\0") + 6
    for damaged in (b"XX", b"MM\x00\x2a\x00\x00\x00\x08\x00\x00", b"II\x2a\x00\xff\xff\xff\xff"):
        content = whole[:place] + damaged + whole[place + len(damaged) :]
        np.testing.assert_array_equal(first(tmp_path, content, "jpg"), np.asarray(Image.open(io.BytesIO(whole))))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_invalid_orientations_are_ignored(tmp_path, value):
    content = encoded(picture(), "JPEG", quality=100, exif=tagged(value))
    np.testing.assert_array_equal(first(tmp_path, content, "jpg"), np.asarray(Image.open(io.BytesIO(content))))


def test_all_sizes_are_those_of_upright_images(tmp_path):
    files = {f"a/{i}.png": encoded(picture(24, 40)) for i in range(4)}
    files |= {f"b/{i}.png": encoded(picture(40, 24), exif=tagged(6)) for i in range(4)}
    assert load(Folder(source="folder", root=str(zipped(tmp_path, files)))).shape == (24, 40, 3)
