"""A saved model answers what its function answers, for files, texts and arrays, without anything but its folder."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from PIL import Image
from test_house import RUNNER, imports, module

from runner.data.inputs import Inputs
from runner.errors import DataError
from runner.serving import save_model, shipping
from runner.serving.model import ServedModel, described, example, sent_example

CLASSES = ("cat", "dog", "owl")
IMAGES = np.random.default_rng(0).integers(0, 256, (600, 6, 5, 2), dtype=np.uint8)


def network(variables: Any, images: jax.Array) -> jax.Array:
    """(n, 6, 5, 2) uint8 → probabilities (n, 3)."""
    inputs = images.astype(jnp.float32) / 255
    features = jax.lax.conv_general_dilated(
        inputs, variables["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    pooled = jnp.max(jax.nn.relu(features), axis=(1, 2))
    logits = pooled @ variables["dense"]["w"].astype(jnp.float32) + variables["dense"]["b"].reshape(1, -1)
    return jax.nn.softmax(logits)


def variables() -> dict[str, Any]:
    kernel_key, dense_key = jax.random.split(jax.random.key(1))
    return {
        "kernel": jax.random.normal(kernel_key, (3, 3, 2, 4)),
        "dense": {"w": jax.random.normal(dense_key, (4, 3), jnp.bfloat16), "b": np.zeros(3, np.float32)},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_model(folder, function=network, variables=variables(), images=IMAGES[:4], classes=CLASSES)
    return folder


def test_the_folder_says_what_the_model_reads_and_answers(folder: Path) -> None:
    facts = described(folder)
    assert (facts.inputs, facts.output_dtype) == (Inputs((6, 5, 2), "uint8"), "float32")
    assert (facts.classes, facts.platforms, facts.batch_size) == (CLASSES, ("cpu", "cuda", "tpu"), None)
    np.testing.assert_array_equal(example(folder), IMAGES[:1])


@pytest.mark.parametrize("count", [0, 1, 3, 256, 257, 600])
def test_any_number_of_images_gives_what_the_function_gives(folder: Path, count: int) -> None:
    answers = ServedModel(folder).answers(IMAGES[:count])
    assert (answers.shape, answers.dtype) == ((count, 3), np.float32)
    if count:
        np.testing.assert_allclose(answers, network(variables(), jnp.asarray(IMAGES[:count])), rtol=2e-5, atol=1e-6)


def test_an_answer_names_the_classes_with_the_largest_probabilities(folder: Path) -> None:
    served = ServedModel(folder)
    rows, answers = served.answers(IMAGES[:5]), served.predict(IMAGES[:5], {"top_k": 9})
    for row, answer in zip(rows, answers, strict=True):
        order = sorted(range(3), key=lambda place: -row[place])
        assert answer["top"] == [{"class": CLASSES[place], "probability": float(row[place])} for place in order]
        assert (answer["class"], answer["probability"]) == (CLASSES[order[0]], float(row.max()))
    assert [answer["top"] for answer in served.predict(IMAGES[:5])] == [answer["top"][:1] for answer in answers]
    assert served.predict(IMAGES[:2].tolist()) == served.predict(IMAGES[:2])
    with pytest.raises(DataError, match=r"^top_k: must be ≥ 1, got 0$"):
        served.predict(IMAGES[:1], {"top_k": 0})


def as_long_as_the_batch(x: jax.Array) -> jax.Array:
    return x + jnp.zeros((int(x.shape[0]), 3))


def with_a_table_of_numpy(x: jax.Array) -> jax.Array:
    return x + np.zeros((x.shape[0], 3), np.float32)


def by_the_size_of_the_batch(x: jax.Array) -> jax.Array:
    return x if x.shape[0] > 5 else x + 1


def in_pairs(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0] // 2, 2, -1).reshape(x.shape)


def by_a_pallas_kernel(x: jax.Array) -> jax.Array:
    from jax.experimental import pallas

    def copy(source: Any, target: Any) -> None:
        target[...] = source[...]

    kernel = pallas.pallas_call(copy, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)
    return jnp.asarray(kernel(x))


def without_an_operation_of_tpus(x: jax.Array) -> jax.Array:
    nothing: jax.Array = 0 * jnp.linalg.eigvals(jnp.eye(3)).real
    return x + nothing.reshape(1, 3)


@pytest.mark.parametrize(
    ("function", "platforms", "batch_size"),
    [
        (as_long_as_the_batch, ("cpu", "cuda", "tpu"), 256),
        (with_a_table_of_numpy, ("cpu", "cuda", "tpu"), 256),
        (by_the_size_of_the_batch, ("cpu", "cuda", "tpu"), 256),
        (in_pairs, ("cpu", "cuda", "tpu"), 256),
        (by_a_pallas_kernel, ("cpu", "cuda", "tpu"), 256),
        (without_an_operation_of_tpus, (jax.default_backend(),), None),
        (lambda x: without_an_operation_of_tpus(in_pairs(x)), (jax.default_backend(),), 256),
    ],
)
def test_a_program_that_is_not_for_any_number_or_platform_is_saved_for_fewer(
    tmp_path: Path, function: Callable[[jax.Array], jax.Array], platforms: tuple[str, ...], batch_size: int | None
) -> None:
    inputs = np.arange(900, dtype=np.float32).reshape(300, 3)
    facts = save_model(
        tmp_path,
        function=lambda factor, images: factor * function(images),
        variables=jnp.float32(2),
        images=inputs,
        classes=("a", "b", "c"),
    )
    assert (facts.platforms, facts.batch_size) == (platforms, batch_size)
    np.testing.assert_array_equal(ServedModel(tmp_path).answers(inputs), 2 * inputs)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, TypeError, NotImplementedError])
def test_a_program_that_fails_however_it_is_lowered_says_why(tmp_path: Path, error: type[Exception]) -> None:
    def function(_: Any, images: jax.Array) -> jax.Array:
        raise error("no such layer")

    with pytest.raises(error, match="no such layer"):
        save_model(tmp_path, function=function, variables=(), images=IMAGES[:1], classes=CLASSES)


# What clients send


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of images of 8×8×3."""
    folder = tmp_path_factory.mktemp("photographs") / "model"
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), np.uint8)
    weights = np.random.default_rng(2).normal(0, 0.3, (192, 3)).astype(np.float32)

    def function(weights: Any, images: jax.Array) -> jax.Array:
        return jax.nn.softmax(images.reshape(images.shape[0], -1).astype(jnp.float32) / 255 @ weights)

    save_model(folder, function=function, variables=weights, images=images, classes=CLASSES)
    return folder


