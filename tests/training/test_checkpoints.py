"""Checkpoints come back bit for bit, from the middle of an epoch too; what is damaged or does not fit is refused."""

import functools
import json
import struct
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from configurations import begun, here, tiny

from runner import data
from runner.data import Dataset, sealed
from runner.errors import ConfigError
from runner.training import checkpoints
from runner.training.alone import Chunk, Snapshot, Training
from runner.training.checkpoints import DamagedError, Facts
from runner.training.mapped import Mapped
from runner.training.plan import Plan, planned

FACTS = Facts("me", {"seed": "0"}, "abc", {"jax": "0"})
# Everything that has a state, one step in each dispatch, so that epochs have a middle.
BUSY = (
    "model.layers=[{conv: {filters: 4, kernel_size: 3, use_bias: false}}, batch_norm, relu, {max_pool: {size: 2}}, "
    "flatten, {dropout: {rate: 0.2}}, classifier]",
    "augment={random_crop: {padding: 1}}", "train.ema_decay=0.9", "train.keep=best", "train.epochs=4",
    "train.lowering=reference",
)  # fmt: skip


@functools.cache
def digits() -> Dataset:
    return data.load(tiny().data)


def plan(*overrides: str) -> Plan:
    return planned(tiny(*overrides), digits(), here())


def same(one: Any, other: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, one, other)


def timeless(training: Training) -> list[dict[str, float]]:
    return [epoch.metrics | {"images_per_second": 0.0} for epoch in training.ledger.history]


@pytest.mark.parametrize("step", [3, 10, 13])  # of 20: within the first epoch, at the end of the second, in the third
def test_a_training_goes_on_from_the_disk_bit_for_bit(tmp_path: Path, step: int) -> None:
    own, saved = plan(*BUSY), list[Path]()
    whole = Training(own)

    def report(chunk: Chunk) -> None:
        if chunk.step == step:
            saved.append(checkpoints.write(tmp_path, whole.snapshot, FACTS, 0.5))

    list(whole.epochs(report))
    assert saved == checkpoints.found(tmp_path) == [tmp_path / f"step-{step:09}.checkpoint"]
    found = checkpoints.read(saved[0])
    assert (found.facts, found.steps, found.value, checkpoints.value_of(saved[0])) == (FACTS, step, 0.5, 0.5)
    resumed = Training(own, checkpoints.alone(found, own))
    assert resumed.steps == step
    list(resumed.epochs())
    assert timeless(resumed) == timeless(whole)
    same(resumed.state, whole.state)
    same(resumed.learnt, whole.learnt)
    assert resumed.test() == whole.test()


@pytest.mark.parametrize("step", [pytest.param(3, marks=pytest.mark.slow), 10])
def test_members_of_one_program_go_on_from_the_disk_bit_for_bit(tmp_path: Path, step: int) -> None:
    plans = [plan(*BUSY, f"optimizer.learning_rate={rate}", f"seed={rate}") for rate in (1, 2, 3)]

    def trained(mapped: Mapped) -> list[Training]:
        def report(index: int, chunk: Chunk) -> None:
            if (index, chunk.step) == (2, step) and not checkpoints.found(tmp_path):
                checkpoints.write(tmp_path, mapped.snapshot, FACTS)

        ended: dict[int, Training] = {}
        while mapped.members:
            mapped.advance(report)
            ended |= dict(mapped.retire())
        return [ended[index] for index in range(3)]

    whole = trained(Mapped(plans))
    [path] = checkpoints.found(tmp_path)
    resumed = trained(Mapped(plans, checkpoints.together(checkpoints.read(path), plans[0])))
    for one, other in zip(resumed, whole, strict=True):
        assert timeless(one) == timeless(other)
        same(one.state, other.state)
        same(one.learnt, other.learnt)


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(("optimizer=sgd",), marks=pytest.mark.slow),
        ("optimizer=adam", "optimizer.mu_dtype=bfloat16"),
        pytest.param(("optimizer={name: noisy_sgd, learning_rate: 0.1, key: 0}",), marks=pytest.mark.slow),
        pytest.param(("optimizer={name: lbfgs}",), marks=pytest.mark.slow),
        pytest.param(("optimizer={name: adafactor, learning_rate: 0.01}",), marks=pytest.mark.slow),
    ],
    ids=lambda lines: lines[0],
)
def test_the_state_of_every_kind_of_optimiser_comes_back(tmp_path: Path, optimizer: tuple[str, ...]) -> None:
    own = plan("train.epochs=1", *optimizer)
    training = begun(own.experiment, digits())
    training.advance()
    before = training.snapshot
    path = checkpoints.write(tmp_path, before, FACTS)
    after = checkpoints.alone(checkpoints.read(path), own)
    assert jax.tree.structure(before.state) == jax.tree.structure(after.state)
    for one, other in zip(jax.tree.leaves(before.state), jax.tree.leaves(after.state), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        if not jax.numpy.issubdtype(one.dtype, jax.dtypes.prng_key):
            assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    assert after.ledger == before.ledger


def saved(folder: Path, snapshot: Snapshot | None = None) -> Path:
    training = begun(tiny(), digits())
    training.advance()
    return checkpoints.write(folder, snapshot or training.snapshot, FACTS)


def test_a_checkpoint_that_is_not_whole_is_said_to_be_damaged(tmp_path: Path) -> None:
    path = saved(tmp_path)
    content = path.read_bytes()
    for place in (0, 9, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(DamagedError, match="it is incomplete or was changed"):
            checkpoints.read(path)
    for size in (0, 100, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(DamagedError):
            checkpoints.read(path)
    assert checkpoints.value_of(path) is None
    path.write_bytes(content)
    assert checkpoints.read(path).steps == 5


def test_a_checkpoint_of_another_version_is_named(tmp_path: Path) -> None:
    header = json.dumps({"format": 2, "what": "follows is not known"}).encode()
    path = tmp_path / "step-000000001.checkpoint"
    sealed.write(path, struct.pack("<Q", len(header)), header)
    with pytest.raises(DamagedError, match="it is of another version of this program"):
        checkpoints.read(path)
    assert checkpoints.value_of(path) is None


def test_arrays_of_another_network_are_refused_with_the_difference(tmp_path: Path) -> None:
    found = checkpoints.read(saved(tmp_path))
    with pytest.raises(ConfigError) as caught:
        checkpoints.alone(found, plan("model.layers.0.conv.filters=5"))
    assert str(caught.value) == (
        "checkpoint.state.params.0_conv.bias: must be float32 (5,) as in this program, got float32 (4,)"
    )


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    training = begun(tiny("train.epochs=6"), digits())
    for value in (0.5, 0.9, 0.7, 0.8, 0.1):
        training.advance()
        checkpoints.write(tmp_path, training.snapshot, FACTS, value)
    checkpoints.thin_out(tmp_path, last=2, best=1, maximize=True)
    assert [checkpoints.value_of(path) for path in checkpoints.found(tmp_path)] == [0.1, 0.8, 0.9]
    checkpoints.thin_out(tmp_path, last=1, best=1, maximize=False)
    assert [checkpoints.value_of(path) for path in checkpoints.found(tmp_path)] == [0.1, 0.8]
    assert checkpoints.size_bytes(tmp_path) == sum(path.stat().st_size for path in tmp_path.iterdir())
    checkpoints.remove(tmp_path)
    assert not tmp_path.exists()
