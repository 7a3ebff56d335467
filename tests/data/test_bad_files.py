"""Folders with files that cannot be used: all are told at once, or left out; and images of several sizes."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stores import STORES, encoded, on_disk
from test_folder import classes, noise, read
from test_image_cache import assert_same, opened  # noqa: F401 - a fixture

from runner.data import Folder, ImageSize, load
from runner.data.loading import form_of
from runner.errors import DataError

HEIGHT, WIDTH = 12, 10
CUT = encoded(noise(1), "JPEG")[:-100]
IMAGES = "images (.jpg, .jpeg, .png, .gif, .tif, .tiff, .bmp, .webp)"
NO_IMAGE = "must be a JPEG, PNG, GIF, TIFF, BMP or WebP image"


def refusal(root: Path, **changes: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(root, **changes)
    return str(caught.value).splitlines()


# All at once


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("image", [None, ImageSize(height=8, width=8, channels=3)])
def test_all_faults_are_told_at_once(tmp_path, store, image):
    files = classes("train/") | classes("test/")
    for number in range(12):
        files |= {f"train/cat/empty{number:02}.png": b"", f"test/eagle/text{number:02}.jpg": b"hello, world"}
    root = STORES[store](tmp_path, files | {"train/cat/cut.jpg": CUT, "test/cat/cut.png": encoded(noise(2))[:-90]})
    cut = "must be an image that decodes, got a broken one (image file is truncated"
    lines = refusal(root, image=image)
    assert lines[0].startswith(f"{root}/train/cat/cut.jpg: {cut}")
    assert lines[1].startswith(f"{root}/test/cat/cut.png: {cut}")
    empty = f"{NO_IMAGE}, got an empty file"
    assert lines[2:12] == [f"{root}/train/cat/empty{number:02}.png: {empty}" for number in range(10)]
    assert lines[12:] == [
        f"{root}: {NO_IMAGE}, got 24 with this fault, the first 10 above",
        "data.on_bad_file: must be skip to train without the 26 bad files, got error",
    ]


def test_faults_of_folders_come_with_those_of_files(tmp_path):
    root = on_disk(
        tmp_path / "files",
        classes("train/")
        | {"train/fish/": b"", "train/frog/a.txt": b"", "test/cat/1.png": b"", "test/crow/1.png": encoded(noise(1))},
    )
    assert refusal(root) == [
        f"{root}/train/fish: must hold {IMAGES}, got an empty class folder",
        f"{root}/train/frog: must hold {IMAGES}, got 1 file of other kinds (.txt 1)",
        f"{root}/test: must have the class folders of train, got no eagle",
        f"{root}/test: must have the class folders of train, got no fish",
        f"{root}/test: must have the class folders of train, got no frog",
        f"{root}/test/crow: must be a class of train, got cat, eagle, fish, frog",
        f"{root}/test/cat/1.png: {NO_IMAGE}, got an empty file",
        "data.on_bad_file: must be skip to train without the bad file, got error",
    ]


def test_files_that_cannot_be_read_are_told_with_the_others(tmp_path):
    root = on_disk(tmp_path / "files", classes() | {"cat/a.png": b""})
    (root / "cat" / "link.png").symlink_to("nowhere")
    assert refusal(root)[:2] == [
        f"{root}/cat/a.png: {NO_IMAGE}, got an empty file",
        f"{root}/cat/link.png: must be readable, got No such file or directory",
    ]
    assert len(read(root, on_bad_file="skip").left_out.bad) == 2


def test_with_a_limit_only_the_files_in_use_are_looked_at(tmp_path):
    root = on_disk(tmp_path / "files", dict.fromkeys(classes(), b""))
    [line] = refusal(root, limit=2)
    assert line.endswith(f".png: {NO_IMAGE}, got an empty file")


# Left out


@pytest.mark.parametrize("store", STORES)
def test_skipped_files_leave_the_data_set_of_the_others(tmp_path, store):
    (tmp_path / "clean").mkdir()
    clean = STORES[store](tmp_path / "clean", classes())
    bad = {"cat/0a.jpg": CUT, "cat/z.png": b"", "eagle/5a.png": encoded(noise(1))[:-100]}
    other = {"cat/notes.txt": b"x", "eagle/a.HEIC": b"x", "eagle/LICENCE": b"x"}
    told: list[str] = []
    root = STORES[store](tmp_path, classes() | bad | other)
    found = load(Folder(source="folder", root=str(root), on_bad_file="skip"), report=told.append)
    assert_same(found, read(clean))
    assert found.left_out.other == ("cat/notes.txt", "eagle/LICENCE", "eagle/a.HEIC")
    assert [path for path, _ in found.left_out.bad] == ["cat/0a.jpg", "cat/z.png", "eagle/5a.png"]
    assert found.left_out.bad[1][1] == f"{NO_IMAGE}, got an empty file"
    assert told[0] == f"checked {len(classes() | bad)} of {len(classes() | bad)} images"
    assert told[1] == (
        "left out of the class folders: 3 bad images and 3 files of other kinds (.txt 1, no suffix 1, .heic 1)"
    )
    assert told[3] == f"skipped cat/z.png: {NO_IMAGE}, got an empty file"
    assert found.left_out.listed().splitlines()[1:4:2] == [
        f"cat/z.png: {NO_IMAGE}, got an empty file",
        "cat/notes.txt: another kind of file",
    ]


def test_files_of_other_kinds_are_passed_over_and_counted(tmp_path):
    root = on_disk(tmp_path / "files", classes() | {"cat/readme.txt": b"x"})
    found = read(root)
    assert (found.left_out.bad, found.left_out.summary()) == ((), "1 file of other kinds (.txt 1)")


@pytest.mark.parametrize("store", STORES)
def test_a_mended_file_is_seen_and_a_newly_broken_one_too(tmp_path, store):
    files = classes()
    bad = files | {"cat/3.png": files["cat/3.png"][:-50]}
    broken = read(STORES[store](tmp_path, bad), on_bad_file="skip")
    assert [path for path, _ in broken.left_out.bad] == ["cat/3.png"]
    mended = read(STORES[store](tmp_path, files), on_bad_file="skip")
    assert mended.left_out.bad == ()
    assert_same(mended, read(STORES[store](tmp_path, files)))
    again = read(STORES[store](tmp_path, bad), on_bad_file="skip")
    assert_same(again, broken)


def test_a_second_start_reads_no_file_of_a_survey(tmp_path, monkeypatch, opened):  # noqa: F811
    root = on_disk(tmp_path / "files", classes() | {"cat/a.png": b"x"})
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 10 * 10**9)  # later than one tick of the clock
    read(root, on_bad_file="skip")
    opened.clear()
    assert len(read(root, on_bad_file="skip").left_out.bad) == 1
    assert opened == []


def test_a_class_of_bad_files_only_is_refused(tmp_path):
    root = on_disk(tmp_path / "files", classes() | {"dog/1.png": b""})
    [line] = refusal(root, on_bad_file="skip")
    assert line == f'{root}, train: must have training examples of every class, got none of "dog"'


# GIF and TIFF


def test_gif_and_tiff_are_those_of_pillow(tmp_path):
    first, second = (Image.fromarray(noise(seed)).quantize(16) for seed in (1, 2))
    moving, pages = io.BytesIO(), io.BytesIO()
    first.save(moving, "GIF", save_all=True, append_images=[second])
    Image.fromarray(noise(3)).save(pages, "TIFF", save_all=True, append_images=[Image.fromarray(noise(4))])
    deep = noise(5, channels=1).astype(np.uint16) << 8
    files = {
        "a/1.gif": moving.getvalue(),
        "a/2.tif": pages.getvalue(),
        "b/3.tiff": encoded(deep + 17, "TIFF"),
        "b/4.TIF": encoded(noise(6), "TIFF", compression="tiff_lzw"),
    }
    data = Folder(
        source="folder",
        root=str(on_disk(tmp_path / "files", files)),
        image=ImageSize(height=HEIGHT, width=WIDTH, channels=3),
    )
    images = data.read(print).train.inputs[np.arange(4)]
    np.testing.assert_array_equal(images[0], np.asarray(Image.open(io.BytesIO(files["a/1.gif"])).convert("RGB")))
    np.testing.assert_array_equal(images[1], noise(3))
    np.testing.assert_array_equal(images[2], np.dstack([noise(5, channels=1)] * 3))
    np.testing.assert_array_equal(images[3], noise(6))


def test_a_broken_tiff_is_told_once(tmp_path, capfd):
    whole = encoded(noise(6), "TIFF", compression="tiff_lzw")
    broken = bytearray(whole)
    broken[8:80] = b"\xff" * 72  # within the strip, which libtiff decodes
    root = on_disk(tmp_path / "files", classes() | {"cat/a.tif": bytes(broken)})
    assert refusal(root)[0].startswith(f"{root}/cat/a.tif: must be an image that decodes, got")
    assert capfd.readouterr().err == ""  # libtiff has nothing to add


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_tiffs_of_32_bits_are_refused(tmp_path, kind):
    root = on_disk(tmp_path / "files", classes() | {"cat/a.tif": encoded(noise(1, channels=1).astype(kind), "TIFF")})
    assert refusal(root)[0] == f"{root}/cat/a.tif: must have 8 or 16 bits for each channel, got 32"


@pytest.mark.parametrize("form", ["GIF", "TIFF"])
def test_a_damaged_file_is_an_image_or_a_fault(tmp_path, form):
    stream, generator = io.BytesIO(), np.random.default_rng(0)
    Image.fromarray(noise(1)).quantize(16).save(stream, form)
    files = classes()
    for number in range(300):
        content = bytearray(stream.getvalue())
        for place in generator.integers(0, len(content), 5):
            content[place] = generator.integers(256)
        files[f"cat/damaged{number}.{form.lower()}"] = bytes(content)
    image = ImageSize(height=HEIGHT, width=WIDTH, channels=3)
    found = read(on_disk(tmp_path / "files", files), image=image, on_bad_file="skip")
    assert 0 < len(found.left_out.bad) < 300
    assert sum(len(part) for part in (found.train, found.val, found.test)) == 320 - len(found.left_out.bad)


# Images of several sizes


def mixed(channels: tuple[int, ...]) -> dict[str, bytes]:
    return {
        f"{name}/{number:02}.png": encoded(noise(number, 20 + number, 30 - number, channels[number % len(channels)]))
        for name in ("cat", "eagle")
        for number in range(12)
    }


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(("channels", "common"), [((3,), 3), ((1,), 1), ((1, 3), 3), ((3, 4), 3)])
def test_images_of_several_sizes_are_fitted_to_the_input(tmp_path, store, channels, common):
    root = STORES[store](tmp_path, mixed(channels))
    data = Folder(source="folder", root=str(root)).for_input(16, 18)
    declared = ImageSize(height=16, width=18, channels=common)
    assert_same(load(data), read(root, image=declared))
    assert form_of(data) == (declared.shape, 2, None)


def test_images_of_one_size_keep_it(tmp_path):
    root = on_disk(tmp_path / "files", classes())
    data = Folder(source="folder", root=str(root)).for_input(16, 18)
    assert_same(load(data), read(root))
    assert form_of(data) == ((HEIGHT, WIDTH, 3), 2, None)


def test_bad_files_among_images_of_several_sizes_are_told_at_once(tmp_path):
    files = mixed((3,)) | {f"cat/cut{number}.jpg": CUT for number in range(3)}
    root = on_disk(tmp_path / "files", files)
    with pytest.raises(DataError) as caught:
        load(Folder(source="folder", root=str(root)).for_input(16, 18))
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        *(f"{root}/cat/cut{number}.jpg" for number in range(3)),
        "data.on_bad_file",
    ]


def test_sizes_that_nothing_fits_are_told_with_the_setting_that_does(tmp_path):
    root = on_disk(tmp_path / "files", mixed((3,)))
    assert refusal(root) == [
        f"{root}: must have images of one size, or be fitted to one by "
        "'data.image={height: 224, width: 224, channels: 3}' or by model.input, got 12 sizes: 20×30×3 (cat/00.png), "
        "21×29×3 (cat/01.png), 22×28×3 (cat/02.png), ..."
    ]


def test_the_survey_of_many_images_reports_its_progress(tmp_path):
    told: list[str] = []
    root = on_disk(tmp_path / "files", classes(count=300))
    data = Folder(source="folder", root=str(root))
    assert form_of(data, report=told.append) == ((HEIGHT, WIDTH, 3), 2, None)
    assert told == ["checked 500 of 600 images", "checked 600 of 600 images"]