def png(pixels: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(file, "PNG", **options)
    return file.getvalue()


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


GREY = png(IMAGES[0, :, :, 0])


def test_every_form_of_a_file_is_answered_alike(photographs: Path) -> None:
    """Every form in which MLflow hands on what its clients send."""
    served = ServedModel(photographs)
    pixels = np.random.default_rng(3).integers(0, 256, (2, 11, 9, 3), np.uint8)
    files = [png(image) for image in pixels]
    texts = [coded(file) for file in files]
    expected = served.predict(pixels)
    assert len({answer["probability"] for answer in expected}) == 2
    for sent in (
        files,
        texts,
        np.array(texts),
        np.array(texts, object).reshape(2, 1),
        {"image": texts},
        {"images": np.array(texts), "name": ["a", "b"]},
        [{"image": text} for text in texts],
        [{"image": np.array(text)} for text in texts],
        pandas.DataFrame({"image": texts}),
        pandas.DataFrame({"whatever": texts}),
        pandas.DataFrame({"image": [image.tolist() for image in pixels]}),
        pandas.Series(texts),
        [f"data:image/png;base64,{text}\n" for text in texts],
        [texts[0], pixels[1]],
        pixels.tolist(),
        list(pixels),
    ):
        assert served.predict(sent) == expected
    # Another program, that of one image, adds in another order.
    assert served.predict(texts[0]) == served.predict(files[0]) == served.predict({"image": np.array(texts[0])})
    assert served.predict(files[0])[0]["probability"] == pytest.approx(expected[0]["probability"], rel=1e-6)
    for nothing in ([], {}, np.array([]), pandas.DataFrame(), pandas.DataFrame({"image": []}), {"image": []}):
        assert served.predict(nothing) == []
    mixed = [pixels[0, :8, :8].tolist(), pixels[1].tolist()]
    assert served.predict(pandas.DataFrame({"image": mixed}))[1] == expected[1]


def test_the_example_is_what_a_client_sends(folder: Path, photographs: Path) -> None:
    for model in (folder, photographs):
        assert ServedModel(model).predict(sent_example(model)) == ServedModel(model).predict(example(model))
    assert isinstance(sent_example(photographs), dict)


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (["no base64!"], "images[0]: must be an image file in base64, or an array, got no base64!"),
        ([coded(GREY), ""], "images[1]: must be a JPEG, PNG, GIF, TIFF, BMP or WebP image, got an empty file"),
        ([coded(GREY[:60])], "images[0]: must be an image that decodes, got a broken one (image file is truncated"),
        ([None], "images[0]: must have the shape (8, 8, 3) or another height and width, got ()"),
        (3, "inputs: must be a list, an array or a table of images, got 3"),
        (np.array(3), "inputs: must be a list, an array or a table of images, got 3"),
        ({"a": ["x"], "b": ["y"]}, "inputs: must have a column image, got [a, b]"),
        (
            pandas.DataFrame([["x", "y"]], columns=["image", "image"]),
            "inputs: must have columns of different names, got [image, image]",
        ),
        (np.zeros((8, 8, 3), int), "images: must have the shape (n, height, width, channels), got (8, 8, 3)"),
        (np.zeros((1, 9, 8, 5), int), "images[0]: must have 3 channels, got 5, in (9, 8, 5)"),
        (np.zeros((2, 0, 8, 3), int), None),
    ],
    ids=[
        *("base64", "empty", "broken", "null", "number", "no axis", "columns", "one name"),
        *("one image", "channels", "no pixels"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(photographs: Path, sent: Any, line: str | None) -> None:
    served = ServedModel(photographs)
    if line is None:
        assert served.predict(sent) == []
        return
    with pytest.raises(DataError) as caught:
        served.predict(sent)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("inputs", "sent", "line"),
    [
        (Inputs((4, 1), "int32", vocabulary=("", "?", "good")), ["good", None], "texts[1]: must be a text, got null"),
        (Inputs((4, 1), "int32", vocabulary=("", "?", "good")), [b"\xff"], "texts[0]: must be UTF-8, got the byte ff"),
        (Inputs((4, 1), "float32"), ["good"], "inputs[0]: must have the shape (4, 1), got ()"),
    ],
    ids=["null", "bytes", "signals"],
)
def test_networks_of_other_inputs_ask_for_no_images(tmp_path: Path, inputs: Inputs, sent: Any, line: str) -> None:
    array = np.zeros((1, *inputs.shape), inputs.dtype)
    save_model(tmp_path, function=lambda _, x: x[:, :3, 0], variables=(), images=array, classes=CLASSES, inputs=inputs)
    with pytest.raises(DataError) as caught:
        ServedModel(tmp_path).predict(sent)
    assert str(caught.value) == line


# Where this project is not installed

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("runner", "hydra", "pydantic_core", "optax"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
"""


def test_a_model_loads_where_this_project_is_not_installed(photographs: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(png(np.random.default_rng(3).integers(0, 256, (11, 9, 3), np.uint8)))
    program = (
        f"{BLOCKED}\nimport json\nfrom pathlib import Path\n"
        "folder = Path(sys.argv[1]); sys.path.insert(0, str(folder / 'code'))\n"
        "[package] = (folder / 'code').iterdir()\nimport importlib\n"
        "ServedModel = importlib.import_module(f'{package.name}.serving.model').ServedModel\n"
        "print(json.dumps(ServedModel(folder).predict([Path(sys.argv[2]).read_bytes()], {'top_k': 3})))\n"
    )
    command = [sys.executable, "-c", program, str(photographs), str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [answer] = json.loads(done.stdout)
    [ours] = ServedModel(photographs).predict([file.read_bytes()], {"top_k": 3})
    assert answer["class"] == ours["class"]
    assert [one["probability"] for one in answer["top"]] == pytest.approx([one["probability"] for one in ours["top"]])


def test_the_code_of_a_model_is_whole() -> None:
    """It imports nothing of this project beside itself, and outside only the libraries that a model requires."""
    known = {f"runner.{name}" for name in shipping.MODULES}
    for path in RUNNER:
        if module(path) in known:
            named = set(imports(path))
            own = {name for name in named if name.split(".")[0] == "runner"}
            assert {name for name in own if name not in known and f"{name}." not in "".join(known)} <= {"runner"}
            outside = {name.split(".")[0] for name in named - own}
            # click is required by MLflow itself, whose command line it makes; the last two are asked for by need.
            libraries = {"jax", "numpy", "PIL", "mlflow", "click", "tifffile", "imagecodecs"}
            assert outside <= sys.stdlib_module_names | libraries, path


def test_mlflow_runs_the_module_that_a_model_folder_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    folder, left = tmp_path / "foreign", tmp_path / "ran"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "foreign_loader.py").write_text(f"open({str(left)!r}, 'w').close()\n_load_pyfunc = str\n")
    named = "{loader_module: foreign_loader, code: code}"
    (folder / "MLmodel").write_text(f"flavors: {{python_function: {named}}}\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(mlflow.MlflowException):  # it has run by the time that MLflow finds out that it is no model
        mlflow.pyfunc.load_model(str(folder)).predict(IMAGES)
    assert left.exists()
