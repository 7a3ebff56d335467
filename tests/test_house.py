"""The rules of the house that no linter knows: what may import what, what things are called, what conf/ may say."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from contributing import example

ROOT = Path(__file__).resolve().parent.parent
CODE = ("runner", "tests", "hydra_plugins", "benchmarks")

# DESIGN's floors: a module imports only from floors below its own. The longest name that fits a module counts.
# CONTRIBUTING.md says what each room is for.
FLOORS = {
    "runner": 19,
    "runner.errors": 0,
    "runner.limits": 0,
    "runner.misspelling": 0,
    "runner.expressions": 0,
    "runner.atomic": 0,
    "runner.processes": 0,
    "runner.memory": 0,
    "runner.energy": 0,
    "runner.cores": 0,
    "runner.programs": 0,
    "runner.interrupts": 0,
    "runner.output": 0,
    "runner.shipped": 0,
    "runner.withheld": 0,
    "runner.path_names": 0,
    "runner.charts": 0,
    "runner.graph": 0,
    "runner.learning_rates": 0,
    "runner.answers": 0,
    "runner.data.forms": 0,
    "runner.sweep.tags": 0,
    "runner.edits": 1,
    "runner.geometry": 1,
    "runner.records": 1,
    "runner.arguments": 1,
    "runner.arithmetic": 1,
    "runner.data.broken": 1,
    "runner.data.fit": 1,
    "runner.data.orientation": 1,
    "runner.data.threads": 1,
    "runner.data.vocabulary": 1,
    "runner.faults": 1,
    "runner.strict_yaml": 1,
    "runner.endings": 1,
    "runner.help": 2,
    "runner.hosts": 2,
    "runner.folders": 1,
    "runner.completion": 2,
    "runner.circumstances": 1,
    "runner.metrics": 1,
    "runner.verdicts": 1,
    "runner.data.pixels": 2,
    "runner.ops": 2,
    "runner.schedule": 2,
    "runner.views": 2,
    "runner.losses": 3,
    "runner.class_weights": 2,
    "runner.launchable": 2,
    "runner.data.inputs": 3,
    "runner.layers": 3,
    "runner.optim": 3,
    "runner.network": 4,
    "runner.tasks": 4,
    "runner.blocks": 4,
    "runner.data": 4,
    "runner.settings": 4,
    "runner.nans": 4,
    "runner.state_dicts": 4,
    "runner.serving": 4,
    "runner.figures": 4,
    "runner.model": 5,
    "runner.placement": 5,
    "runner.weights": 5,
    "runner.tracking": 5,
    "runner.sweep.settings": 5,
    "runner.run_figures.settings": 5,
    "runner.experiment": 6,
    "runner.train": 7,
    "runner.describe": 7,
    "runner.configuration": 7,
    "runner.compiling": 8,
    "runner.trained": 9,
    "runner.command": 8,
    "runner.schema": 8,
    "runner.judging": 10,
    "runner.mistakes": 10,
    "runner.predicting": 10,
    "runner.page": 10,
    "runner.comparing": 10,
    "runner.exporting": 10,
    "runner.repeating": 10,
    "runner.project": 10,
    "runner.training": 10,
    "runner.explaining": 10,
    "runner.inspecting": 10,
    "runner.run_figures": 11,
    "runner.observers": 12,
    "runner.sweep.space": 12,
    "runner.sweep.results": 12,
    "runner.run": 14,
    "runner.following": 13,
    "runner.sweep.members": 13,
    "runner.sweep.tally": 13,
    "runner.sweep.report": 13,
    "runner.sweep.engines": 14,
    "runner.sweep.search": 14,
    "runner.sweep.recording": 14,
    "runner.sweep": 15,
    "runner.composition": 16,
    "runner.catalogue": 17,
    "runner.verb": 17,
    "runner.verbs": 18,
    "runner.cli": 19,
    "runner.__main__": 20,
}
ONLY_IMPORTER = {
    "mlflow": "runner.tracking",
    "matplotlib": "runner.figures",
    "onnx": "runner.exporting",
    "onnxruntime": "runner.exporting",
    "optuna": "runner.sweep.search",
    "hydra": "runner.composition",
    "ray": "runner.sweep.engines.on_ray",
    "submitit": "runner.sweep.engines.on_slurm",
}
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base2"}


def files(
    *folders: str, suffixes: tuple[str, ...] = (".py", ".yaml", ".yml", ".md", ".toml", ".lock", ".json")
) -> list[Path]:
    """The project's own text files in these folders, and those in the root where a folder is `.`."""
    found = []
    for folder in folders:
        walk = ROOT.glob("*") if folder == "." else (ROOT / folder).rglob("*")
        found += [path for path in walk if path.is_file() and (path.suffix in suffixes or path.name == "Makefile")]
    return sorted(path for path in found if "__pycache__" not in path.parts)


