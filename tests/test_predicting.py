"""A trained network answers new files as it answered those of its training, whatever form they come in."""

import csv
import dataclasses
import io
import json
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from commands import Runner
from configurations import TINY, begun, composed, here, parse, tiny
from golden.cases import write_texts
from PIL import Image

import runner as package
from runner import data, limits
from runner.errors import ConfigError, DataError
from runner.launchable import as_yaml
from runner.predicting import Predictor
from runner.trained import Trained, load
from runner.verdicts.intervals import wilson
from runner.verdicts.verdict import judged


def pictures(folder: Path, count: int = 12) -> list[Path]:
    """Photographs of several sizes, modes and formats in two class folders: dark ones and bright ones."""
    draw = np.random.default_rng(0)
    paths = []
    for number in range(count):
        name, low = ("bright", 120) if number % 2 else ("dark", 0)
        path = folder / name / f"{number}.{'png' if number % 3 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (8 + number % 5, 8 + number % 3, 3)
        Image.fromarray(draw.integers(low, low + 120, size, np.uint8)).save(path)
        paths.append(path)
    return sorted(paths)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """A folder of photographs, and a network that was trained on it and left its files there."""
    folder = tmp_path_factory.mktemp("photographs")
    pictures(folder / "photos", 40)
    size = "data.image={height: 8, width: 8, channels: 3}"
    config = composed(*TINY, "data=folder", f"data.root={folder}/photos", size, "data.fit=pad", "train.batch_size=8")
    training = begun(parse(config))
    list(training.epochs())
    training.trained({}).save(folder, as_yaml(config))
    return folder, training.trained({})


def test_files_are_decoded_as_in_training_bit_for_bit(photographs: tuple[Path, Trained]) -> None:
    folder, trained = photographs
    paths = sorted((folder / "photos").rglob("*.*"))
    whole = data.load(trained.experiment.data)
    inputs = np.concatenate([part.inputs for part in (whole.train, whole.val, whole.test)])
    expected = np.sort(trained.answers(inputs, here()), axis=1)[:, ::-1]
    answers = Predictor(trained).predict(paths, top_k=2)
    found = [tuple(choice.probability for choice in answer.top) for answer in answers]
    assert len(found) == len(paths) == len(inputs)
    # The data set has its images in another order.
    assert sorted(found) == sorted(map(tuple, expected.tolist()))


