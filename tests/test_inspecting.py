"""`describe data`: planted copies, leakage, broken and empty files are all found, and nothing else is."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from browser import started
from commands import Runner
from configurations import TINY, experiment
from PIL import Image, ImageFilter

from runner.data import Arrays, Augment, Digits, Text
from runner.data.augment import Cutout, HorizontalFlip
from runner.errors import DataError
from runner.inspecting import examined, read
from runner.inspecting.changes import changed
from runner.inspecting.looks import alike, looks_of
from runner.inspecting.page import html
from runner.inspecting.written import as_text

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # from MLflow's use of SQLAlchemy
]


def picture(seed: int, side: int = 48) -> Image.Image:
    """A smooth picture in colours, unlike others with all but certainty."""
    noise = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), np.uint8)
    return Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC)


def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


PLANTED = {
    "test/dog/copy.png": saved(picture(3)),  # train/cat/3.png, of another class
    "train/cat/twice.png": saved(picture(5)),
    "test/cat/again.jpg": saved(picture(7), "JPEG", quality=50),
    "val/cat/half.png": saved(picture(9).resize((24, 24)).resize((48, 48))),
    "train/dog/lighter.png": saved(picture(11).point(lambda value: min(255, round(value * 1.1)))),
    "test/dog/smaller.png": saved(picture(13).resize((36, 36))),
    "train/cat/black.png": saved(Image.new("RGB", (48, 48))),
    "train/cat/faint.png": saved(Image.fromarray(np.tile(np.arange(48, dtype=np.uint8) // 10, (48, 1))).convert("RGB")),
    "train/dog/cut.jpg": saved(picture(2000), "JPEG")[:-200],
    "train/dog/empty.png": b"",
    "train/dog/grey.png": saved(picture(15, 52).convert("L")),
    "train/dog/notes.txt": b"three dogs",
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planted") / "photos"
    files = dict(PLANTED)
    for part, count, first in (("train", 20, 0), ("val", 5, 200), ("test", 5, 300)):
        for label, offset in (("cat", 0), ("dog", 1000)):
            files |= {f"{part}/{label}/{first + k}.png": saved(picture(offset + first + k)) for k in range(count)}
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def described(runner: Runner, *overrides: str) -> dict:
    done = runner("describe", "data", *overrides, "describe.format=json")
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)


def names(groups: list[list[dict[str, str]]]) -> set[frozenset[str]]:
    return {frozenset(place["example"] for place in group) for group in groups}


def test_everything_planted_is_found_and_nothing_else(runner: Runner, photos: Path) -> None:
    found = described(runner, "data=folder", f"data.root={photos}", "model.input=null")
    assert [bad["file"] for bad in found["unreadable"]] == ["train/dog/cut.jpg", "train/dog/empty.png"]
    assert found["other_files"] == ["train/dog/notes.txt"]
    doubts = {doubt["example"]: doubt["why"] for doubt in found["doubtful"]}
    assert doubts["train/cat/black.png"] == "one colour: 0, 0, 0"
    assert doubts["train/cat/faint.png"].startswith("nearly one colour: values differ by at most ")
    assert len(doubts) == 2
    assert names(found["copies"]) == {
        frozenset({"train/cat/3.png", "test/dog/copy.png"}),
        frozenset({"train/cat/5.png", "train/cat/twice.png"}),
    }
    assert names(found["alike"]) == {
        frozenset({"train/cat/7.png", "test/cat/again.jpg"}),
        frozenset({"train/cat/9.png", "val/cat/half.png"}),
        frozenset({"train/cat/11.png", "train/dog/lighter.png"}),
        frozenset({"train/cat/13.png", "test/dog/smaller.png"}),
        frozenset({"train/cat/15.png", "train/dog/grey.png"}),
    }
    assert found["different_classes"] == 4
    assert found["leakage"] == [
        {"split": "test", "within": "train", "exact": 1, "alike": 2},
        {"split": "val", "within": "train", "exact": 0, "alike": 1},
    ]
    assert found["splits"]["train"]["classes"] == {"cat": 23, "dog": 22}
    assert found["files"]["formats"] == {"PNG": 68, "JPEG": 1}
    assert found["files"]["modes"] == {"RGB": 68, "L": 1}
    assert found["files"]["sizes"] == {"48×48×3": 67, "36×36×3": 1, "52×52×1": 1}


@pytest.mark.parametrize("columns", [80, pytest.param(120, marks=pytest.mark.slow)])
def test_the_text_names_what_was_found(runner: Runner, photos: Path, columns: int, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = runner("describe", "data", "data=folder", f"data.root={photos}", "model.input=null")
    assert done.status == 0
    lines = done.out.splitlines()
    for line in (
        "formats: PNG 68, JPEG 1",
        "unreadable files: 2",
        "  train/cat/black.png: one colour: 0, 0, 0",
        "equal examples: 2 copies",
        "  train/cat/3.png = test/dog/copy.png",
        "examples that look alike: 5 pairs",
        "equal or alike, but of different classes: 4",
        "examples in two sets: 4",
        "  3 of test in train: 1 equal, 2 that look alike",
    ):
        assert line in lines
    assert max(len(line) for line in lines if "/" not in line) <= columns


def test_mean_and_deviation_are_those_of_numpy() -> None:
    data = read(Digits(name="digits"))
    [split, *_] = examined(data).splits.values()
    images = data.parts["train"].inputs / (255 if data.parts["train"].inputs.dtype == np.uint8 else 1)
    np.testing.assert_allclose([*split.mean, *split.std], [images.mean(), images.std()], rtol=1e-5)
    assert split.by_class == tuple(np.bincount(data.parts["train"].labels))


def test_pairs_are_those_of_all_comparisons() -> None:
    random = np.random.default_rng(0)
    images = np.stack([np.asarray(picture(seed, 40)) for seed in range(40)])
    noisy = np.clip(images[:20].astype(int) + random.integers(-12, 13, images[:20].shape), 0, 255).astype(np.uint8)
    looks = looks_of(np.concatenate([images, noisy]))
    distances = np.bitwise_count(looks.hashes[:, None] ^ looks.hashes)
    for distance in (0, 3, 6, 11):
        close = (distances <= distance) & (looks.thumbnails @ looks.thumbnails.T >= 0.9)
        expected = [pair for pair in np.argwhere(close).tolist() if pair[0] < pair[1]]
        assert alike(looks, distance=distance, correlation=0.9).pairs.tolist() == expected
    assert len(alike(looks).pairs) == 20


def test_very_many_pairs_are_not_all_collected() -> None:
    noise = np.random.default_rng(0).integers(0, 3, (600, 40, 40, 3), np.uint8)
    found = alike(looks_of(np.asarray(picture(1, 40)) // 2 + noise))
    assert not found.complete
    assert 50_000 < len(found.pairs) < 600 * 599 / 2
    assert np.all(found.pairs[:, 0] < found.pairs[:, 1])
    assert len(np.unique(found.pairs, axis=0)) == len(found.pairs)


def test_hashes_are_those_of_a_cosine_transform() -> None:
    from scipy.fft import dctn

    image = np.asarray(picture(1, 40).convert("L").filter(ImageFilter.GaussianBlur(1)))
    waves = dctn(image.astype(float), type=2)[:12, :12]
    order = sorted((row + column, row, column) for row in range(12) for column in range(12))[1:65]
    lowest = np.array([waves[row, column] for _, row, column in order])
    # dctn does not weigh frequencies; bits near the median may differ by rounding.
    bits = f"{int(looks_of(image[None, ..., None]).hashes[0]):064b}"
    assert bits == "".join("01"[int(value > np.median(lowest))] for value in lowest)


def test_texts_are_compared_and_counted(tmp_path: Path) -> None:
    rows = [f"text {number} of {'many ' * (number % 7)}words,{'good' if number % 2 else 'bad'}" for number in range(60)]
    (tmp_path / "train.csv").write_text("text,label\n" + "\n".join([*rows, rows[4]]))
    (tmp_path / "test.csv").write_text("text,label\n" + "\n".join(["new text,good", rows[9]]))
    found = examined(read(Text(source="text", root=str(tmp_path), length=9)))
    assert (found.kind, found.splits["train"].words) == ("texts", (4, 7, 10))
    assert sum(map(len, found.copies)) - len(found.copies) == 2
    assert [(shared.split, shared.exact) for shared in found.shared if shared.split == "test"] == [("test", 1)]
    assert "only images are compared by their looks, not texts" in as_text(found)


def test_constant_signals_are_doubted(tmp_path: Path) -> None:
    signals = np.random.default_rng(3).normal(size=(40, 16)).astype(np.float32)
    signals[7] = 0.5
    np.savez(tmp_path / "signals.npz", x_train=signals, y_train=np.arange(40) % 2)
    found = examined(read(Arrays(source="arrays", root=str(tmp_path / "signals.npz"), axes="lc")))
    assert [doubt.why for doubt in found.doubtful] == ["one value: 0.5"]
    assert "of one value: 1" in as_text(found).splitlines()


def test_a_thousand_classes_fit_a_terminal(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(1000), 3)
    images = np.random.default_rng(0).integers(0, 256, (3000, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "many.npz", x_train=images, y_train=labels)
    text = as_text(examined(read(Arrays(source="arrays", root=str(tmp_path / "many.npz"), val_fraction=0.3))))
    assert "… 976 of sizes between" in text
    assert len(text.splitlines()) < 50


def test_ranges_of_numbers_stand_in_their_order_and_have_names_of_their_own(tmp_path: Path) -> None:
    years = np.repeat(np.arange(1960, 2020), 10)  # of each year some are trained on
    numbers = np.stack([np.full(600, 7), years, np.arange(600) / 9], axis=1)
    images = np.random.default_rng(0).integers(0, 256, (600, 4, 4, 1), np.uint8)
    np.savez(tmp_path / "years.npz", x_train=images, y_train=numbers)
    rules = ("task=regression", "data.targets=[same, year, ratio]", "model.input=null")
    source = experiment("data=arrays", f"data.root={tmp_path / 'years.npz'}", *rules).source
    found = examined(read(source))
    assert len(set(found.classes)) == len(found.classes) == 21
    assert found.classes[:2] == ("same 7 to 7", "year 1960 to 1966")
    assert found.by_class[:2] == (600, 60)
    lines = as_text(found).splitlines()
    shown = [line.partition("  ")[0] for line in lines if line.startswith(("same ", "year ", "ratio "))]
    assert shown == list(found.classes)
    assert "equal or alike, but of different ranges: none" in lines


def test_what_the_task_learns_is_described_for_models_of_any_input(runner: Runner, tmp_path: Path) -> None:
    rows = "".join(f"word {index},{index / 8}\n" for index in range(30))
    (tmp_path / "prices.csv").write_text(f"text,price\n{rows}")
    root = ("data=text", f"data.root={tmp_path / 'prices.csv'}")
    found = described(runner, "model=textcnn", *root, "task=regression", "data.targets=[price]")
    assert (found["form"], found["classes"][0][:5]) == ("numbers", "price")


def test_a_conflict_among_many_copies_names_an_example_of_each_class(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    images[:9] = images[0]
    labels = np.arange(40) // 8 % 2
    np.savez(tmp_path / "copies.npz", x_train=images, y_train=labels, x_test=images[30:], y_test=labels[30:])
    found = examined(read(Arrays(source="arrays", root=str(tmp_path / "copies.npz"), val_fraction=0.1)))
    [conflict] = found.conflicts
    lines = as_text(found).splitlines()
    after = lines[lines.index("equal or alike, but of different classes: 1") + 1]
    assert {after.count("(0)"), after.count("(1)"), len(conflict)} == {1, 9}


def test_where_no_file_can_be_read_the_files_are_named(tmp_path: Path) -> None:
    from runner.data import Folder

    for name in ("cat/1.png", "dog/2.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True)
        (tmp_path / "photos" / name).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cat/1\.png.*\n.*dog/2\.png"):
        read(Folder(source="folder", root=str(tmp_path / "photos")))


def test_what_cannot_be_examined_is_refused_in_one_line(tmp_path: Path) -> None:
    from runner.data import Folder

    (tmp_path / "photos/cat").mkdir(parents=True)
    (tmp_path / "photos/cat/1.png").write_bytes(saved(picture(1)))
    with pytest.raises(DataError, match="must hold at least two class folders"):
        read(Folder(source="folder", root=str(tmp_path / "photos")))


def test_the_written_images_stand_in_all_sets_on_purpose(runner: Runner) -> None:
    found = described(runner, "experiment=textbook")
    assert (found["leakage"], found["copies"]) == ([], [])


def page_of(runner: Runner, tmp_path: Path, *overrides: str) -> Path:
    done = runner("describe", "data", *overrides, "describe.format=html")
    assert (done.status, done.err) == (0, "")
    path = tmp_path / "data.html"
    path.write_text(done.out, encoding="utf-8")
    return path


@pytest.mark.slow
def test_the_page_shows_what_was_found_at_every_width(runner: Runner, photos: Path, tmp_path: Path) -> None:
    augment = ("augment.horizontal_flip={}", "augment.cutout.size=16")
    path = page_of(runner, tmp_path, "data=folder", f"data.root={photos}", "model.input=null", *augment)
    with started() as page:
        for width in (1400, 400):
            page.open(path.as_uri(), width=width)
            assert page.faults == []
            assert all(address.startswith(("file:", "data:")) for address in page.asked)
            assert page.value("document.documentElement.scrollWidth") == width
        titles = page.texts("h2")
        assert titles == [
            "Classes",
            "Channels",
            "Files",
            "Examples of each class",
            "Augmentation",
            "Empty or of one colour",
            "Equal examples",
            "Examples that look alike",
            "Unreadable files",
        ]
        captions = page.texts("figcaption")
        assert "train/cat/3.png (train, cat)test/dog/copy.png (test, dog)" in captions
        assert [
            caption for caption in captions if caption.split()[0] in ("before", "horizontal_flip", "cutout", "all")
        ] == ["before", "horizontal_flip probability 0.5", "cutout size 16.0, fill 0.0", "all of them"]
        assert page.value("[...document.images].every(image => image.naturalWidth > 0)")


def test_each_part_of_the_augmentation_is_shown_alone() -> None:
    images = np.random.default_rng(0).random((4, 8, 8, 1)).astype(np.float32)
    augment = Augment(horizontal_flip=HorizontalFlip(probability=1.0), cutout=Cutout(size=4.0, fill=0.0))
    flipped, cut, both = changed(augment, images)
    np.testing.assert_array_equal(flipped.images, images[:, :, ::-1])
    is_cut = cut.images != images
    assert is_cut.any()
    assert not cut.images[is_cut].any()
    np.testing.assert_array_equal(both.images, np.where(is_cut, 0, flipped.images))


@pytest.mark.parametrize("overrides", [(), ("experiment=signal",), ("experiment=textbook",)], ids=str)
def test_the_page_of_other_data(runner: Runner, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    text = page_of(runner, tmp_path, *overrides).read_text(encoding="utf-8")
    assert "<h2>Examples of each class</h2>" in text
    assert text.count("data:image/") >= 2


def test_a_page_of_texts_names_no_markup(tmp_path: Path) -> None:
    rows = [f"<b>text</b> {number},{'good' if number % 2 else '<i>bad</i>'}" for number in range(30)]
    (tmp_path / "texts.csv").write_text("text,label\n" + "\n".join(rows))
    data = read(Text(source="text", root=str(tmp_path / "texts.csv"), length=9))
    text = html(examined(data), data)
    assert "<b>text" not in text
    assert "<i>bad" not in text
    assert "&lt;b&gt;text" in text


def test_html_is_of_data_alone(runner: Runner) -> None:
    done = runner("describe", "describe.format=html")
    assert (done.status, done.err) == (2, "describe.format: must be table or json for a network, got html\n")


@pytest.mark.slow
def test_a_run_logs_the_page_and_the_command_for_the_rest(runner: Runner) -> None:
    tiny = (*TINY, "tracking.enabled=true", "figures.draw=[data]", "augment.horizontal_flip={}")
    assert runner(*tiny, "train.epochs=1", "hydra.run.dir=outputs/run").status == 0
    text = Path("outputs/run/data.html").read_text(encoding="utf-8")
    assert "<h2>Examples of each class</h2>" in text
    assert "runner explain run=RUN what=data" in text
    assert len(list(Path("outputs/artifacts").rglob("data.html"))) == 1
