"""A logged model that MLflow serves, as clients meet it, where this project is not installed."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from configurations import TINY
from golden.cases import write_texts
from PIL import Image
from tracking_server import answer, free_port, kill, mlflow_process

import runner as package

ROOT = Path(__file__).resolve().parent.parent.parent
# Put before everything that Python starts: `runner` cannot be imported, as where it is not installed.
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "runner":
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
"""
pytestmark = pytest.mark.slow


class Served(NamedTuple):
    """A model at the address of its server, and the folder in which it was trained."""

    url: str
    folder: Path
    environment: dict[str, str]

    def ask(self, body: Any) -> tuple[int, Any]:
        """The status and the content of an answer of curl."""
        (self.folder / "body.json").write_text(json.dumps(body))
        command = [
            "curl",
            "--silent",
            "--write-out",
            "\n%{http_code}",
            "--data",
            "@body.json",
            f"{self.url}/invocations",
        ]
        command += ["--header", "Content-Type: application/json"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True, timeout=120)
        content, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(content)


def trained(folder: Path, *overrides: str) -> None:
    """Trains in a folder, in a process of its own."""
    command = [sys.executable, "-m", "runner", *TINY, "train.batch_size=8", "tracking.enabled=true", *overrides]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def serving(folder: Path, model: str) -> Iterator[Served]:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    (folder / "blocked").mkdir()
    (folder / "blocked" / "sitecustomize.py").write_text(BLOCKED)
    environment = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/outputs/mlflow.db",
        "PYTHONPATH": str(folder / "blocked"),
    }
    imported = [sys.executable, "-c", "import runner"]
    assert subprocess.run(imported, env=os.environ | environment, capture_output=True).returncode == 1
    port = free_port()
    process = mlflow_process(
        *("models", "serve", "--model-uri", model, "--env-manager", "local", "--port", str(port)), **environment
    )
    try:
        url = f"http://127.0.0.1:{port}"
        answer(f"{url}/ping")
        yield Served(url, folder, environment)
    finally:
        kill(process)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A network of 8×8×3 photographs of two classes, by its name in the registry."""
    folder = tmp_path_factory.mktemp("photographs")
    draw = np.random.default_rng(0)
    for number in range(40):
        name, low = ("bright", 120) if number % 2 else ("dark", 0)
        path = folder / "photos" / name / f"{number}.{'png' if number % 3 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (8 + number % 5, 8 + number % 3, 3)
        Image.fromarray(draw.integers(low, low + 120, size, np.uint8)).save(path)
    own = ("data=folder", "data.root=photos", "data.image={height: 8, width: 8, channels: 3}", "data.fit=pad")
    trained(folder, *own, "tracking.register=photos@champion", "hydra.run.dir=outputs/run")
    yield from serving(folder, "models:/photos@champion")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A network of texts, the best member of a sweep."""
    folder = tmp_path_factory.mktemp("texts")
    write_texts(folder)
    layers = "model.layers=[{embedding: {dim: 6}}, {conv: {filters: 5, kernel_size: 2}}, global_max_pool, classifier]"
    own = ("data=text", "data.root=texts.csv", "data.length=6", layers, "tracking.register=texts@best")
    trained(folder, "-m", *own, "seed=0,1", "sweep.log_models=best", "hydra.sweep.dir=outputs/sweep")
    yield from serving(folder, "models:/texts@best")


def coded(image: Image.Image, form: str, **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, form, **options)
    return base64.b64encode(file.getvalue()).decode()