def test_files_in_folders_of_classes_are_judged_as_the_test_images_of_a_run(
    photographs: tuple[Path, Trained], tmp_path: Path
) -> None:
    folder, trained = photographs
    test = data.load(trained.experiment.data).test
    probabilities = trained.answers(test.inputs, here())
    for name in test.files:
        path = tmp_path / "again" / "/".join(Path(name).parts[-2:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((folder / "photos" / name).read_bytes())
    network = Predictor(trained)
    [answers] = network.files(str(tmp_path / "again"))
    found = network.verdict(answers)
    wanted = judged(test.labels, probabilities, trained.classes)
    assert found is not None
    assert found.counts.tolist() == wanted.counts.tolist()
    assert (found.accuracy, found.macro) == (wanted.accuracy, wanted.macro)
    assert found.reliability.ece == pytest.approx(wanted.reliability.ece, rel=1e-9)
    assert network.verdict(network.predict([folder / "photos" / test.files[0]])) is None  # its class is not known


def test_a_path_an_image_and_an_array_are_answered_alike(photographs: tuple[Path, Trained]) -> None:
    folder, trained = photographs
    path = sorted((folder / "photos" / "dark").glob("*.png"))[0]
    image = Image.open(path)
    forms = [path, str(path), image, np.asarray(image), np.asarray(image.convert("RGBA"))]
    answers = Predictor(trained).predict(forms)
    assert len({answer.top for answer in answers}) == 1
    assert answers[0].top[0].name in ("bright", "dark")


def test_the_values_of_a_loaded_network_are_put_on_the_device_once(photographs: tuple[Path, Trained]) -> None:
    """Arrays of NumPy would be copied for each batch, which took most of the time of one image through AlexNet."""
    network = Predictor(load(photographs[0]))
    values = jax.tree.leaves((network.trained.params, network.trained.statistics))
    assert all(isinstance(value, jax.Array) and value.devices() == {here().device} for value in values)


@pytest.mark.parametrize("count", [1, 50, 1000])
def test_any_number_is_answered_as_each_alone(photographs: tuple[Path, Trained], tmp_path: Path, count: int) -> None:
    paths = pictures(tmp_path / "new", count)
    network = Predictor(photographs[1])
    answers = [answer for some in network.files(str(tmp_path / "new")) for answer in some]
    assert [Path(answer.file) for answer in answers] == paths
    assert [answer.label for answer in answers] == [path.parent.name for path in paths]
    assert answers[-1].top == network.predict([paths[-1]])[0].top


def test_a_folder_a_zip_and_a_pattern_give_the_same_answers(photographs: tuple[Path, Trained], tmp_path: Path) -> None:
    pictures(tmp_path / "new")
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        for path in sorted((tmp_path / "new").rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "new"))
    network = Predictor(photographs[1])
    by_name = [
        {Path(answer.file).name: answer.top for some in network.files(named) for answer in some}
        for named in (str(tmp_path / "new"), str(tmp_path / "new.zip"), str(tmp_path / "new/*/*"), "new/**/*.*")
    ]
    assert len(by_name[0]) == 12
    assert all(found == by_name[0] for found in by_name)


def test_a_file_that_cannot_be_read_is_answered_with_its_fault(
    photographs: tuple[Path, Trained], tmp_path: Path
) -> None:
    good = pictures(tmp_path / "new", 4)
    (tmp_path / "new" / "dark" / "a.png").write_bytes(b"no image")
    (tmp_path / "new" / "dark" / "note.txt").write_text("no image either, by its name")
    [answers] = Predictor(photographs[1]).files(str(tmp_path / "new"))
    assert len(answers) == len(good) + 1
    [bad] = [answer for answer in answers if answer.fault]
    assert bad.file.endswith("/dark/a.png")
    assert bad.fault.endswith(
        "must be a JPEG, PNG, GIF, TIFF, BMP or WebP image, got a file that starts with 6e6f20696d616765"
    )


@pytest.mark.slow
def test_floats_have_the_unit_of_the_training(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    black, white = -1.0, 1.0
    x = draw.uniform(black, white, (60, 8, 8, 1)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.arange(60) % 3)
    experiment = tiny("data=arrays", f"data.root={tmp_path}/a.npz", "data.range=[-1,1]", "train.epochs=1")
    training = begun(experiment)
    list(training.epochs())
    network = Predictor(training.trained({}))
    pixels = draw.integers(0, 256, (8, 8), np.uint8)
    same = (black + pixels[..., None].astype(np.float32) / 255 * (white - black)).astype(np.float32)
    as_bytes, as_floats = network.predict([pixels, same], top_k=3)
    assert as_bytes.top == as_floats.top


def test_a_network_of_texts_reads_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_texts(tmp_path)
    layers = "model.layers=[{embedding: {dim: 6}}, {conv: {filters: 5, kernel_size: 2}}, global_max_pool, classifier]"
    experiment = tiny("data=text", f"data.root={tmp_path}/texts.csv", "data.length=6", layers, "train.epochs=1")
    training = begun(experiment)
    list(training.epochs())
    network = Predictor(training.trained({}))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "texts.csv").read_text(encoding="utf-8"))))
    texts = [row["text"] for row in rows[:20]]
    answers = network.predict(texts)
    (tmp_path / "new").mkdir()
    for number, text in enumerate(texts):
        (tmp_path / "new" / f"{number:02}.txt").write_text(text, encoding="utf-8")
    (tmp_path / "new" / "20.txt").write_bytes(b"a film\n\xff")
    (tmp_path / "new" / "21.txt").write_bytes(b" \n")
    (tmp_path / "new" / "22.txt").write_bytes(b"\xef\xbb\xbf" + texts[0].encode())  # as Notepad begins a file
    [found] = network.files(str(tmp_path / "new"))
    assert [answer.top for answer in found[:20]] == [answer.top for answer in answers]
    assert [answer.fault for answer in found[20:22]] == [
        f"{tmp_path}/new/20.txt, line 2: must be UTF-8, got the byte ff",
        f"{tmp_path}/new/21.txt: must hold a text, got nothing",
    ]
    assert found[22].top == answers[0].top
    monkeypatch.setattr(limits, "TEXT_FILE_BYTES", 1000)
    (tmp_path / "new" / "23.txt").write_text("film " * 201)
    [found] = network.files(str(tmp_path / "new"))
    assert found[23].fault == f"{tmp_path}/new/23.txt: must have at most 1,000 bytes, got 1,005"
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        for number, text in enumerate(texts[:2]):
            archive.writestr(f"{number}.txt", text)
    whole = (tmp_path / "new.zip").read_bytes()
    (tmp_path / "new.zip").write_bytes(whole.replace(texts[0].encode(), texts[0].upper().encode(), 1))
    [found] = network.files(str(tmp_path / "new.zip"))
    assert (
        found[0].fault == f"{tmp_path}/new.zip/0.txt: must be a whole entry of the .zip, got one with a wrong checksum"
    )
    assert found[1].top == answers[1].top


