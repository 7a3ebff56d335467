"""Variants of models: how edits compose with files, overrides and sweeps, and what verbs say of them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import Done, Runner

from runner.composition import shipped

HAND_WRITTEN = """
name: by_hand
input: {height: 32, width: 32}
layers:
  - conv: {filters: 6, kernel_size: 5, use_bias: false}
  - batch_norm
  - relu
  - max_pool: {size: 2}
  - conv: {filters: 16, kernel_size: 5, use_bias: false}
  - batch_norm
  - relu
  - max_pool: {size: 2}
  - flatten
  - dense: {units: 120}
  - relu
  - dense: {units: 84}
  - relu
  - classifier
"""


def write(name: str, text: str, group: str = "model") -> None:
    path = Path("conf", group, f"{name}.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def variant(name: str, base: str, *edits: str) -> None:
    lines = "".join(f"  - {edit}\n" for edit in edits)
    write(name, f"defaults: [{base}, _self_]\nname: {name}\nedit:\n{lines}")


def rows(done: Done) -> list[Any]:
    assert done.status == 0, done.err
    found = json.loads(done.out)["layers"]
    return [{key: row[key] for key in ("path", "output_shape", "parameters")} for row in found]


def kinds(done: Done) -> list[str]:
    return [row["path"].rpartition(".")[2] for row in rows(done)]


def test_the_example_is_the_list_that_one_would_write(runner: Runner) -> None:
    write("by_hand", HAND_WRITTEN)
    described = [rows(runner("describe", f"model={name}", "describe.format=json")) for name in ("by_hand", "lenet5_bn")]
    assert described[0] == described[1]
    composed = runner("--cfg", "job", "--package", "model", "model=lenet5_bn").out
    assert yaml.safe_load(composed)["layers"] == yaml.safe_load(HAND_WRITTEN)["layers"]


def test_a_variant_of_a_variant_edits_the_edited_list(runner: Runner) -> None:
    variant("one", "lenet5", "{delete: layers.1}", "{before: flatten, insert: dropout}")
    variant(
        "two",
        "one",
        "{replace: 1_max_pool, with: {avg_pool: {size: 2}}}",
    )
    write(
        "deep",
        "# @package _global_\ndefaults: [{override /model: two}]\nmodel: {edit: [{delete: dropout}]}",
        "experiment",
    )
    assert kinds(runner("describe", "model=two", "describe.format=json"))[:3] == ["conv", "avg_pool", "conv"]
    assert "dropout" in kinds(runner("describe", "model=two", "describe.format=json"))
    assert "dropout" not in kinds(runner("describe", "experiment=deep", "describe.format=json"))


def test_overrides_and_edits_on_the_command_line_name_the_list_of_the_model(runner: Runner) -> None:
    edit = "model.edit=[{before: layers.0, insert: [{conv: {filters: 3, kernel_size: 1}}]}, {delete: layers.1}]"
    found = rows(runner("describe", "model=lenet5_bn", edit, "model.layers.0.conv.filters=5", "describe.format=json"))
    assert [row["path"] for row in found[:3]] == [
        "model.layers[0].conv",
        "model.layers[1].conv",
        "model.layers[2].relu",
    ]
    assert [row["output_shape"][-1] for row in found[:3]] == [3, 5, 5]


def test_parameters_and_blocks_reach_inserted_layers(runner: Runner) -> None:
    write(
        "base",
        "name: base\nparams: {width: 4}\nlayers: [{conv: {filters: $width, kernel_size: 3}}, flatten, classifier]",
    )
    write(
        "wide",
        "defaults: [base, _self_]\nname: wide\nparams: {width: 6}\n"
        "edit: [{after: conv, insert: [{conv_bn_act: {filters: $width * 2}}, {repeat: {times: 2, layers: [relu]}}]}]",
    )
    found = rows(runner("describe", "model=wide", "describe.format=json"))
    assert [row["output_shape"][-1] for row in found[:2]] == [6, 12]


def test_faults_name_the_variant_and_its_base_in_one_line(runner: Runner) -> None:
    variant("lost", "lenet5", "{after: cnov, insert: relu}", "{delete: layers.40}")
    assert runner("describe", "model=lost").err.splitlines() == [
        'conf/model/lost.yaml: model.edit[0].after: unknown layer "cnov"; did you mean "conv"? '
        "(conf/model/lenet5.yaml)",
        "conf/model/lost.yaml: model.edit[1].delete: must name a layer that conf/model/lenet5.yaml writes "
        "(layers[0] to layers[11], and those in them), got layers.40",
    ]
    write("alone", "name: alone\nedit: [{delete: relu}]")
    assert "conf/model/alone.yaml: model.edit: must have a base with layers" in runner("describe", "model=alone").err
    write("both", "defaults: [lenet5, _self_]\nlayers: [classifier]\nedit: [{delete: classifier}]")
    assert runner("describe", "model=both").err.splitlines() == [
        "conf/model/both.yaml: model.edit: must edit the layers of a base that defaults names, got layers beside it"
    ]


def test_a_variant_of_itself_is_told_in_one_line(runner: Runner) -> None:
    variant("one", "two", "{delete: relu}")
    variant("two", "one", "{delete: relu}")
    assert runner("describe", "model=one").err == (
        "conf/model/one.yaml: must not be among its own defaults, got model/one → model/two → model/one\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        ("describe", "model=tight"),
        pytest.param(("-m", "model=tight", "seed=0,1", "tracking=off"), marks=pytest.mark.slow),
    ],
    ids=["describe", "sweep"],
)
def test_a_layer_that_does_not_fit_is_told_with_both_files(runner: Runner, command: tuple[str, ...]) -> None:
    variant(
        "tight",
        "lenet5_bn",
        "{after: flatten, insert: {conv: {filters: 3, kernel_size: 3}}}",
        "{change: layers.3, with: {size: 50}}",
    )
    files = "(conf/model/lenet5.yaml, edited by conf/model/lenet5_bn.yaml, then conf/model/tight.yaml)"
    done = runner(*command)
    assert done.status == 2
    faults = [line for line in done.err.splitlines() if line.startswith("model.")]
    assert faults[0] == f"model.layers[3].max_pool.size: must fit the 28×28×6 input, got 50×50 {files}"
    done = runner("describe", "model.edit=[{change: layers.0, with: {stride: 0}}]")
    assert done.err.splitlines() == [
        "model.layers[0].conv.stride: must be ≥ 1, got 0 (the model lenet5, edited by the command line)"
    ]


SMALL = (
    "model.input=null", "data.limit=100", "train.epochs=1", "train.batch_size=16", "tracking=off", "figures=off",
)  # fmt: skip


@pytest.mark.slow
def test_a_sweep_varies_edits(runner: Runner) -> None:
    tiny = "model.layers=[{conv: {filters: 2, kernel_size: 3}}, relu, flatten, classifier]"
    edits = "model.edit=[],[{after: conv, insert: [batch_norm]}]"
    done = runner("-m", tiny, edits, *SMALL, "hydra.sweep.dir=out")
    assert done.status == 0, done.err
    assert "2 structures" in done.out


@pytest.mark.slow
def test_a_run_records_its_whole_list_and_no_value_of_the_environment(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILTERS", "3")
    filters = "${oc.decode:${oc.env:FILTERS}}"
    write(
        "secret", f"name: secret\nlayers: [relu, conv: {{filters: '{filters}', kernel_size: 3}}, flatten, classifier]"
    )
    edit = "model.edit=[{delete: relu}, {before: flatten, insert: batch_norm}]"
    done = runner("model=secret", edit, *SMALL, "hydra.run.dir=out")
    assert done.status == 0, done.err
    recorded = yaml.safe_load(Path("out/config.yaml").read_text())["model"]
    conv = {"conv": {"filters": filters, "kernel_size": 3}}
    assert recorded == {"name": "secret", "input": None, "layers": [conv, "batch_norm", "flatten", "classifier"]}


def test_why_names_the_line_of_an_edit(runner: Runner) -> None:
    found = [line.split() for line in runner("why", "model.layers", "model=lenet5_bn").out.splitlines()]
    places = {line[0]: line[-1] for line in found}
    assert places["model.layers.2"] == "conf/model/lenet5.yaml:8"
    for path, word in (("model.layers.1", "insert"), ("model.layers.0.conv.use_bias", "change")):
        file, _, line = places[path].rpartition(":")
        assert word in (shipped().parent / file).read_text().splitlines()[int(line) - 1]
    edit = "model.edit=[{change: layers.0, with: {filters: 7}}]"
    for key in ("model.edit", "model.edit[0].change"):
        assert runner("why", key, edit).err == (
            f"command line: must name a setting, got {key}: edits are applied to the layers; runner why model.layers "
            "names their lines\n"
        )
    done = runner("why", "model.layers.0.conv.filters", "model=lenet5_bn", edit)
    assert [line.rstrip() for line in done.out.splitlines()] == [
        "model.layers.0.conv.filters  7             command line",
        "                               replaces 6  conf/model/lenet5.yaml:7",
    ]


def test_diff_of_a_variant_and_its_base_is_the_edit(runner: Runner) -> None:
    folder = shipped() / "model"
    done = runner("diff", str(folder / "lenet5.yaml"), str(folder / "lenet5_bn.yaml"), "format=json")
    differences = {row["path"] for row in json.loads(done.out)["configuration"]}
    assert differences == {"name", *(f"model.layers[{place}]" for place in ("0", "1", "3 → 4", "5"))}
