"""Means over seeds and folds, and which configurations differ: against SciPy and published formulas."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes import member, sweep
from scipy import stats

from runner.sweep.report.choosing import optimism
from runner.sweep.report.repeats import against_best, over_repeats, repeated
from runner.sweep.report.terminal import optimism_text
from runner.training.outcome import Outcome

METRIC = "val/accuracy"


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_intervals_are_those_of_scipy(values: list[float]) -> None:
    members = [member(number, value, varied={"seed": number, "x": 1}) for number, value in enumerate(values)]
    [mean] = over_repeats(members, METRIC)
    assert mean.varied == {"x": 1}
    assert mean.mean == pytest.approx(np.mean(values))
    assert mean.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    if mean.deviation > 1e-9:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (mean.mean - mean.interval, mean.mean + mean.interval) == pytest.approx((low, high))


def test_a_group_of_one_member_and_members_that_did_not_finish_have_no_mean() -> None:
    members = [member(0, 0.9, "FAILED"), member(1, 0.3), member(2, 0.4), member(3, 0.8, "PRUNED")]
    assert over_repeats(members, METRIC) == []


def made(values: dict[str, list[float]], path: str = "seed") -> list[Outcome]:
    """A member for each value of each configuration, by the number of its repeat."""
    listed = [(name, repeat, value) for name, own in values.items() for repeat, value in enumerate(own)]
    return [
        member(number, value, varied={"x": name, path: repeat}) for number, (name, repeat, value) in enumerate(listed)
    ]


ROWS = st.lists(st.floats(0, 1).map(lambda value: round(value, 4)), min_size=5, max_size=5)


@given(st.lists(ROWS, min_size=2, max_size=5))
def test_comparisons_are_those_of_scipy_corrected_by_holm(rows: list[list[float]]) -> None:
    means = over_repeats(made({str(index): row for index, row in enumerate(rows)}), METRIC)
    best = means[0]
    found = against_best(means, best)
    assert set(found) == set(range(1, len(rows)))
    raw = {}
    for index in found:
        difference = np.subtract(rows[index], rows[0])
        constant = np.ptp(difference) < 1e-12
        expected = stats.ttest_rel(rows[index], rows[0]).pvalue if not constant else None
        raw[index] = expected if expected is not None else 1.0 if abs(difference[0]) < 1e-12 else 2.0**-4
        assert found[index].difference == pytest.approx(difference.mean(), abs=1e-12)
    # Holm: the k-th smallest of m p-values by m − k + 1, and never less than the one before.
    ordered = sorted(raw, key=lambda index: raw[index])
    largest = 0.0
    for k, index in enumerate(ordered):
        largest = max(largest, min(1.0, raw[index] * (len(ordered) - k)))
        assert found[index].p == pytest.approx(largest, rel=1e-6)


def test_only_common_repeats_are_compared() -> None:
    members = made({"a": [0.9, 0.8, 0.85], "b": [0.1, 0.75, 0.82]})
    members = [one for one in members if one.varied != {"x": "b", "seed": 0}]
    means = over_repeats(members, METRIC)
    [found] = against_best(means, means[0]).values()
    assert found.pairs == 2
    assert found.difference == pytest.approx((0.75 - 0.8 + 0.82 - 0.85) / 2)
    alone = [one for one in members if one.varied["x"] == "a" or one.varied["seed"] == 1]
    assert against_best(over_repeats(alone, METRIC), over_repeats(alone, METRIC)[0]) == {}


def test_a_member_with_nan_is_in_no_mean() -> None:
    [mean] = over_repeats(made({"a": [0.9, 0.8, math.nan], "b": [math.nan, 0.7]}), METRIC)
    assert mean.varied == {"x": "a"}
    assert mean.mean == pytest.approx(0.85)


def test_folds_correct_the_variance_for_the_images_that_they_share() -> None:
    values = [0.9, 0.92, 0.88, 0.91, 0.95]
    [mean] = over_repeats(made({"a": values}, path="data.fold"), METRIC)
    assert repeated([mean]) == "folds"
    # Nadeau & Bengio: 1/n + (share tested)/(share trained) = 1/5 + 1/4
    error = np.std(values, ddof=1) * math.sqrt(1 / 5 + 1 / 4)
    assert mean.interval == pytest.approx(stats.t.ppf(0.975, 4) * error)
    other = [0.89, 0.9, 0.88, 0.88, 0.94]
    means = over_repeats(made({"a": values, "b": other}, path="data.fold"), METRIC)
    difference = np.subtract(other, values)
    t = difference.mean() / (np.std(difference, ddof=1) * math.sqrt(1 / 5 + 1 / 4))
    assert against_best(means, means[0])[1].p == pytest.approx(2 * stats.t.sf(abs(t), 4))


def test_seeds_and_folds_are_one_group() -> None:
    members = [
        member(number, 0.9 + number / 100, varied={"seed": number % 2, "data.fold": number // 2}) for number in range(6)
    ]
    [mean] = over_repeats(members, METRIC)
    assert len(mean.values) == 6
    assert repeated([mean]) == "seeds and folds"


def test_optimism_is_the_gap_of_the_chosen_member_beside_the_usual_one() -> None:
    pairs = [(0.9, 0.84), (0.8, 0.79), (0.7, 0.69)]
    members = [
        member(number, value, metrics={"val/accuracy": value, "test/accuracy": test})
        for number, (value, test) in enumerate(pairs)
    ]
    found = optimism(members, ((METRIC, "maximize"),))
    assert found is not None
    assert found.chosen == (0.9, 0.84)
    assert found.gap == pytest.approx(0.06)
    assert found.usual_gap == pytest.approx(0.08 / 3)
    text = optimism_text(sweep(*members))
    assert text == (
        "chosen of 3 by val/accuracy: 90.00% in validation, 84.00% in test; a gap of 6.00%, "
        "that of all members is 2.67% on average"
    )
    assert optimism(members[:1], ((METRIC, "maximize"),)) is None
    assert optimism(members, (("seconds", "minimize"),)) is None
    losses = [
        member(number, metrics={"val/loss": loss, "test/loss": loss + 0.1}) for number, loss in enumerate((0.2, 0.3))
    ]
    worse = optimism(losses, (("val/loss", "minimize"),))
    assert worse is not None
    assert worse.gap == pytest.approx(0.1)
