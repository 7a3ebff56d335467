"""The README walked word for word, as a new user walks it: every command in a shell of its own, to its end."""

import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image
from readme_pages import LANGUAGES, ROOT, START, commands, console, measured, write_own
from tracking_server import answer, free_port

import runner

# SQLAlchemy warns MLflow in whichever test opens a store first.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")]

# What a command prints on its last lines, by what it begins with.
PRINTS = {
    "python -m runner -m optimizer.learning_rate": r"48 finished; 2 structures, 2 compiled",
    "python -m runner -m optimizer=": r"6 finished; ",
    "python -m runner sweep=seeds": r"test/accuracy over seeds(.|\n)*10 finished; ",
    "python -m runner -m data.folds=5": r"test/accuracy over folds(.|\n)*10 finished; ",
    "python -m runner sweep=lr": r"\d+ finished; 1 structure, 1 compiled",
    "python -m runner sweep=width": r"\d+ finished; ",
    "python -m runner sweep=tune": r"60 of them|\d+ finished, \d+ pruned",
    "python -m runner describe data": r"in two sets: ",
    "python -m runner describe": r"receptive",
    "python -m runner list layers": r"max_pool",
    "python -m runner show conv": r"kernel_size",
    "python -m runner why": r"conf/optimizer/adam\.yaml",
    "python -m runner": r"test accuracy \d+\.\d+ ?%",
}
# Commands in sentences that other tests run, by what they begin with.
ELSEWHERE = {
    "pip install": "test_wheel.py",
    "eval": "test_completion.py",
    "runner -sc": "test_completion.py",
    "python -m runner sync": "tracking/test_sending.py",
    "python -m runner reproduce": "test_reproduce.py",
    "python -m runner explain": "test_explain.py",
    "python -m runner export": "test_exporting.py",
    "python -m runner resume": "test_resume.py",
    "python -m runner delete": "tracking/test_listing.py",
    "python -m runner train.save_every": "training/test_checkpoints.py",
    "python -m runner cache": "data/test_image_cache.py",
    "python -m runner init": "test_init.py",
    "python -m runner diff": "tracking/test_comparing.py",
    "python -m runner compare": "tracking/test_comparing.py",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: the YAML that the README shows, photographs, and `python` and `runner` of this checkout."""
    folder = tmp_path_factory.mktemp("home")
    write_own(folder)
    draw = np.random.default_rng(0)
    pictures = folder / "holiday"
    pictures.mkdir()
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for number in range(60):
            path = pictures / f"{number}.jpg"
            shape = (40 + number % 7, 50 + number % 5, 3)  # of mixed sizes
            Image.fromarray(draw.integers(0, 120 + 120 * (number % 2), shape, np.uint8)).save(path)
            archive.write(path, f"{('night', 'day')[number % 2]}/{path.name}")
    programs = folder / "bin"
    programs.mkdir()
    for name, arguments in (("python", ""), ("runner", " -m runner"), ("mlflow", " -m mlflow")):
        (programs / name).write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}"{arguments} "$@"\n')
        (programs / name).chmod(0o755)
    return folder


def environment(home: Path) -> dict[str, str]:
    """The environment of a user's shell; packages that JAX, MLflow and matplotlib keep are those of the tests."""
    return os.environ | {"PATH": f"{home / 'bin'}:{os.environ['PATH']}", "COLUMNS": "100"}


def shell(line: str, home: Path) -> subprocess.CompletedProcess[str]:
    """A line in the user's shell, to its end."""
    return subprocess.run(["bash", "-c", line], cwd=home, env=environment(home), capture_output=True, text=True)


def succeeds(line: str, home: Path) -> str:
    """What a line prints that ends well."""
    done = shell(line, home)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def pattern(line: str) -> str:
    """What the output of a command has."""
    return next(text for start, text in PRINTS.items() if line.startswith(start))


LINES = [shown.line for shown in console("README.md") if not shown.output]


@pytest.mark.parametrize("line", [line for line in LINES if not line.endswith(" ui")])
def test_a_command_does_what_it_says(line: str, home: Path, request: pytest.FixtureRequest) -> None:
    real = f"{line} data.root={request.getfixturevalue('data_folder') / 'mnist'}" if "data=mnist" in line else line
    assert re.search(pattern(line), succeeds(real, home)), line


@pytest.fixture(scope="module")
def trained(home: Path) -> str:
    """The id of the run of the README's first command."""
    succeeds("python -m runner", home)
    return latest(home)


def latest(home: Path) -> str:
    """The id of the last run."""
    found = json.loads(succeeds("python -m runner runs limit=1 format=json", home))
    return str(found[0]["run_id"])


def sentence(start: str) -> str:
    """The command in a sentence of the README that begins so."""
    found = next(command for command in commands("README.md") if command.startswith(start))
    return found if found.startswith("python") else f"python -m runner {found}"


def test_the_ui_opens_and_stops(home: Path, trained: str) -> None:
    [line] = [line for line in LINES if line.endswith(" ui")]
    port = free_port()  # that of the README may be taken on this machine
    process = subprocess.Popen(
        ["bash", "-c", f"exec {line} ui.port={port}"],
        cwd=home, env=environment(home), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = next(line for line in process.stdout if line.startswith("MLflow UI: "))
        assert b"MLflow" in answer(f"http://127.0.0.1:{port}/")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"http://127.0.0.1:{port} " in said


def test_files_are_classified(home: Path, trained: str) -> None:
    line = sentence("python -m runner predict")
    assert "run=1a2b3c4d " in line
    found = json.loads(succeeds(line.replace("1a2b3c4d", trained[:8]), home))
    assert len(found) == 60
    assert all(len(one["top"]) == 3 for one in found)


def test_python_classifies_as_well(home: Path, trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    (home / "cat.jpg").write_bytes((home / "holiday" / "0.jpg").read_bytes())
    [answer] = runner.load(trained[:8]).predict(["cat.jpg"])
    assert 0 < answer.top[0].probability <= 1


def test_mlflow_loads_the_model_at_both_addresses(home: Path, trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///outputs/mlflow.db")
    client = mlflow.MlflowClient()
    run = client.get_run(trained)
    assert run.info.run_name == "lenet5", "the README says so"
    [output] = run.outputs.model_outputs
    images = np.zeros((2, 8, 8, 1), np.uint8)
    answers = [
        mlflow.pyfunc.load_model(address).predict(images)
        for address in (f"runs:/{trained}/lenet5", f"models:/{output.model_id}")
    ]
    assert [set(answer) for answer in answers[0]] == [{"class", "probability", "top"}] * 2
    assert answers[0] == answers[1]
    (home / "images.json").write_text(json.dumps({"inputs": images.tolist()}))
    line = f"mlflow models predict -m runs:/{trained}/lenet5 -i images.json --env-manager local"
    assert len(json.loads(succeeds(line, home).splitlines()[-1])["predictions"]) == 2


def test_runs_are_listed_stopped_and_deleted(home: Path) -> None:
    succeeds("python -m runner -m seed=0,1 train.epochs=1", home)
    sweep = latest(home)
    assert len(succeeds(sentence("runs sweep").replace("ID", sweep), home).splitlines()) >= 2
    assert sweep[:8] in succeeds("python -m runner runs", home)
    assert sweep[:8] not in succeeds(sentence("runs status"), home)
    running = subprocess.Popen(
        ["bash", "-c", "exec python -m runner train.epochs=100000"], cwd=home, env=environment(home),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        run_id = begun(home, after=sweep)
        assert "is being ended" in succeeds(sentence("stop").replace("ID", run_id), home)
        assert running.wait(timeout=120) == 143
    finally:
        running.kill()
    # It asks before it deletes, and nobody can answer here.
    assert succeeds(f"{sentence('delete')} confirm=false".replace("ID", run_id), home)
    client = mlflow.MlflowClient(f"sqlite:///{home}/outputs/mlflow.db")
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"


def begun(home: Path, after: str) -> str:
    """The id of a run that has begun since another one."""
    for _ in range(100):
        if (found := latest(home)) != after:
            return found
    raise AssertionError("no run began")


def test_a_newcomer_gets_from_the_first_run_to_a_sweep(home: Path) -> None:
    """docs/getting-started.md, whose commands build on each other."""
    write_own(home, START)
    with zipfile.ZipFile(home / "photos.zip") as archive:
        archive.extractall(home / "photos")
    for shown in console(START):
        if not shown.line.endswith(" ui"):
            assert succeeds(shown.line.replace("RUN", latest(home)[:8]) if "RUN" in shown.line else shown.line, home)


def test_the_schema_is_written(home: Path) -> None:
    succeeds("python -m runner schema", home)
    assert json.loads((home / "schema" / "model.json").read_text())


def targets() -> Iterator[str]:
    """The targets of make that the README names."""
    yield from {command.split()[1] for command in commands("README.md") if command.startswith("make ")}


@pytest.mark.parametrize("target", sorted(targets()))
def test_make_has_the_target(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", LANGUAGES)
def test_every_command_in_a_sentence_is_run_somewhere(page: str) -> None:
    """A new command in a sentence needs a test, here or in the file that ELSEWHERE names."""
    here = {"python -m runner predict", "python -m runner runs", "runs status", "runs sweep", "stop", "delete", "make"}
    here |= {"python -m runner schema", "mlflow models predict"}
    trained = measured(page)  # by benchmarks/accuracy.py
    for command in commands(page):
        known = [start for start in (*here, *ELSEWHERE) if command.startswith(start)]
        assert known or command in trained, command
    for file in ELSEWHERE.values():
        assert (ROOT / "tests" / file).is_file()
