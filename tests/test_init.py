"""`runner init`: the project that it makes is valid, trains, and never replaces a file."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from commands import Runner
from PIL import Image

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]


def photographs(folder: Path, sizes: tuple[tuple[int, int], ...] = ((20, 24), (20, 24), (30, 16))) -> Path:
    """Images of two classes, which differ in brightness."""
    for label, name in enumerate(("猫: a", "dog #1")):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            height, width = sizes[number % len(sizes)]
            pixels = np.full((height, width, 3), 60 + 120 * label + number, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def said(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#")]


@pytest.mark.slow
def test_the_first_command_trains_on_the_users_images(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    images = photographs(Path("2024: my, images"))
    (images / "dog #1" / "broken.png").write_bytes(b"no image")
    done = runner("init", "flowers", f"images={images}")
    assert done.status == 0, done.err
    assert done.out.endswith("Next:\n  cd flowers\n  python -m runner experiment=first\n")
    text = Path("flowers/conf/data/images_2024_my_images.yaml").read_text()
    assert said(text)[1:6] == [
        "#   dog #1       13",
        "#   猫: a        12",
        "# Sizes, height × width: 20×24 (16), 30×16 (8).",
        "# No folder test/ was found: a fifth of the images is kept for the test.",
        "# 1 file cannot be decoded and is left out.",
    ]
    monkeypatch.chdir("flowers")
    for path in Path("conf").rglob("*.yaml"):
        group = json.loads(Path("schema", f"{path.parent.name}.json").read_text())
        jsonschema.Draft202012Validator(group).validate(yaml.safe_load(path.read_text()))
    table = runner("describe", "experiment=first")
    assert (table.status, "20×24×3 input" in table.out) == (0, True), table.err
    trained = runner("experiment=first", "train.epochs=1", "tracking=off", "hydra.run.dir=outputs/run")
    assert trained.status == 0, trained.err
    assert (Path("outputs/run/weights.safetensors")).is_file()


def test_without_images_it_trains_on_the_digits_and_every_command_of_its_page_composes(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runner("init", "one/two").status == 0
    monkeypatch.chdir("one/two")
    commands = [
        line.partition("#")[0].split()[3:]
        for line in Path("README.md").read_text().splitlines()
        if line[:6] == "python"
    ]
    assert len(commands) == 9
    for command in commands:
        if command[0] in ("list", "show"):
            assert runner(*command).status == 0
        elif command[0] not in ("ui", "runs", "predict"):
            words = [word for word in command if word not in ("-m", "describe") and "," not in word]
            assert yaml.safe_load(runner(*words, "--cfg", "job").out)["data"]["source"] == "digits"
    settings = json.loads(Path(".vscode/settings.json").read_text())["yaml.schemas"]
    assert all(Path(schema).is_file() for schema in settings)


def test_images_inside_the_project_are_named_from_it(runner: Runner) -> None:
    photographs(Path("project/photos"))
    assert runner("init", "project", "images=project/photos").status == 0
    assert "root: photos\n" in Path("project/conf/data/photos.yaml").read_text()


def test_it_replaces_no_file(runner: Runner) -> None:
    Path("README.md").write_text("mine")
    done = runner("init", ".")
    assert (done.status, done.err) == (2, "README.md: must not exist, as init replaces no file\n")
    assert [(path.name, path.read_text()) for path in Path().iterdir()] == [("README.md", "mine")]
    Path("README.md").unlink()
    Path("schema").mkdir()
    Path("schema/model.json").write_text("mine")
    done = runner("init", ".")
    assert (done.status, done.err) == (2, "schema/model.json: must not exist, as init replaces no file\n")
    assert [path.name for path in Path().rglob("*") if path.is_file()] == ["model.json"]


def test_of_two_at_once_the_second_replaces_no_file(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("flowers").mkdir()
    Path("flowers/.gitignore").write_text("of the first\n")
    with monkeypatch.context() as patch:  # which has not made it yet when the second one looks
        patch.setattr(Path, "exists", lambda path: False)
        done = runner("init", "flowers")
    assert (done.status, done.err) == (2, "flowers/.gitignore: must not exist, as init replaces no file\n")
    assert [path.read_text() for path in Path("flowers").iterdir()] == ["of the first\n"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "command line: must name one folder for the project, got nothing"),
        (("a", "b"), "command line: must name one folder for the project, got a b"),
        (("a", "images=none"), "images: must be a folder or a .zip, got none"),
        (("a", "data=mnist"), 'data: unknown key "data"; must be one of images'),
    ],
)
def test_a_mistake_is_one_line(runner: Runner, arguments: tuple[str, ...], line: str) -> None:
    done = runner("init", *arguments)
    assert (done.status, done.out, done.err) == (2, "", f"{line}\n")
