"""The built wheel in an environment of its own, run from an empty folder: what someone gets who has no checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

# As DESIGN has it, and small enough to count by hand: 8·8·1 inputs and a bias for each of ten classes.
OWN_MODEL = """\
# A network of the user's own
name: mine
input: {height: 8, width: 8}
layers:
  - flatten
  - classifier
"""
OWN_PARAMETERS = 8 * 8 * 10 + 10
LENET5_PARAMETERS = 61_706


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The wheel, built from the source archive as a package index would have it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(repository), cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The Python of an environment that holds the wheel, and the dependencies of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    executable = Path(sysconfig.get_path("scripts", "venv", vars={"base": str(folder)})) / Path(sys.executable).name
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(executable)]
    run(*pip, "install", "--no-deps", "--no-index", str(wheel), cwd=folder)
    # A folder that a .pth file names does not have its own .pth files read, so the checkout stays out of sight.
    packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder)}))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return executable


def run(*command: str, cwd: Path) -> str:
    """What a command prints to standard output. It finds nothing of the checkout by way of the environment."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def described(python: Path, *overrides: str, cwd: Path) -> dict[str, Any]:
    printed = run(str(python), "-m", "runner", "describe", *overrides, "describe.format=json", cwd=cwd)
    table: dict[str, Any] = json.loads(printed)
    return table


def test_the_wheel_holds_the_program_its_configs_and_nothing_else(wheel: Path, repository: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name) for name in archive.namelist()}
    ours = {
        path.relative_to(repository)
        for folder in ("runner", "hydra_plugins", "conf")
        for path in (repository / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected = {Path("runner") / path if path.parts[0] == "conf" else path for path in ours}
    expected.add(Path("runner") / "experiment.schema.json")  # for shell completion
    [info] = {name.parts[0] for name in names if name.parts[0].endswith(".dist-info")}
    assert {name for name in names if name.parts[0] != info} == expected
    assert Path(info) / "licenses" / "LICENSE" in names
    assert Path("runner/py.typed") in names


def test_it_runs_from_an_empty_folder_and_leaves_it_empty(python: Path, tmp_path: Path) -> None:
    where = run(str(python), "-c", "import runner; print(runner.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(python.parent.parent)

    table = described(python, "model=lenet5", cwd=tmp_path)
    assert table.keys() == {"layers", "totals"}
    assert table["totals"]["parameters"] == LENET5_PARAMETERS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_console_script_is_the_same_program(python: Path, tmp_path: Path) -> None:
    script = python.parent / "runner"
    printed = run(str(script), "describe", "model=lenet5", "describe.format=json", cwd=tmp_path)
    assert json.loads(printed) == described(python, "model=lenet5", cwd=tmp_path)


@pytest.mark.slow
def test_a_conf_in_the_current_folder_adds_to_the_wheels_and_takes_precedence(python: Path, tmp_path: Path) -> None:
    models = tmp_path / "conf" / "model"
    models.mkdir(parents=True)
    (models / "mine.yaml").write_text(OWN_MODEL)
    assert described(python, "model=mine", cwd=tmp_path)["totals"]["parameters"] == OWN_PARAMETERS
    assert described(python, "model=lenet5", cwd=tmp_path)["totals"]["parameters"] == LENET5_PARAMETERS

    (models / "lenet5.yaml").write_text(OWN_MODEL)
    assert described(python, "model=lenet5", cwd=tmp_path)["totals"]["parameters"] == OWN_PARAMETERS


@pytest.mark.slow
def test_it_trains_from_an_empty_folder_and_writes_only_outputs(python: Path, tmp_path: Path) -> None:
    run(str(python), "-m", "runner", "debug=fast", cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
    assert (tmp_path / "outputs" / "mlflow.db").is_file()


def test_the_wheel_has_the_files_that_verbs_copy_and_show(wheel: Path) -> None:
    """The templates of `init`, the page of a run, and conf/: a checkout would hide that they are missing."""
    names = set(zipfile.ZipFile(wheel).namelist())
    root = Path(__file__).resolve().parent.parent
    expected = {
        path.relative_to(root).as_posix()
        for folder in ("runner/project/templates", "runner/page/web")
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {f"runner/{path.relative_to(root).as_posix()}" for path in (root / "conf").rglob("*.yaml")}
    assert len(expected) > 50
    assert expected <= names
