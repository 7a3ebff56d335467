"""What would take too long, or too much memory, is refused in one line; the work is counted, not timed."""

from collections import Counter
from typing import Any

import jax
import numpy as np
import pytest
from alone import normal, output, told
from configurations import composed, parse

from runner import limits
from runner.errors import ConfigError
from runner.layers import base
from runner.layers.norm import LocalResponseNorm

HUGE = 10**9


def refused(layers: list[Any], **model: Any) -> list[str]:
    config = composed("data=mnist", "data.root=no/such/folder")
    config["model"].update({"layers": [*layers, "flatten", "classifier"], **model})
    with pytest.raises(ConfigError) as error:
        parse(config)
    return [str(fault) for fault in error.value.faults]


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the layers that a survey looks at meanwhile."""
    found: list[str] = []
    survey = base.Layer.survey

    def counted(self: base.Layer, *arguments: Any) -> Any:
        found.append(self.kind)
        return survey(self, *arguments)

    monkeypatch.setattr(base.Layer, "survey", counted)
    return found


def repeated(*times: int, layers: tuple[Any, ...] = ("relu",)) -> Any:
    for count in times:
        layers = ({"repeat": {"times": count, "layers": list(layers)}},)
    return layers[0]


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (
            [repeated(1000, 1000)],
            "layers[0].repeat: must come to at most 10,000 layers with all before it, got 1001001",
        ),
        ([repeated(*[1000] * 9)], "layers[0].repeat: must come to at most 10,000 layers with all before it, got 1"),
        ([repeated(1000, 1000, layers=())], "layers[0].repeat: must come to at most 10,000 layers with all before it"),
        (
            [{"residual": {"layers": [repeated(100, 100)]}}],
            "layers[0].residual: must come to at most 10,000 layers with all before it, got 10102",
        ),
        ([repeated(1000)] * 10, "layers[9].repeat: must come to at most 10,000 layers with all before it, got 10010"),
        (["relu"] * 100_000, "layers: must have at most 10,000 entries, got 100002"),
        (["relu"] * 1_000_000, "layers: must have at most 10,000 entries, got 1000002"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_too_many_layers_are_counted_and_not_looked_at(layers: list[Any], expected: str, looked_at: list[str]) -> None:
    [line] = refused(layers)
    assert line.startswith(f"model.{expected}")
    assert not looked_at


def test_blocks_that_come_to_too_many_layers_are_not_looked_at(looked_at: list[str]) -> None:
    blocks = {f"b{i}": {"layers": [f"b{i + 1}"] * 10} for i in range(8)} | {"b8": {"layers": ["relu"]}}
    lines = refused(["b0"], blocks=blocks)
    assert len(lines) == 1
    assert "must come to at most 100,000 values with all before it" in lines[0]
    assert not looked_at


def test_a_count_is_what_a_survey_looks_at(looked_at: list[str]) -> None:
    config = composed("data=mnist", "data.root=no/such/folder", "model=lenet5", "model.input=null")
    inner = {"residual": {"layers": ["relu", repeated(2)]}}
    config["model"]["layers"] = [repeated(3, layers=("tanh", inner)), "flatten", "classifier"]
    layers = parse(config).model.layers
    assert Counter(looked_at) == {"tanh": 3, "relu": 3 + 3 * 2, "flatten": 1, "classifier": 1}
    # The outer repetition, three residuals and the repetition in each are counted beside those.
    assert sum(layer.layer_count() for layer in layers) == len(looked_at) + 1 + 3 + 3


@pytest.mark.parametrize("kind", ["conv", "max_pool", "avg_pool", "sum_pool", "subsampling"])
@pytest.mark.parametrize("name", ["kernel_size", "stride", "dilation", "padding"])
def test_windows_have_bounds(kind: str, name: str) -> None:
    needed: dict[str, Any] = {"filters": 2, "kernel_size": 3} if kind == "conv" else {"size": 3}
    name = "size" if name == "kernel_size" and kind != "conv" else name
    line = f"model.layers[0].{kind}.{name}: must be ≤ 65536, got {HUGE}"
    for value in (HUGE, [HUGE, 1]):
        assert told({kind: {**needed, name: value}}, "flatten", "classifier")[0] == line


def test_padding_has_a_bound_over_both_axes() -> None:
    layer = {"conv": {"filters": 2, "kernel_size": 3, "dilation": 50_000, "padding": "same"}}
    rule = f"must pad the input to at most {limits.ARRAY_VALUES} values, got {3 * 100_008**2}"
    assert told(layer, "flatten", "classifier") == [f"model.layers[0].conv.padding: {rule}"]


@pytest.mark.parametrize(
    ("layers", "model", "expected"),
    [
        ([{"conv": {"filters": 10**12, "kernel_size": 1}}], {}, "layers[0].conv: must have at most 2147483647 outputs"),
        ([{"pad_channels": {"channels": 10**12}}], {}, "layers[0].pad_channels: must have at most 2147483647 outputs"),
        ([{"upsample": {"size": HUGE}}], {}, f"layers[0].upsample.size: must be ≤ 65536, got {HUGE}"),
        (
            [{"local_response_norm": {"size": HUGE}}],
            {},
            f"layers[0].local_response_norm.size: must be ≤ 65536, got {HUGE}",
        ),
        (
            [{"max_pool": {"size": 2, "stride": 60_000}}],
            {"input": {"height": HUGE, "width": HUGE}},
            f"input: must have at most 2147483647 values, got {HUGE**2}",
        ),
        ([], {"width": 1e308}, "width: must be ≤ 1000, got 1e+308"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_arrays_have_a_bound(layers: list[Any], model: dict[str, Any], expected: str) -> None:
    [line] = refused(layers, **model)
    assert line.startswith(f"model.{expected}")


def test_a_response_norm_reads_no_more_neighbours_than_there_are() -> None:
    x = normal(2, 5)
    jaxpr = jax.make_jaxpr(lambda x: output(LocalResponseNorm(size=65_536), x))(x)
    largest = max(getattr(variable.aval, "size", 0) for equation in jaxpr.eqns for variable in equation.outvars)
    assert largest == 2 * (4 + 5 + 4)  # each channel's neighbours on either side
    assert "reduce_window" not in str(jaxpr)


def test_a_response_norm_over_more_neighbours_than_there_are_is_the_formula() -> None:
    for size, channels in ((9, 3), (65_536, 5), (101, 150)):
        x = np.asarray(normal(2, channels), np.float64)
        before, after = size // 2, (size - 1) // 2
        sums = [(x[:, max(c - before, 0) : c + after + 1] ** 2).sum(1) for c in range(channels)]
        expected = x / (2 + 1e-4 * np.stack(sums, 1)) ** 0.75
        np.testing.assert_allclose(output(LocalResponseNorm(size=size), x.astype(np.float32)), expected, rtol=1e-5)
