"""What a sweep varies, against Hydra's own sweeper and its grammar."""

import ast
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from runner import expressions
from runner.composition.reading import read, typed
from runner.errors import ConfigError
from runner.records import frozen
from runner.sweep.settings import Sweep
from runner.sweep.space import Choice, Interval, constraints

PATHS = ("++optimizer.learning_rate", "seed", "optimizer", "++train.epochs", "++a.b.c")
VALUES = st.one_of(
    st.lists(st.sampled_from(["1", "2.5", "1e-3", "adam", "true", "null", "'a b'"]), min_size=1, max_size=3).map(
        ",".join
    ),
    st.tuples(st.integers(0, 3), st.integers(4, 6)).map(lambda ends: f"range({ends[0]},{ends[1]})"),
    st.lists(st.sampled_from(["relu", "tanh", "3"]), min_size=1, max_size=3).map(
        lambda some: f"choice({','.join(some)})"
    ),
)


def settings(**fields: Any) -> Sweep:
    return Sweep.model_validate(frozen(fields))


def refused(arguments: list[str], **fields: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(arguments, settings(**fields))
    return [str(fault) for fault in caught.value.faults]


@given(st.dictionaries(st.sampled_from(PATHS), VALUES, min_size=1, max_size=4))
def test_a_grid_has_hydras_combinations_in_hydras_order(said: dict[str, str]) -> None:
    arguments = [f"{path}={text}" for path, text in said.items()]
    space = read(arguments, settings())
    ours = [list(space.overrides(chosen)) for chosen in space.grid()]
    [theirs] = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(arguments), None)
    unique = list(dict.fromkeys(map(tuple, theirs)))  # a value said twice is one
    # Hydra writes values anew and we keep what was written where nothing varies, so that what they mean is compared.
    parser = OverridesParser.create()

    def meant(jobs: Any) -> list[list[tuple[str, Any]]]:
        return [[(one.key_or_group, one.value()) for one in parser.parse_overrides(list(job))] for job in jobs]

    assert meant(ours) == meant(unique)


def test_intervals_ranges_and_choices_become_optunas_distributions() -> None:
    space = read(
        ["++a=tag(log,interval(1e-4,1e-1))", "++b=int(interval(4,16))", "++c=range(1,10,2)", "++d=relu,tanh"],
        settings(sampler="tpe"),
    )
    assert [dimension.values for dimension in space.dimensions.values()] == [
        Interval(1e-4, 1e-1, log=True),
        Interval(4, 16, whole=True),
        Interval(1, 9, whole=True, step=2),
        Choice(("relu", "tanh")),
    ]


def test_the_command_line_takes_precedence_over_the_file() -> None:
    space = read(["seed=7,8", "++train.epochs=2"], settings(space={"seed": "range(0,5)", "model.width": "1,2"}))
    assert space.texts == {"seed": "7,8", "model.width": "1,2"}
    assert next(space.overrides(chosen) for chosen in space.grid()) == ("seed=7", "++model.width=1", "++train.epochs=2")


def test_zipped_paths_vary_together() -> None:
    space = read(["++a=1,2", "++b=x,y", "++c=5,6"], settings(zip=[["a", "b"]]))
    assert [tuple(chosen.values()) for chosen in space.grid()] == [
        ("1", "x", "5"),
        ("1", "x", "6"),
        ("2", "y", "5"),
        ("2", "y", "6"),
    ]


def test_zipped_paths_may_repeat_values() -> None:
    space = read(["++a=16,16,32,16", "++b=1,2,1,1"], settings(zip=[["a", "b"]]))  # its last row repeats the first
    assert [tuple(chosen.values()) for chosen in space.grid()] == [("16", "1"), ("16", "2"), ("32", "1")]


def test_a_path_is_left_out_if_its_condition_does_not_hold() -> None:
    conditions = {"optimizer.momentum": {"optimizer": ["momentum", "rmsprop"]}}
    space = read(["optimizer=adam,momentum", "++optimizer.momentum=0.8,0.9"], settings(conditions=conditions))
    assert [space.overrides(chosen) for chosen in space.grid()] == [
        ("optimizer=adam",),
        ("optimizer=momentum", "++optimizer.momentum=0.8"),
        ("optimizer=momentum", "++optimizer.momentum=0.9"),
    ]