def module(path: Path) -> str:
    """`runner/layers/conv.py` → `runner.layers.conv`; a package's `__init__.py` is the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, when_loaded: bool = False) -> Iterator[str]:
    """What a file imports, absolutely named; `when_loaded` leaves out what waits in functions and for type checkers."""
    package = module(path) if path.name == "__init__.py" else module(path).rpartition(".")[0]
    for node in _loaded(ast.parse(path.read_text())) if when_loaded else ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                submodule = f"{source}.{name.name}"
                yield submodule if submodule in MODULES else source


def _loaded(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        for_checkers = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not for_checkers and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _loaded(child)


RUNNER = files("runner", suffixes=(".py",))
MODULES = {module(path) for path in RUNNER}


def room(name: str) -> str:
    """The entry of FLOORS that a module belongs to."""
    while name not in FLOORS:
        name = name.rpartition(".")[0]
    return name


@pytest.mark.parametrize("path", RUNNER, ids=module)
def test_imports_point_only_downward(path: Path) -> None:
    here = module(path)
    for target in imports(path):
        if target.split(".")[0] != "runner":
            continue
        there = room(target)
        below = there == room(here) or FLOORS[there] < FLOORS[room(here)]
        assert below, f"{here} imports {target}, which is not below it"


def test_every_room_has_a_floor() -> None:
    homeless = {name for name in MODULES if name != "runner" and room(name) == "runner"}
    assert not homeless, "a new room is given its floor in FLOORS"


def test_contributing_shows_every_room_on_its_floor() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    shown = {
        f"runner.{name.rstrip('/')}": int(floor) for floor, names in rows for name in re.findall(r"`(.+?)`", names)
    }
    assert shown == {name: floor for name, floor in FLOORS.items() if name != "runner"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {}
    for path in RUNNER:
        here = module(path)
        named = set(imports(path, when_loaded=True)) & MODULES
        packages = {name[: dot.start()] for name in named for dot in re.finditer(r"\.", name)}  # these load first,
        outside = {name for name in packages if not f"{here}.".startswith(f"{name}.")}  # unless they already do
        graph[here] = named | outside
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError


@pytest.mark.parametrize("library", ONLY_IMPORTER)
def test_heavy_libraries_have_one_importer(library: str) -> None:
    importers = {module(path) for path in RUNNER if any(name.split(".")[0] == library for name in imports(path))}
    assert {name for name in importers if not f"{name}.".startswith(f"{ONLY_IMPORTER[library]}.")} == set()


def test_what_only_tests_need_stays_out_of_the_program() -> None:
    for path in RUNNER:
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {"jaxtyping", "beartype", "hypothesis", "pytest", "torch", "tests"}, path


def test_hydra_plugins_load_light() -> None:
    # Hydra runs them at every start of every Hydra program, before they are in sys.modules.
    light = sys.stdlib_module_names | {"hydra", "omegaconf"}
    for path in files("hydra_plugins", suffixes=(".py",)):
        heavy = {name for name in imports(path, when_loaded=True) if name.split(".")[0] not in light}
        assert not heavy, f"{path.relative_to(ROOT)} imports {heavy} when it is loaded"
        assert "__future__" not in set(imports(path)), f"{path.relative_to(ROOT)}: breaks dataclasses in plugins"


@pytest.mark.parametrize("path", RUNNER, ids=module)
def test_a_module_says_its_one_idea(path: Path) -> None:
    summary = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
    assert summary


def test_the_layer_that_contributing_shows_works() -> None:
    program = f"""
