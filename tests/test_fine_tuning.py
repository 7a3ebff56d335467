"""Fine-tuning: frozen layers stay as they are, the others learn, and a run goes on from the weights of another."""

from pathlib import Path
from typing import Any

import jax
import mlflow
import numpy as np
import pytest
from configurations import UNTRACKED, configured, tiny
from weighted import LAYERS, digits, fresh, held, trained

from runner import train, weights
from runner.experiment import Experiment
from runner.layers import places
from runner.run import run
from runner.training.member import Context

# What stays as it is


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(("optimizer=adamw", "optimizer.weight_decay=0.1"), marks=pytest.mark.slow),
        ("optimizer=sgd", "optimizer.weight_decay=0.1", "train.clip.norm=0.1", "train.ema_decay=0.9"),
        pytest.param(("optimizer={name: prodigy, learning_rate: 1.0}", "train.accumulate=2"), marks=pytest.mark.slow),
    ],
)
def test_frozen_layers_stay_bit_for_bit_and_the_others_learn(settings: tuple[str, ...]) -> None:
    before, training = held(fresh()), trained("train.freeze=[0_conv,1_batch_norm,residual]", *settings)
    after = held(training)
    for name, array in after.items():
        assert np.array_equal(array, before[name]) == (not name.startswith("7_classifier")), name
    if training.state.average is not None:
        average = places.dotted(training.state.average.params) | places.dotted(training.state.average.statistics)
        for name in ("0_conv.kernel", "1_batch_norm.scale", "1_batch_norm.mean", "1_batch_norm.variance"):
            np.testing.assert_array_equal(average[name], before[name])
        assert not np.array_equal(average["7_classifier.kernel"], before["7_classifier.kernel"])


@pytest.mark.slow
def test_a_frozen_norm_normalises_as_in_evaluation() -> None:
    # With every layer but the classifier frozen, a step is one of the classifier alone on the features of evaluation.
    training = fresh("train.freeze=[conv,batch_norm]", "optimizer={name: sgd, learning_rate: 0.5}", "schedule=constant",
                 "train.steps=1", "train.batch_size=160")  # fmt: skip
    program, state = training.plan.program, jax.tree.map(np.asarray, training.state)
    images, labels = digits().train.inputs, digits().train.labels

    def loss(classifier: Any) -> jax.Array:
        params = state.params | {"7_classifier": classifier}
        logits = train.outputs(program, params, state.statistics, images)
        return -jax.nn.log_softmax(logits)[np.arange(len(labels)), labels].mean()

    gradient = jax.grad(loss)(state.params["7_classifier"])
    list(training.epochs())
    for name, value in training.state.params["7_classifier"].items():
        expected = state.params["7_classifier"][name] - np.float32(0.5) * gradient[name]
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)


def test_clipping_measures_only_what_learns() -> None:
    # The gradient of one step of plain descent: its norm is that of what may move.
    training = trained("train.freeze=[conv,batch_norm]", "train.clip.norm=0.01", "train.steps=1", "schedule=constant",
                   "optimizer={name: sgd, learning_rate: 1.0}")  # fmt: skip
    moved = [array - held(fresh())[name] for name, array in held(training).items()]
    assert np.sqrt(sum(float((step**2).sum()) for step in moved)) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.slow
def test_a_parameter_alone_can_be_frozen_and_its_norm_goes_on_measuring() -> None:
    before, after = held(fresh()), held(trained("train.freeze=[1_batch_norm.scale]"))
    assert np.array_equal(after["1_batch_norm.scale"], before["1_batch_norm.scale"])
    assert not np.array_equal(after["1_batch_norm.bias"], before["1_batch_norm.bias"])
    assert not np.array_equal(after["1_batch_norm.mean"], before["1_batch_norm.mean"])


# From one run to the next


def test_a_run_logs_its_weights_and_the_next_is_tuned_from_them(tmp_path: Path) -> None:
    def outcome(name: str, *overrides: str) -> tuple[Experiment, Any]:
        found = configured(
            "model.name=net", "model.input=null", LAYERS, "tracking.enabled=true", "figures=off",
            f"tracking.uri=sqlite:///{tmp_path}/mlflow.db", "optimizer.learning_rate=0.01", "schedule=constant",
            "train.epochs=12", *overrides,
        )  # fmt: skip
        return found.experiment, run(found.experiment, Context(tmp_path / name, found.tracking, found.figures))

    _, first = outcome("first", "train.until_accuracy=0.97")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    file = mlflow.artifacts.download_artifacts(run_id=first.run_id, artifact_path="weights.safetensors")
    assert Path(file).read_bytes() == (tmp_path / "first" / "weights.safetensors").read_bytes()
    tuning = (f"model.weights={file}", "model.weights_except=classifier", "train.freeze=[conv,batch_norm]", "seed=1")
    _, second = outcome("second", *tuning, "train.until_accuracy=0.97")
    assert len(second.history) < len(first.history)
    before, after = (weights.read(tmp_path / name / "weights.safetensors") for name in ("first", "second"))
    for name, array in after.items():
        assert np.array_equal(array, before[name]) == ("classifier" not in name)
    assert mlflow.get_run(second.run_id).data.params["train.freeze"] == "[conv, batch_norm]"


def test_a_run_that_logs_no_model_logs_no_weights(tmp_path: Path) -> None:
    run(tiny("train.epochs=1"), Context(tmp_path / "run", UNTRACKED.model_copy(update={"log_model": False})))
    assert not (tmp_path / "run" / "weights.safetensors").exists()
