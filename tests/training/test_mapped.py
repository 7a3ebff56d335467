"""Members that train together against the same members alone."""

import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from configurations import begun, here, tiny

from runner import data, weights
from runner.data import Dataset
from runner.errors import NonFiniteError
from runner.training.alone import Training
from runner.training.ledger import Epoch, Ledger
from runner.training.mapped import Mapped, MappedSnapshot
from runner.training.plan import Plan, planned

# Whatever draws, remembers or decides: dropout, augmentation, batch normalisation, an average, early stopping.
BUSY = (
    # A bias before batch_norm has no gradient but rounding, which Adam would make a step of.
    "model.layers=[{conv: {filters: 4, kernel_size: 3, use_bias: false}}, batch_norm, relu, {max_pool: {size: 2}}, "
    "flatten, {dropout: {rate: 0.2}}, classifier]",
    "augment={random_crop: {padding: 1}}",
    "train.ema_decay=0.9",
    "train.epochs=4",
    "train.keep=best",
    "train.early_stopping={patience: 1}",
)


@functools.cache
def digits() -> Dataset:
    return data.load(tiny().data)


def plans(*overrides: str, rates: tuple[float, ...] = (0.03, 0.003, 0.0, 0.01)) -> list[Plan]:
    """Members that differ in their seeds and learning rates."""
    changes = (f"optimizer.learning_rate={rate}" for rate in rates)
    return [planned(tiny(*overrides, f"seed={seed}", change), digits(), here()) for seed, change in enumerate(changes)]


def alone(plan: Plan) -> Training:
    training = Training(plan)
    list(training.epochs())
    return training


def together(mapped: Mapped) -> tuple[dict[int, Training], dict[int, Epoch | NonFiniteError]]:
    """Trains members to their ends. Returns them as they ended, and the last result of each."""
    ended, last = {}, {}
    while mapped.members:
        last |= dict(mapped.advance())
        ended |= dict(mapped.retire())
    return ended, last


def test_a_member_whose_loss_is_lost_ends_alone() -> None:
    members, last = together(Mapped(plans(rates=(0.01, 1e30, 0.02))))
    assert isinstance(last[1], NonFiniteError)
    assert str(last[1]).startswith("loss: must stay finite, was not at step ")
    for index in (0, 2):
        assert len(members[index].ledger.history) == 2
        assert np.isfinite(members[index].test()["test/loss"])


def test_what_is_stopped_leaves_the_rest_alone() -> None:
    ended, mapped = {}, Mapped(plans("train.epochs=4"))
    while mapped.members:
        for index, epoch in mapped.advance():
            assert isinstance(epoch, Epoch)
            if index < 3 and epoch.number == 2:  # three of four: the one that is left moves
                mapped.end(index, "told to")
        ended |= dict(mapped.retire())
    assert [len(ended[index].ledger.history) for index in range(4)] == [2, 2, 2, 4]
    other = alone(plans("train.epochs=4")[3])
    assert ended[3].ledger.history[-1].metrics["val/loss"] == pytest.approx(
        other.ledger.history[-1].metrics["val/loss"], rel=2e-3
    )


@pytest.mark.slow
def test_members_begin_with_given_weights(tmp_path: Path) -> None:
    first = begun(tiny(), digits())
    list(first.epochs())
    path = tmp_path / "weights.safetensors"
    weights.save(path, *first.learnt)
    members, _ = together(Mapped(plans(f"model.weights={path}", "train.epochs=1", rates=(0.0, 0.0))))
    for member in members.values():
        assert member.test() == pytest.approx(first.test(), rel=1e-5)


@pytest.mark.slow
def test_members_that_go_on_from_a_snapshot_end_bit_for_bit_as_if_they_had_not_stopped() -> None:
    """Two members end early, so that the snapshot is of rows that moved together and of one empty row."""
    changes = ("train.epochs=6", "train.early_stopping=null")
    rates = (0.03, 0.003, 0.02, 0.01, 0.005)

    def trained(mapped: Mapped, first: int) -> tuple[Mapped, dict[int, Training]]:
        ended: dict[int, Training] = {}
        for epoch in range(first, 7):
            mapped.advance()
            if epoch == 2:
                mapped.end(1, "told to")
                mapped.end(2, "told to")
            ended |= dict(mapped.retire())
            if epoch == 3 and first == 1:
                rows, state, best, ledgers, _ = mapped.snapshot
                state, best = jax.tree.map(np.asarray, (state, best))  # on the host, as a file holds it
                again = tuple(Ledger.from_json(ledger.as_json()) for ledger in ledgers)
                stopped.append(MappedSnapshot(rows, state, best, again))
        return mapped, ended

    stopped: list[MappedSnapshot] = []
    _, whole = trained(Mapped(plans(*BUSY, *changes, rates=rates)), 1)
    [snapshot] = stopped
    assert snapshot.rows.count(None) == 2 or len(snapshot.rows) < 5
    _, resumed = trained(Mapped(plans(*BUSY, *changes, rates=rates), snapshot), 4)
    assert set(resumed) == {0, 3, 4}
    for index, training in resumed.items():
        jax.tree.map(np.testing.assert_array_equal, training.state, whole[index].state)
        jax.tree.map(np.testing.assert_array_equal, training.learnt, whole[index].learnt)
        untimed = [
            [epoch.metrics | {"images_per_second": 0.0} for epoch in one.ledger.history]
            for one in (training, whole[index])
        ]
        assert untimed[0] == untimed[1]
        assert training.ledger.best is not None
        assert training.ledger.best.number == whole[index].ledger.best.number  # type: ignore[union-attr]
        assert training.test() == whole[index].test()
