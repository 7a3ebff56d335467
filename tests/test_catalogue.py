"""What `list` and `show` print is what a configuration accepts: every use, every argument and every default."""

import re
from pathlib import Path

import pytest
import yaml
from commands import Runner
from configurations import composed, parse
from pydantic import TypeAdapter

from runner import catalogue
from runner.layers import KINDS, LayerList
from runner.optim import optimizers
from runner.records import frozen
from runner.schedule import SCHEDULES
from runner.strict_yaml import read

LAYERS = TypeAdapter(LayerList)
ON_COMMAND_LINES = [kind for kind in catalogue.kinds() if kind not in ("models", "layers", "blocks", "data", "sweeps")]


@pytest.mark.parametrize("entry", catalogue.entries("layers"), ids=lambda entry: entry.name)
def test_the_use_and_the_defaults_of_a_layer_are_accepted(entry: catalogue.Entry) -> None:
    written = read(entry.usage, entry.name)
    [layer] = LAYERS.validate_python(frozen([written]))
    given = {} if isinstance(written, str) else written[entry.name]
    assert {argument.name for argument in entry.arguments} == set(KINDS[entry.name].model_fields)
    assert {argument.name for argument in entry.arguments if argument.default is None} == set(given)
    for argument in entry.arguments:
        if argument.default is not None:
            spelt_out = {entry.name: {**given, argument.name: read(argument.default, argument.name)}}
            assert LAYERS.validate_python(frozen([spelt_out])) == (layer,), argument


@pytest.mark.parametrize("kind", ON_COMMAND_LINES)
def test_every_use_on_the_command_line_is_accepted(kind: str) -> None:
    for entry in catalogue.entries(kind):
        overrides = [entry.usage] if "{" in entry.usage else entry.usage.split()
        parse(composed(*overrides, *([] if kind == "experiments" else ["data=cifar10"])))


def test_every_optimiser_and_schedule_of_optax_is_there() -> None:
    assert {entry.name for entry in catalogue.entries("optimizers")} >= optimizers().keys()
    assert {entry.name for entry in catalogue.entries("schedules")} >= SCHEDULES.keys()


def test_every_use_of_a_block_gives_what_it_needs() -> None:
    for entry in catalogue.entries("blocks"):
        written = yaml.safe_load(entry.usage)
        given = {} if isinstance(written, str) else written[entry.name]
        known = {argument.name: argument.default for argument in entry.arguments}
        assert {name for name, default in known.items() if default is None} <= set(given) <= set(known), entry


def test_every_entry_has_a_summary_on_one_line() -> None:
    for kind in catalogue.kinds():
        for entry in catalogue.entries(kind):
            assert entry.summary, (kind, entry.name)
            assert "\n" not in entry.summary
            assert not entry.summary.startswith(("python", "Source:")), entry


def test_types_are_words() -> None:
    texts = {argument.name: argument.type for argument in catalogue.named("conv")[0].arguments}
    assert texts["filters"] == "whole number ≥ 1 | classes"
    assert texts["use_bias"] == "true | false"
    assert texts["padding_mode"] == "zeros | reflect | replicate | circular"
    assert texts["stride"] == "whole number 1 … 65536 | list of whole number 1 … 65536"


def test_own_files_are_listed_and_replace_shipped_ones(runner: Runner) -> None:
    for name, comment in (("mine", "My network.      python -m runner model=mine"), ("lenet5", "Another LeNet.")):
        path = Path("conf/model", f"{name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {comment}\nname: {name}\nlayers: [flatten, classifier]\n")
    lines = runner("list", "models").out.splitlines()
    assert [line.rstrip() for line in lines if re.match(r"model=(mine|lenet5) ", line)] == [
        "model=lenet5           Another LeNet.",
        "model=mine             My network.",
    ]
    assert "in conf/model/mine.yaml\n" in runner("show", "mine").out


def test_a_file_without_a_comment_or_in_no_yaml_is_listed(runner: Runner) -> None:
    Path("conf/block").mkdir(parents=True)
    Path("conf/block/bare.yaml").write_text("[relu]\n")
    Path("conf/block/empty.yaml").write_bytes(b"")
    assert runner("list", "blocks").status == 0
    assert runner("show", "bare").status == 0


@pytest.mark.parametrize("group", ["block", "model"])
@pytest.mark.parametrize("arguments", [("list",), ("list", "{group}s"), ("show", "conv")])
def test_a_file_that_is_no_utf_8_is_named(runner: Runner, group: str, arguments: tuple[str, ...]) -> None:
    Path("conf", group).mkdir(parents=True)
    Path("conf", group, "latin.yaml").write_bytes("# Müller's network\n".encode("latin-1"))
    done = runner(*(argument.format(group=group) for argument in arguments))
    reason = "'utf-8' codec can't decode byte 0xfc in position 3: invalid start byte"
    line = f"conf/{group}/latin.yaml: must be UTF-8 text, but {reason}\n"
    assert (done.status, done.out, done.err) == (2, "", line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("list", "optimizrs"), 'command line: unknown kind "optimizrs"; did you mean "optimizers"?'),
        (("list", "models", "layers"), "command line: must name one kind, got models layers"),
        (("show",), "command line: must name one entry of `runner list`, got nothing"),
        (("show", "con"), 'command line: unknown name "con"; did you mean "conv"?'),
        (("show", "conv", "dense"), "command line: must name one entry of `runner list`, got conv dense"),
    ],
)
def test_a_mistake_is_one_line(runner: Runner, arguments: tuple[str, ...], line: str) -> None:
    done = runner(*arguments)
    assert (done.status, done.out, done.err) == (2, "", f"{line}\n")


@pytest.mark.parametrize("width", [60, pytest.param(80, marks=pytest.mark.slow)])
def test_what_is_printed_fits_the_terminal(runner: Runner, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for arguments in [("list",), *(("list", kind) for kind in catalogue.kinds()), ("show", "conv"), ("show", "adam")]:
        lines = runner(*arguments).out.splitlines()
        assert max(len(line) for line in lines if " in /" not in line) <= width, arguments
        if len(arguments) == 2 and arguments[0] == "list":
            labels = [entry.label for entry in catalogue.entries(arguments[1])]
            assert [line.split("  ")[0] for line in lines if not line.startswith(" ")] == labels