def test_a_condition_on_a_missing_path_does_not_hold() -> None:
    conditions = {"a": {"b": 1}, "b": {"c": True, "d": [0.1, None]}}
    space = read(["++a=1,2", "++b=1,2", "++c=true,false", "++d=1e-1"], settings(conditions=conditions))
    assert [tuple(chosen.values()) for chosen in space.grid()] == [
        ("1", "1", "True"),
        ("False",),
        ("2", "True"),
        ("2", "1", "True"),
    ]


def test_zipped_paths_have_one_condition() -> None:
    arguments = ["++a=1,2", "++b=x,y", "++c=5,6"]
    space = read(arguments, settings(zip=[["a", "b"]], conditions={"a": {"c": 6}}))
    assert [tuple(chosen.values()) for chosen in space.grid()] == [("5",), ("1", "x", "6"), ("2", "y", "6")]
    space = read(arguments, settings(zip=[["a", "b"]], conditions={"c": {"b": "x"}}))
    assert [tuple(chosen.values()) for chosen in space.grid()] == [("1", "x", "5"), ("1", "x", "6"), ("2", "y")]


def test_members_that_break_a_constraint_are_left_out() -> None:
    rule = "train.batch_size * optimizer.learning_rate < 1 and not train.epochs == 3"
    space = read(
        ["++train.batch_size=16,64", "++optimizer.learning_rate=0.01,0.05", "++train.epochs=5"],
        settings(constraints=rule),
    )
    assert [tuple(chosen.values()) for chosen in space.grid()] == [("16", "0.01"), ("16", "0.05"), ("64", "0.01")]


def test_all_faults_of_a_space_are_reported_at_once() -> None:
    assert refused(["seed=1,2"], space={"a.b": "inter(", "c": "choice()"}) == [
        "sweep.space.a.b: must be the value of an override, such as interval(0, 1), got inter(",
        "sweep.space.c: must be the value of an override, such as interval(0, 1), got choice()",
    ]
    assert refused(
        ["seed=1,2", "++a=1,2,3"],
        zip=[["seed"], ["a", "seed"]],
        conditions={"b": {"a": 1}, "a": {"a": 1}},
        constraints=["x ** 2 < 1", "lr < 1", "__import__('os')"],
    ) == [
        "sweep.conditions: must be on paths that vary, got b",
        "sweep.conditions.a: must name other paths, got a",
        "sweep.zip[0]: must list two or more paths that vary, got [seed]",
        "sweep.zip[1]: must list paths with equal numbers of values, got [3, 2]",
        "sweep.constraints[0]: must compare paths and numbers, joined by + - * / // % and or not, got x ** 2 < 1",
        "sweep.constraints[1]: must name a path that the sweep varies or sets, got lr",
        "sweep.constraints[2]: must compare paths and numbers, joined by + - * / // % and or not, got __import__('os')",
    ]


def test_circular_conditions_and_repeated_paths_are_refused() -> None:
    arguments = ["++a=1,2", "++b=1,2", "++c=1,2"]
    assert refused(arguments, conditions={"a": {"b": 1}, "b": {"c": 1}, "c": {"a": 1}}) == [
        "sweep.conditions: must not be circular, got a → b → c → a"
    ]
    assert refused(arguments, conditions={"a": {"optimizer": "adam"}}) == [
        "sweep.conditions.a: must name a path that the sweep varies or sets, got optimizer"
    ]
    assert refused(arguments, zip=[["a", "b"], ["c", "a"]], conditions={"b": {"c": 1}}) == [
        "sweep.conditions: must be on a, the first path of its group in sweep.zip, got b",
        "sweep.zip[1]: must list each path once, and no path of another group, got [c, a]",
    ]
    assert refused(arguments, metric=["val/loss", "seconds"], pruner={"name": "median"}) == [
        "sweep.pruner.name: must be none where there are several metrics, got median"
    ]


