"""The JSON Schema: kept current, true of every shipped file, and no laxer than the experiment itself by accident."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from configurations import composed, with_value
from omegaconf import OmegaConf

from runner import schema
from runner.composition import shipped
from runner.configuration import layout
from runner.layers import KINDS
from runner.verbs import SETTINGS

SCHEMAS = schema.schemas(SETTINGS)
GROUPS = sorted(set(layout(SETTINGS).model_fields) - {"seed"})


@functools.cache
def validator(name: str) -> jsonschema.Draft202012Validator:
    found = SCHEMAS[f"{name}.json"]
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def test_the_committed_schema_is_current(repository: Path, tmp_path: Path) -> None:
    written = {path.name: path.read_text() for path in schema.write(tmp_path, SETTINGS)}
    committed = {path.name: path.read_text() for path in (repository / "schema").glob("*.json")}
    assert written == committed, "run `python -m runner schema`"


def test_there_is_a_schema_for_the_whole_and_for_every_group() -> None:
    assert set(SCHEMAS) == {"experiment.json", "block.json", *(f"{name}.json" for name in GROUPS)}


def is_whole(path: Path) -> bool:
    """Whether a file speaks of the whole configuration, wherever it lies."""
    return path.read_text().startswith("# @package _global_")


def files() -> Iterator[Any]:
    for path in sorted(shipped().rglob("*.yaml")):
        folder = path.parent.relative_to(shipped()).as_posix()
        whole = folder == "." or is_whole(path)
        if whole or folder in (*GROUPS, "block"):
            yield pytest.param(path, "experiment" if whole else folder, id=f"{folder}/{path.stem}")


@pytest.mark.parametrize(("path", "name"), list(files()))
def test_every_shipped_file_is_valid(path: Path, name: str) -> None:
    written = OmegaConf.to_container(OmegaConf.load(path))  # as written: with its interpolations
    validator(name).validate({} if written is None else json.loads(json.dumps(written)))


def test_a_file_of_an_experiment_says_what_it_changes_and_no_more() -> None:
    validator("experiment").validate(
        {"defaults": ["override /data: mnist"], "train": {"steps": 3}, "data": {"limit": 5}}
    )
    validator("experiment").validate({"optimizer": {"learning_rate": 0.1}, "model": {"name": "x"}})
    assert not validator("experiment").is_valid({"train": {"setps": 3}})
    assert not validator("experiment").is_valid({"data": {"limti": 5}})
    assert not validator("model").is_valid({"layers": [{"conv": {"filters": 3}}]})  # what is begun is said to its end


@pytest.mark.parametrize("options", [(), ("data=mnist",), ("data=cifar100", "augment=cutmix", "optimizer=lamb")])
def test_whole_configurations_are_valid(options: tuple[str, ...]) -> None:
    validator("experiment").validate(json.loads(json.dumps(composed(*options))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sedd", 1),
        ("seed", -1),
        ("seed", 1.5),
        ("model.nam", "x"),
        ("model.layers", "relu"),
        ("model.layers[1]", {"conv": None}),
        ("model.layers[1]", {"bottleneck": {}, "relu": {}}),
        ("model.layers[1]", {"bottleneck": 3}),
        ("model.layers[1]", {"when": {"layers": []}}),
        ("model.layers[1]", {"when": {"given": True, "else": []}}),
        ("model.layers[0].conv.filters", "64"),
        ("model.layers[0].conv.filters", "width * 2"),
        ("model.blocks", {"b": {"layer": []}}),
        ("model.blocks", {"b": {"layers": [{"conv": {"filters": "$n", "kernal_size": 5}}]}}),
        ("model.params", ["width"]),
        ("model.layers[1]", {"relu": {}, "tanh": {}}),
        ("model.layers[1]", "rellu"),
        ("model.layers[1]", "flaten"),
        ("model.layers[1]", {"Conv": {"filters": 3, "kernel_size": 3}}),
        ("model.layers[1]", {"maxpool": {"size": 2}}),
        ("model.layers[1]", {"residual": {"layers": ["Relu"]}}),
        ("model.blocks", {"b": {"layers": ["cnov"]}}),
        ("model.blocks", {"BatchNorm": {"layers": ["batch_norm"]}}),
        ("model.layers[1]", {"relu": {"slope": 1}}),
        ("model.layers[0]", "conv"),
        ("model.layers[0].conv.filters", 0),
        ("model.layers[0].conv.stride", "two"),
        ("model.layers[0].conv.padding", "sme"),
        ("model.layers[0].conv.kernal_size", 5),
        ("data.rot", "x"),
        ("data.val_fraction", 1),
        ("data.source", "digit"),
        ("augment.flip", {}),
        ("augment.affine", {"degrees": 181}),
        ("loss.name", "hinge"),
        ("loss.label_smoothing", "a"),
        ("optimizer.name", "adm"),
        ("optimizer.momentum", 0.9),  # not one of Adam's
        ("optimizer.learning_rate", "fast"),
        ("schedule.name", "cosine"),
        ("schedule.gamma", 0.9),
        ("train.epochs", 0),
        ("train.epochs", True),
        ("train.clip.nrom", 1.0),
        ("train.precision", "float16"),
        ("tracking.enabled", "no"),
        ("describe.format", "xml"),
        ("ui.port", 0),
    ],
)
def test_what_is_wrong_is_not_valid(path: str, value: Any) -> None:
    wrong = json.loads(json.dumps(with_value(composed(), path, value)))
    assert not validator("experiment").is_valid(wrong)
    name, _, below = path.partition(".")
    if below:
        assert not validator(name).is_valid(wrong[name])


def test_interpolations_are_valid_where_numbers_and_switches_stand() -> None:
    for path in ("seed", "train.epochs", "optimizer.learning_rate", "train.debug_nans", "model.layers[0].conv.filters"):
        validator("experiment").validate(json.loads(json.dumps(with_value(composed(), path, "${other}"))))
        wrong = with_value(composed(), path, "other")
        assert not validator("experiment").is_valid(json.loads(json.dumps(wrong))), path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.layers[0].conv.filters", "$width * 2"),
        ("model.layers[0].conv.filters", "64 * 2"),
        ("model.layers[0].conv.filters", "classes"),
        ("model.layers[0].conv.kernel_size", ["$height", 3]),
        ("model.layers[0].conv.padding_mode", "$mode"),
        ("model.layers[1]", "own_block"),
        *(
            ("model.layers[1]", name)
            for name in ("selu", "crelu", "convs", "conv1", "Stem", "norm", "dense_2", "Block")
        ),
        ("model.layers[1]", "$activation"),
        ("model.layers[1]", ["relu", {"bottleneck": {"width": "$w"}}]),
        ("model.layers[1]", {"own_block": None}),
        ("model.layers[1]", {"residual": {"layers": "$body", "shortcut": "$shortcut"}}),
        ("model.layers[1]", {"when": {"given": "$flag", "otherwise": ["relu"]}}),
        ("model.blocks", {"b": {"params": {"n": None}, "layers": [{"dense": {"units": "$n"}}, "c"]}}),
        ("model.params", {"times": [1, 2], "norm": ["batch_norm"]}),
    ],
)
def test_blocks_and_what_they_are_given_are_valid(path: str, value: Any) -> None:
    written = json.loads(json.dumps(with_value(composed(), path, value)))
    validator("experiment").validate(written)
    validator("model").validate(written["model"])


def mistyped(name: str) -> Iterator[str]:
    """A name with one letter left out, doubled, or exchanged with the next, and in other forms."""
    yield from (
        name.upper(),
        name.title(),
        name.title().replace("_", ""),
        name.replace("_", ""),
        name.replace("_", "-"),
    )
    for index, letter in enumerate(name):
        yield name[:index] + name[index + 1 :]
        yield name[:index] + letter + name[index:]
        yield name[:index] + name[index : index + 2][::-1] + name[index + 2 :]


def test_every_mistyped_kind_is_known_as_such() -> None:
    patterns = [one["pattern"] for one in SCHEMAS["model.json"]["$defs"]["misspelt"]["anyOf"]]
    for kind in KINDS:
        for name in {*mistyped(kind)} - {*KINDS}:
            assert any(re.search(pattern, name) for pattern in patterns), name


def objects(node: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object with properties, by its place."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            yield at, node
        for key, item in node.items():
            yield from objects(item, f"{at}/{key}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from objects(item, f"{at}/{index}")


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_no_object_takes_a_key_that_it_does_not_name(name: str) -> None:
    for place, node in objects(SCHEMAS[name]):
        closed = node.get("additionalProperties") is False or node.get("unevaluatedProperties") is False
        assert closed or place in OPEN.get(name, set()), place


OPEN: dict[str, set[str]] = {}


@pytest.mark.slow
def test_every_kind_of_layer_is_completed_with_its_description() -> None:
    text = json.dumps(SCHEMAS["model.json"], ensure_ascii=False)
    for kind, layer in KINDS.items():
        assert f'"{kind}"' in text
        assert (layer.__doc__ or "").split("\n")[0] in yaml.safe_load(json.dumps(text))


def test_every_field_says_what_it_is() -> None:
    definitions = SCHEMAS["experiment.json"]["$defs"]
    silent = [
        f"{name}.{key}"
        for name, node in definitions.items()
        for key, item in node.get("properties", {}).items()
        if "description" not in item and "const" not in item and key != "defaults"
    ]
    assert silent == []


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(shipped().rglob("*.yaml")) if "hydra" not in path.parts],
    ids=lambda path: path.stem,
)
def test_every_file_tells_editors_its_schema(path: Path, repository: Path) -> None:
    named = re.search(r"^# yaml-language-server: \$schema=(\S+)$", path.read_text(), flags=re.MULTILINE)
    assert named is not None
    group = path.parent.name
    whole = group == "conf" or is_whole(path)
    assert (path.parent / named[1]).resolve() == repository / "schema" / f"{'experiment' if whole else group}.json"
