"""One compiled program serves every experiment of its structure, whatever its values."""

from collections.abc import Iterator
from typing import Any

import jax
import pytest
from configurations import here, tiny
from trainings import started, trained

from runner import compiling


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """What JAX says it compiled, or looked up among what it had compiled."""
    heard: list[str] = []

    def listen(event: str, seconds: float, **facts: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            heard.append(str(facts.get("fun_name", event)))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield heard
    jax.monitoring.unregister_event_duration_listener(listen)


def test_a_changed_value_compiles_nothing(compilations: list[str]) -> None:
    knobs = (
        "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, {max_pool: {size: 2}}, flatten, "
        "{dropout: {rate: 0.5}}, classifier]",
        "optimizer=adamw",
        "optimizer.b1=0.9",  # what nobody mentions is Optax's to say, and no argument of the program
        "augment=affine",
        "loss.label_smoothing=0.1",
        "train.clip.norm=1.0",
        "train.ema_decay=0.9",
    )

    def run(*change: str) -> dict[str, float]:
        del compilations[:]
        training = trained(*knobs, *change)
        return training.ledger.history[-1].metrics | training.test()

    base = run()
    assert compilations  # it is heard
    changes = (
        "optimizer.learning_rate=0.01",
        "seed=7",
        "model.layers.4.dropout.rate=0.1",
        "loss.label_smoothing=0.3",
        "augment.affine.degrees=45.0",
        "optimizer.weight_decay=0.5",
        "optimizer.b1=0.5",
        "train.clip.norm=1e-9",  # short enough for Adam, which hardly minds how long a gradient is
        "train.ema_decay=0.5",
        "data.mean=[0.1]",
        "tracking.run_name=other",
    )
    for change in changes:
        metrics = run(change)
        assert compilations == [], change
        assert metrics["train/loss"] != base["train/loss"] or change.startswith(("train.ema", "tracking")), change
        assert metrics["test/loss"] != base["test/loss"] or change.startswith("tracking"), change


def test_programs_of_one_structure_share_what_is_compiled() -> None:
    one, other, third = (started(tiny(change))[0] for change in ("seed=1", "optimizer.learning_rate=1.0", "loss=hinge"))
    assert compiling.compiled(one, here()) is compiling.compiled(other, here())
    assert compiling.compiled(one, here()) is not compiling.compiled(third, here())
