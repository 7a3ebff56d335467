"""A saved model answers what its function answers, without anything but its folder."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from runner.serving import ModelFacts, ServedModel, _load_pyfunc, converted, described, example, save_model

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
    assert (facts.input_shape, facts.input_dtype, facts.output_dtype) == ((6, 5, 2), "uint8", "float32")
    assert (facts.classes, facts.platforms, facts.batch_size) == (CLASSES, ("cpu", "cuda", "tpu"), None)
    np.testing.assert_array_equal(example(folder), IMAGES[:1])


@pytest.mark.parametrize("count", [0, 1, 3, 256, 257, 600])
def test_any_number_of_images_gives_what_the_function_gives(folder: Path, count: int) -> None:
    answers = ServedModel(folder).predict(IMAGES[:count])
    assert (answers.shape, answers.dtype) == ((count, 3), np.float32)
    if count:
        np.testing.assert_allclose(answers, network(variables(), jnp.asarray(IMAGES[:count])), rtol=2e-5, atol=1e-6)


def test_mlflows_way_in_takes_plain_lists(folder: Path) -> None:
    model = _load_pyfunc(str(folder))
    np.testing.assert_array_equal(model.predict(IMAGES[:2].tolist(), params={}), model.predict(IMAGES[:2]))


def test_images_of_another_size_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^images: must have the shape \(n, 6, 5, 2\), got \(2, 5, 6, 2\)$"):
        ServedModel(folder).predict(IMAGES[:2].transpose(0, 2, 1, 3))


def test_another_process_needs_the_folder_and_nothing_else(folder: Path) -> None:
    program = (
        "import sys, json, numpy as np; from pathlib import Path; from runner.serving import ServedModel, example\n"
        "folder = Path(sys.argv[1]); print(json.dumps(ServedModel(folder).predict(example(folder)).tolist()))\n"
        "loaded = [name for name in sys.modules if name.startswith('runner.')]\n"
        "assert loaded == ['runner.serving'], loaded"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", program, str(folder)], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(json.loads(done.stdout), network(variables(), jnp.asarray(IMAGES[:1])), rtol=2e-5)


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
    np.testing.assert_array_equal(ServedModel(tmp_path).predict(inputs), 2 * inputs)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, TypeError, NotImplementedError])
def test_a_program_that_fails_however_it_is_lowered_says_why(tmp_path: Path, error: type[Exception]) -> None:
    def function(_: Any, images: jax.Array) -> jax.Array:
        raise error("no such layer")

    with pytest.raises(error, match="no such layer"):
        save_model(tmp_path, function=function, variables=(), images=IMAGES[:1], classes=CLASSES)


def facts(dtype: str, input_range: tuple[float, float] | None = None) -> ModelFacts:
    return ModelFacts((2,), dtype, "float32", CLASSES, ("cpu",), input_range=input_range)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_whole_numbers_of_any_type_are_bytes_where_they_fit(dtype: Any) -> None:
    found = converted(np.array([[0, 255]], dtype), facts("uint8"))
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("model", "inputs", "text"),
    [
        # 0 … 1 became zeros, and 300 became 44.
        (facts("uint8"), [[0.0, 0.5]], "whole numbers from 0 to 255, of any integer type, got float64; multiply"),
        (facts("uint8"), [[0, 300]], "whole numbers from 0 to 255, of any integer type, got 0 to 300"),
        (facts("uint8"), [[-1, 3]], "whole numbers from 0 to 255, of any integer type, got -1 to 3"),
        (facts("uint8"), [[True, False]], "whole numbers from 0 to 255, of any integer type, got bool"),
        (facts("int32", (0, 9)), [[0, 10]], "tokens, whole numbers from 0 to 9, of any integer type, got 0 to 10"),
        (facts("int32", (0, 9)), [[0.0, 1.0]], "tokens, whole numbers from 0 to 9, of any integer type, got float64"),
        (facts("float32"), [[0, 1e300]], "finite numbers that fit float32, got 0 to 1e+300"),
        (facts("float32"), [[0, np.nan]], "finite numbers that fit float32, got nan to nan"),
        (facts("float32"), [["a", "b"]], "finite numbers that fit float32, got <U1"),
        (
            facts("float32", (0, 1)),
            [[0, 255]],
            "finite numbers that fit float32, in the unit of training: 0 … 1, got 0 to 255",
        ),
    ],
)
def test_values_that_the_model_cannot_have_meant_are_refused(model: ModelFacts, inputs: Any, text: str) -> None:
    with pytest.raises(ValueError, match=f"^images: must be {re.escape(text)}"):
        converted(np.asarray(inputs), model)


def test_floats_may_lie_a_little_outside_what_training_saw() -> None:
    found = converted(np.array([[-0.9, 1.9]]), facts("float32", (0, 1)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([[-0.9, 1.9]], np.float32))


def test_a_model_refuses_what_it_cannot_read(folder: Path) -> None:
    model = ServedModel(folder)
    np.testing.assert_array_equal(model.predict(IMAGES[:2].astype(np.int64)), model.predict(IMAGES[:2]))
    for images in (IMAGES[:2] / 255, IMAGES[:2].astype(int) + 300):
        with pytest.raises(ValueError, match=r"^images: must be whole numbers from 0 to 255"):
            model.predict(images)


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
