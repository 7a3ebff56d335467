"""Members that advance together against the same members alone."""

import functools
from pathlib import Path

import numpy as np
import pytest
from configurations import here, tiny

from runner import data, weights
from runner.data import Dataset
from runner.errors import NonFiniteError
from runner.fused import Fused
from runner.loop import Epoch, Loop

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


def loops(*overrides: str, rates: tuple[float, ...] = (0.03, 0.003, 0.0, 0.01)) -> list[Loop]:
    """Members that differ in their seeds and learning rates."""
    changes = (f"optimizer.learning_rate={rate}" for rate in rates)
    return [Loop(tiny(*overrides, f"seed={seed}", change), digits(), here()) for seed, change in enumerate(changes)]


def together(members: list[Loop]) -> dict[Loop, Epoch | NonFiniteError]:
    """Trains them to their ends. Returns what was last heard of each."""
    fused, last = Fused(members), {}
    while fused.members:
        last |= dict(fused.advance())
        fused.retire()
    return last


def test_together_is_alone_within_rounding() -> None:
    fused, alone = loops(*BUSY), loops(*BUSY)
    together(fused)
    for member, other in zip(fused, alone, strict=True):
        list(other.epochs())
        assert len(member.history) == len(other.history)
        assert member.end_reason == other.end_reason
        assert member.best is not None
        assert other.best is not None
        assert member.best.number == other.best.number
        for one, two in zip(member.history, other.history, strict=True):
            for name in ("train/loss", "val/loss", "learning_rate"):
                assert one.metrics[name] == pytest.approx(two.metrics[name], rel=2e-3), name
        assert member.test()["test/loss"] == pytest.approx(other.test()["test/loss"], rel=2e-3)
    assert len({len(member.history) for member in fused}) > 1, "they should end at different times"


def test_a_member_whose_loss_is_lost_ends_alone() -> None:
    members = loops(rates=(0.01, 1e30, 0.02))
    last = together(members)
    assert isinstance(last[members[1]], NonFiniteError)
    assert str(last[members[1]]).startswith("loss: must stay finite, was not at step ")
    for member in (members[0], members[2]):
        assert len(member.history) == 2
        assert np.isfinite(member.test()["test/loss"])


def test_what_is_stopped_leaves_the_rest_alone() -> None:
    members, others = loops("train.epochs=4"), loops("train.epochs=4")
    fused = Fused(members)
    while fused.members:
        for loop, came in fused.advance():
            assert isinstance(came, Epoch)
            if loop in members[:3] and came.number == 2:  # of four, three: the one that is left moves
                loop.stop("told to")
        fused.retire()
    assert [len(member.history) for member in members] == [2, 2, 2, 4]
    list(others[3].epochs())
    assert members[3].history[-1].metrics["val/loss"] == pytest.approx(
        others[3].history[-1].metrics["val/loss"], rel=2e-3
    )


def test_members_begin_with_given_weights(tmp_path: Path) -> None:
    first = Loop(tiny(), digits(), here())
    list(first.epochs())
    path = tmp_path / "weights.safetensors"
    weights.save(path, first.state.params, first.state.statistics)
    members = loops(f"model.weights={path}", "train.epochs=1", rates=(0.0, 0.0))
    together(members)
    for member in members:
        assert member.test() == pytest.approx(first.test(), rel=1e-5)