from typing import ClassVar
import jax, jax.numpy as jnp
from pydantic import Field
from runner.layers.base import Layer, Parameter, Shape, Tree, along_channels
from runner.layers.initializers import InitializerField, initializer
from runner.layers.passes import Pass
{example("Add a layer")}
params, x = {{"scale": jnp.arange(3.0)}}, jnp.ones((2, 4, 4, 3))
y, _ = ChannelScale().apply(params, {{}}, x, Pass(training=True, key=jax.random.key(0)))
print(ChannelScale().parameter_count((4, 4, 3)), *y[1, 2, 3])
"""
    # In a process of its own: a layer that is declared is known from then on.
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["3", "0.0", "1.0", "2.0"], done.stderr


# What tests may name though it begins with an underscore.
NAMED = {
    "_replace", "_fields", "_asdict",  # of named tuples, whose names these are in public
    "_load_pyfunc",  # MLflow calls a model's loader by this name
    "_load_configuration_impl",  # Hydra composes here, once for each configuration; its public methods call one another
}  # fmt: skip


def private_names(path: Path) -> Iterator[tuple[int, str]]:
    """The private names of others that a test reads, imports or replaces, with the lines in which it does."""
    private = re.compile(r"(?:.*\.)?(_[A-Za-z]\w*)")
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("setattr", "getattr", "delattr")):
            names = [item.value for item in node.args if isinstance(item, ast.Constant) and isinstance(item.value, str)]
        for found in filter(None, map(private.fullmatch, names)):
            if found[1] not in NAMED:
                yield node.lineno, found[1]


@pytest.mark.parametrize("path", files("tests", suffixes=(".py",)), ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_know_what_is_public(path: Path) -> None:
    assert list(private_names(path)) == []


def test_no_two_tests_have_one_name() -> None:
    names = [path.name for path in files("tests", suffixes=(".py",)) if path.name not in ("__init__.py", "conftest.py")]
    assert [name for name in names if names.count(name) > 1] == []  # pytest imports each by its name alone


def test_nothing_is_called_a_drawer() -> None:
    for path in files(*CODE, "conf"):
        for part in path.relative_to(ROOT).with_suffix("").parts:
            assert not DRAWERS & set(part.lower().split("_")), f"{path.relative_to(ROOT)}: what is its one idea?"


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    machine = re.compile(r"(?<![\w.~}-])/(?:" + "|".join(("home", "root", "tmp", "Users", "work", "mnt")) + r")/")
    for path in [*files(*CODE, "conf", "schema", "."), ROOT / ".ci" / "run"]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not machine.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_the_lock_pins_every_dependency_and_names_no_index() -> None:
    lines = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; .+)?", line), line
        assert "://" not in line


# conf/

CONF = files("conf", suffixes=(".yaml", ".yml"))


@pytest.mark.parametrize("path", CONF, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_config_opens_with_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("# @package")]
    assert lines, "an empty config says nothing"
    assert re.match(r"# \w", lines[0])
    assert isinstance(yaml.safe_load(text), dict | None)


@pytest.mark.parametrize("path", CONF, ids=lambda path: str(path.relative_to(ROOT)))
def test_yaml_names_things_and_never_calls_python(path: Path) -> None:
    if path.relative_to(ROOT / "conf").parts[0] != "hydra":  # Hydra's own launchers and sweepers need it
        assert "_target_" not in path.read_text()