def files() -> dict[str, tuple[Image.Image, str, dict[str, Any]]]:
    """Images of the modes, depths and orientations that files have."""
    draw = np.random.default_rng(5)
    colours = Image.fromarray(draw.integers(0, 256, (33, 21, 3), np.uint8))
    alpha = Image.fromarray(draw.integers(0, 256, (9, 12, 4), np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    return {
        "a.jpg": (colours, "JPEG", {}),
        "turned.jpg": (colours, "JPEG", {"exif": turned}),
        "alpha.png": (alpha, "PNG", {}),
        "palette.gif": (colours.convert("P"), "GIF", {}),
        "deep.png": (Image.fromarray(draw.integers(0, 65536, (10, 8), np.uint16)), "PNG", {}),
        "grey.png": (colours.convert("L"), "PNG", {}),
        "a.webp": (colours, "WEBP", {"lossless": True}),
    }


def test_files_are_answered_as_by_predict(photographs: Served) -> None:
    kinds = files()
    for name, (image, form, options) in kinds.items():
        image.save(photographs.folder / name, form, **options)
    network = package.load(str(photographs.folder / "outputs" / "run"))
    expected = network.predict([photographs.folder / name for name in kinds], top_k=2)
    sent = [coded(*kinds[name][:2], **kinds[name][2]) for name in kinds]
    bodies: list[dict[str, Any]] = [
        {"inputs": {"image": sent}},
        {"inputs": sent},
        {"instances": [{"image": one} for one in sent]},
        {"dataframe_records": [{"image": one} for one in sent]},
        {"dataframe_split": {"columns": ["image"], "data": [[one] for one in sent]}},
    ]
    for body in bodies:
        status, found = photographs.ask(body | {"params": {"top_k": 2}})
        assert status == 200, found
        assert len(found["predictions"]) == len(expected)
        for ours, theirs in zip(expected, found["predictions"], strict=True):
            assert theirs["class"] == ours.top[0].name in ("bright", "dark")
            assert [one["class"] for one in theirs["top"]] == [choice.name for choice in ours.top]
            probabilities = [one["probability"] for one in theirs["top"]]
            assert probabilities == pytest.approx([choice.probability for choice in ours.top], abs=1e-6)


def test_arrays_of_any_size_are_answered_as_by_predict(photographs: Served) -> None:
    network = package.load(str(photographs.folder / "outputs" / "run"))
    pixels = np.random.default_rng(1).integers(0, 256, (3, 17, 12, 3), np.uint8)
    expected = network.predict(list(pixels))
    rows = [{"image": image.tolist()} for image in pixels]
    for body in ({"inputs": pixels.tolist()}, {"instances": pixels.tolist()}, {"dataframe_records": rows}):
        status, found = photographs.ask(body)
        assert status == 200, found
        assert [one["class"] for one in found["predictions"]] == [one.top[0].name for one in expected]
        probabilities = [one["probability"] for one in found["predictions"]]
        assert probabilities == pytest.approx([one.top[0].probability for one in expected], abs=1e-6)
    assert photographs.ask({"inputs": []}) == (200, {"predictions": []})


def test_what_cannot_be_used_is_one_line_and_status_400(photographs: Served) -> None:
    broken = coded(*files()["alpha.png"][:2])[:80]
    for body, line in (
        ({"inputs": ["hello world"]}, "images[0]: must be an image file in base64, or an array, got hello world"),
        (
            {"dataframe_records": [{"image": broken}]},
            "images[0]: must be an image that decodes, got a broken one (image file is truncated)",
        ),
        (
            {"inputs": (np.zeros((1, 8, 8, 3)) + 0.5).tolist()},
            "images: must be whole numbers from 0 to 255, of any integer type, got float64; multiply 0 … 1 by 255 and "
            "round",
        ),
        ({"inputs": [], "params": {"top_k": 0}}, "top_k: must be ≥ 1, got 0"),
        ({"inputs": {"a": ["x"], "b": ["y"]}}, "inputs: must have a column image, got [a, b]"),
    ):
        status, found = photographs.ask(body)
        assert status == 400
        assert (found["error_code"], found["message"]) == ("INVALID_PARAMETER_VALUE", line)
        assert "stack_trace" not in found
    # What MLflow itself refuses.
    for body in ({"inputs": [], "params": {"top_k": "many"}}, {"nothing": []}, [1]):
        assert photographs.ask(body)[0] == 400


def test_a_thousand_files_and_two_clients_at_once(photographs: Served) -> None:
    image, form, options = files()["a.jpg"]
    one = coded(image, form, **options)
    _, alone = photographs.ask({"inputs": [one]})
    status, found = photographs.ask({"dataframe_split": {"columns": ["image"], "data": [[one]] * 1000}})
    assert (status, len(found["predictions"])) == (200, 1000)
    assert {answer["class"] for answer in found["predictions"]} == {alone["predictions"][0]["class"]}

    def client(number: int) -> list[Any]:
        body = {"inputs": [one] * (number + 1)}
        return [json.loads(answer(f"{photographs.url}/invocations", body))["predictions"] for _ in range(10)]

    with ThreadPoolExecutor(2) as pool:
        for number, answers in enumerate(pool.map(client, range(2))):
            assert all(found == answers[0] for found in answers)
            assert len(answers[0]) == number + 1


def test_mlflow_predicts_from_a_file(photographs: Served) -> None:
    """Where this project cannot be imported, as the server runs too."""
    image, form, options = files()["a.jpg"]
    request = photographs.folder / "request.json"
    request.write_text(json.dumps({"inputs": [coded(image, form, **options)], "params": {"top_k": 2}}))
    _, expected = photographs.ask(json.loads(request.read_text()))
    process = mlflow_process(
        *("models", "predict", "--model-uri", "models:/photos@champion", "--env-manager", "local"),
        *("--input-path", str(request)),
        **photographs.environment,
    )
    printed, _ = process.communicate(timeout=120)
    assert json.loads(printed) == expected


def test_mlflow_predict_answers_one_line_if_it_cannot_use_the_request(photographs: Served) -> None:
    (photographs.folder / "refused.json").write_text(json.dumps({"inputs": ["hello world"]}))
    line = "images[0]: must be an image file in base64, or an array, got hello world"
    command = ["models", "predict", "--model-uri", "models:/photos@champion", "--env-manager", "local"]
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", *command, "--input-path", "refused.json"],
        cwd=photographs.folder,
        env=os.environ | photographs.environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == f"Error: {line}"
    assert "Traceback" not in done.stderr


def test_texts_are_answered_as_by_predict(texts: Served) -> None:
    [best] = [path.parent for path in (texts.folder / "outputs" / "sweep").glob("*/model")]
    sent = ["a film that is good", "It's NOT bad!", "", "很好"]
    expected = package.load(str(best)).predict(sent, top_k=2)
    for body in (
        {"inputs": sent},
        {"inputs": {"text": sent}},
        {"instances": [{"text": one} for one in sent]},
        {"dataframe_split": {"columns": ["text"], "data": [[one] for one in sent]}},
    ):
        status, found = texts.ask(body | {"params": {"top_k": 2}})
        assert status == 200, found
        for ours, theirs in zip(expected, found["predictions"], strict=True):
            assert [one["class"] for one in theirs["top"]] == [choice.name for choice in ours.top]
            probabilities = [one["probability"] for one in theirs["top"]]
            assert probabilities == pytest.approx([choice.probability for choice in ours.top], abs=1e-6)
    status, found = texts.ask({"inputs": [[[0], [1], [1], [0], [0], [0]]]})  # tokens
    assert (status, len(found["predictions"])) == (200, 1)