def test_an_interval_needs_a_sampler_and_must_rise() -> None:
    assert refused(["++a=interval(0,1)"]) == [
        "sweep.sampler: must be one that supports the interval of a, such as tpe or random, got grid"
    ]
    assert refused(["++a=interval(1,1)", "++b=tag(log,interval(0,1))"], sampler="tpe") == [
        "sweep.space.a: must go from a number to a larger one, got interval(1,1)",
        "sweep.space.b: must go from a number to a larger one above 0, got tag(log,interval(0,1))",
    ]


def test_a_huge_grid_is_refused() -> None:
    assert refused(["++a=range(0,1000)", "++b=range(0,1000)"]) == [
        "sweep.space: must have at most 100000 combinations, got 1000000"
    ]


@given(
    st.recursive(
        st.sampled_from(["a", "b.c", "1", "2.5"]),
        lambda inner: st.tuples(inner, st.sampled_from([" + ", " - ", " * "]), inner).map(lambda p: f"({''.join(p)})"),
        max_leaves=6,
    ),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.integers(-3, 3),
    st.floats(-4, 4),
)
def test_constraints_agree_with_python(left: str, sign: str, a: int, c: float) -> None:
    text = f"{left} {sign} 2 * a"
    expected = eval(text.replace("b.c", "c"), {"a": a, "c": c})
    assert constraints.holds(text, {"a": a, "b.c": c}) == expected


def test_constraints_may_use_list_entries_and_words() -> None:
    values = {"model.layers.0.conv.filters": 8, "a.10": 3, "optimizer": "a.0"}
    assert constraints.names("model.layers.0.conv.filters * 2 == a.10") == {"model.layers.0.conv.filters", "a.10"}
    assert constraints.holds("model.layers.0.conv.filters * 0.5 > a.10", values)
    assert constraints.holds("optimizer == 'a.0' and optimizer != \"a.1\"", values)
    with pytest.raises(ValueError, match=r"^must be computable \(words can only be compared"):
        constraints.holds("optimizer * 99999999999 == 'a'", values)


def test_a_constraint_on_a_missing_path_holds() -> None:
    assert constraints.holds("optimizer.momentum > 0.5", {"seed": 1})
    with pytest.raises(ValueError, match=r"^must be computable \("):
        constraints.holds("seed < name", {"seed": 1, "name": "x"})
    with pytest.raises(ValueError, match=r"^must be computable \("):
        constraints.holds("1 / seed < 2", {"seed": 0})


def test_values_are_converted_as_in_hydra() -> None:
    read_as = [typed(text) for text in ("0.1", "3", "true", "null", "relu", "'a b'", "1e-3")]
    assert read_as == [0.1, 3, True, None, "relu", "a b", 0.001]
    assert typed("[1, 2]") == "[1, 2]"


def test_faults_in_the_settings_of_a_sweep() -> None:
    def faults(**fields: Any) -> list[str]:
        return [str(fault) for fault in settings(**fields).faults()]

    assert faults() == []
    assert faults(metric=["val/loss", "parameters"], direction="minimize", pruner={"name": "median"}) == [
        "sweep.direction: must have one for each of 2 metrics, got [minimize]",
        "sweep.pruner.name: must be none where there are several metrics, got median",
    ]
    assert faults(metric=["val/loss", "seconds"], sampler="cmaes") == [
        "sweep.sampler: must be one for several metrics, such as nsga2 or tpe, got cmaes"
    ]
    assert faults(metric="seconds", pruner={"name": "hyperband"}) == [
        "sweep.metric: must be measured every epoch where members are pruned, got seconds"
    ]
    assert settings(metric=["val/accuracy", "val/loss", "multiply_adds"]).objectives == (
        ("val/accuracy", "maximize"),
        ("val/loss", "minimize"),
        ("multiply_adds", "minimize"),
    )


def test_a_constraint_is_read_once_for_all_combinations(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    read = expressions.Language.read

    def counted(self: expressions.Language, text: str) -> ast.expr | None:
        texts.append(text)
        return read(self, text)

    monkeypatch.setattr(expressions.Language, "read", counted)
    for value in range(1000):
        assert constraints.holds("a.layers.0 * 7 < 3000", {"a.layers.0": value}) is (value * 7 < 3000)
    assert texts == ["a.layers._entry_0 * 7 < 3000"]
