"""Programs with native convolutions in them, and without, where the package is not there or does not load."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from configurations import begun, here, tiny
from convolutions import CASES, SQUARE, Case, assert_same, installed

from runner import compiling, data, serving, train
from runner.ops.conv import NATIVE, chosen, conv
from runner.ops.lowering import Choice, lowered
from runner.placement import Placement
from runner.serving.model import ServedModel
from runner.training.alone import Training


def convolved(case: Case, choice: Choice) -> Any:
    """The operation on `case`, traced with this choice."""

    def call(x: jax.Array, kernel: jax.Array) -> jax.Array:
        with lowered(choice):
            return conv(x, kernel, case.windows, case.groups)

    return call


@installed
@pytest.mark.parametrize("case", CASES)
def test_the_operation_uses_the_native_lowering_and_its_gradients(case: Case) -> None:
    x, kernel, g = case.arrays(whole=True)
    with lowered("auto"):
        assert chosen(x.shape, kernel.shape, x.dtype, case.windows, case.groups) is NATIVE
    for wrapped in (lambda call: call, jax.checkpoint):
        y, pull = jax.vjp(wrapped(convolved(case, "auto")), x, kernel)
        assert_same((y, *pull(g)), case.reference(x, kernel, g))


@installed
def test_used_only_on_request_and_on_a_cpu() -> None:
    x, kernel, _ = SQUARE.arrays()
    texts = {choice: jax.jit(convolved(SQUARE, choice)).lower(x, kernel).as_text() for choice in ("auto", "reference")}
    assert "convrunner_forward" in texts["auto"]
    assert "convrunner" not in texts["reference"]
    accelerator = Placement(SimpleNamespace(platform="gpu"))  # type: ignore[arg-type]
    with lowered(accelerator.lowering("auto")):
        assert chosen(x.shape, kernel.shape, x.dtype, SQUARE.windows, 1) is None


LAYERS = (
    "model.layers=[{conv: {filters: 6, kernel_size: 3, padding: same}}, batch_norm, relu, {max_pool: {size: 2}}, "
    "{conv: {filters: 8, kernel_size: 3, groups: 2}}, relu, flatten, classifier]"
)


def looped(*overrides: str) -> Training:
    experiment = tiny(LAYERS, *overrides)
    return begun(experiment, data.load(experiment.data))


@installed
def test_native_training_works() -> None:
    ours, reference = (looped("optimizer=sgd", f"train.lowering={choice}") for choice in ("auto", "reference"))
    for training in (ours, reference):
        list(training.epochs())
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4),
        *(train.evaluated(training.state) for training in (ours, reference)),
    )


@pytest.mark.slow
@installed
def test_training_twice_gives_the_same_bits() -> None:
    one, other = looped(), looped()
    for training in (one, other):
        list(training.epochs())
    assert_same(one.state, other.state)


@installed
def test_an_exported_model_runs_without_it(tmp_path: Path) -> None:
    training = looped()
    assert training.plan.program.lowering == "auto"
    variables = train.evaluated(training.state)
    facts = serving.save_model(
        tmp_path / "model",
        function=lambda variables, images: train.predict(training.plan.program, variables[0], variables[1], images),
        variables=variables,
        images=training.plan.dataset.val.inputs,
        classes=training.plan.dataset.classes,
    )
    assert facts.platforms == ("cpu", "cuda", "tpu")
    # By the names of its calls: the program also holds the paths of source files, whose folder may be called anything.
    calls = [f"convrunner_{name}".encode() for name in ("forward", "input_gradient", "kernel_gradient", "moments")]
    program = (tmp_path / "model" / "model.jax_export").read_bytes()
    assert not [call for call in calls if call in program]
    ours = compiling.compiled(training.plan.program, here()).predict(
        compiling.leaves(training.plan.program), *variables, training.plan.dataset.val.inputs
    )
    np.testing.assert_allclose(
        ServedModel(tmp_path / "model").answers(training.plan.dataset.val.inputs), ours, atol=1e-5
    )


KEPT = """
import sys
if {blocked}: sys.modules["convrunner_native"] = None
import jax, jax.numpy as jnp
from runner.geometry import Window
from runner.ops import native
from runner.ops.conv import conv
from runner.ops.lowering import lowered
def step(x, kernel):
    with lowered("auto"):
        return conv(x, kernel, (Window(3), Window(3)))
x, kernel = jnp.arange(2 * 8 * 8 * 3.0).reshape(2, 8, 8, 3), jnp.arange(3 * 3 * 3 * 4.0).reshape(3, 3, 3, 4)
print(native.available(), float(jax.jit(step)(x, kernel).sum()))
"""


@pytest.mark.slow
@installed
def test_a_cached_program_is_not_used_without_the_package(tmp_path: Path) -> None:
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PLATFORMS": "cpu"}
    environment |= {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }

    def line(*, blocked: bool) -> list[str]:
        command = [sys.executable, "-c", KEPT.format(blocked=blocked)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return done.stdout.split()

    here, again, gone = line(blocked=False), line(blocked=False), line(blocked=True)
    assert here == again
    assert (here[0], gone[0]) == ("True", "False")
    assert float(gone[1]) == pytest.approx(float(here[1]), rel=1e-6)
    kept = {path.name.rpartition("-")[0] for path in tmp_path.glob("jit_step-*")}
    assert len(kept) == 2


# Where it is not, or does not load


def told(tmp_path: Path, package: str | None) -> str:
    """What a process says of native convolutions, with this source in place of the package, or without one."""
    place = "sys.modules['convrunner_native'] = None"
    if package is not None:
        (tmp_path / "convrunner_native.py").write_text(package)
        place = f"sys.path.insert(0, {str(tmp_path)!r})"
    program = f"""
import logging, sys
logging.basicConfig(level="INFO", format="%(levelname)s %(message)s", stream=sys.stdout)
logging.getLogger("jax").setLevel("ERROR")
{place}
from runner.geometry import Window
from runner.ops import native
from runner.ops.conv import chosen
from runner.ops.lowering import lowered
with lowered("auto"):
    way = chosen((2, 8, 8, 3), (3, 3, 3, 4), "float32", (Window(3), Window(3)), 1)
print(native.available(), native.available(), way)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_line_if_it_is_not_installed(tmp_path: Path) -> None:
    line = "INFO native convolutions are not installed (pip install ./native); using the portable ones"
    assert told(tmp_path, None).splitlines() == [line, "False False None"]


def test_one_line_if_it_cannot_be_loaded(tmp_path: Path) -> None:
    line = "WARNING native convolutions cannot be loaded (libdnnl.so.3: cannot open); using the portable ones"
    assert told(tmp_path, "raise OSError('libdnnl.so.3: cannot open')").splitlines() == [line, "False False None"]
    line = "WARNING native convolutions cannot be loaded (No module named 'gone'); using the portable ones"
    assert told(tmp_path, "import gone").splitlines() == [line, "False False None"]


def test_one_line_if_xla_refuses_it(tmp_path: Path) -> None:
    # XLA must have begun when it is told: it refuses one handler then, and else the whole processor.
    source = """
from jax._src import xla_bridge
def targets(): raise ValueError(f"version 9, after XLA began: {xla_bridge.backends_are_initialized()}")
"""
    line = (
        "WARNING native convolutions do not fit this jaxlib (version 9, after XLA began: True); using the portable ones"
    )
    assert told(tmp_path, source).splitlines() == [line, "False False None"]