def test_what_is_no_image_is_refused(photographs: tuple[Path, Trained], tmp_path: Path) -> None:
    network = Predictor(photographs[1])
    for item, error, line in (
        (
            np.zeros((8, 8, 3), np.float64),
            DataError,
            "images: must be whole numbers from 0 to 255, of any integer type",
        ),
        (np.zeros((9, 8, 7), np.uint8), DataError, r"images: must have 3 channels, got 7, in \(9, 8, 7\)"),
        (
            np.zeros(8, np.uint8),
            DataError,
            r"images: must have the shape \(8, 8, 3\) or another height and width, got \(8\)",
        ),
        ("nowhere.png", DataError, r"nowhere\.png: must be a file that exists, got nothing"),
    ):
        with pytest.raises(error, match=f"^{line}"):
            network.predict([item])
    (tmp_path / "empty").mkdir()
    for named, line in (
        ("empty", "images: must hold files that end in .jpg, .jpeg, .png, .gif, .tif, .tiff, .bmp, .webp, got empty"),
        *(
            (named, f"images: must be a file, a folder, a .zip or a pattern with files, got {named}")
            for named in ("*.jpg", "a**b", "[", "~nobody-of-this-name/a.jpg")
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            list(network.files(named))
        assert str(caught.value) == line


# From the command line


def test_a_run_predicts_scores_and_is_loaded_in_python(runner: Runner) -> None:
    paths = pictures(Path("photos"), 40)
    own = ("data=folder", "data.root=photos", "data.image={height: 8, width: 8, channels: 3}")
    ended = runner(*TINY, *own, "train.epochs=8", "train.batch_size=8", "hydra.run.dir=outputs/run")
    assert ended.status == 0, ended.err
    Path("photos/dark/a.png").write_bytes(b"")
    done = runner("predict", "run=outputs/run", "images=photos", "format=json", "top_k=2")
    answers = json.loads(done.out)
    assert done.status == 0
    assert [answer["file"] for answer in answers] == [str(path) for path in paths]
    assert all(
        answer["top"][0] == {"class": answer["class"], "probability": answer["probability"]} for answer in answers
    )
    right = sum(Path(answer["file"]).parent.name == answer["class"] for answer in answers)
    first, last, *verdict = done.err.splitlines()
    assert first.startswith("passed over: ")
    assert "an empty file" in first
    share = wilson(right, 40)
    assert verdict[0] == f"  95 % interval {share.low:.2%} to {share.high:.2%} (40 images)"
    assert last.endswith(f"a second); 1 passed over; accuracy {right / 40:.2%} of 40 in folders of a class")
    done = runner("predict", "run=outputs/run", "images=photos/dark/*.jpg", "format=csv")
    rows = list(csv.reader(io.StringIO(done.out)))
    assert rows[0] == ["file", "class", "probability"]
    assert {row[0]: row[1] for row in rows[1:]}.items() <= {one["file"]: one["class"] for one in answers}.items()
    table = runner("predict", "run=outputs/run", f"images={paths[0]}").out.splitlines()
    assert table[1].split()[:2] == [str(paths[0]), answers[0]["class"]]

    [answer] = package.load("outputs/run").predict([paths[0]])
    assert answer.top[0].name == answers[0]["class"]


def test_names_print_on_one_line(runner: Runner, photographs: tuple[Path, Trained]) -> None:
    folder, trained = photographs
    Path("new/e\u0301").mkdir(parents=True)  # é as macOS writes it
    (path,) = pictures(Path("photos"), 1)
    path.rename("new/e\u0301/a\n\x1b[31m.jpg")
    Path("new/b\x1b[2J.jpg").write_bytes(b"")
    config = (folder / "config.yaml").read_text(encoding="utf-8")
    Path("run").mkdir()
    dataclasses.replace(trained, classes=("é", "\x1b[1m")).save(Path("run"), config)
    done = runner("predict", "run=run", "images=new", "top_k=2")
    assert done.status == 0
    assert "\x1b" not in done.out + done.err
    _, row = done.out.splitlines()
    assert row.startswith("new/e\u0301/a\\n\\x1b[31m.jpg")
    assert "\\x1b[1m" in row
    passed_over, last = done.err.splitlines()
    assert passed_over.startswith("passed over: new/b\\x1b[2J.jpg: must be")
    assert "of 1 in folders of a class" in last


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "images: must name the files for this network, which reads images"),
        (("texts=a.txt",), "images: must name the files for this network, which reads images"),
        (("images=nowhere",), "images: must be a file, a folder, a .zip or a pattern with files, got nowhere"),
        (("images=a", "top_k=0"), "top_k: must be ≥ 1, got 0"),
    ],
)
def test_a_mistake_is_one_line(
    runner: Runner, photographs: tuple[Path, Trained], arguments: tuple[str, ...], line: str
) -> None:
    done = runner("predict", f"run={photographs[0]}", *arguments)
    assert (done.status, done.out, done.err) == (2, "", f"{line}\n")
