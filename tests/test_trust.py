"""YAML and overrides call no Python: each way to have Hydra or logging do it is refused before anything of it runs."""

import pickle
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from commands import Runner
from configurations import TINY, composed, experiment
from promises import check_held

from runner import data, serving, weights
from runner.composition import trust
from runner.errors import ConfigError, DataError
from runner.launchable import launchable
from runner.serving.model import ServedModel, example

ANYTHING = """class Anything:
    on_run_start = on_job_start = on_job_end = on_run_end = lambda self, **known: None
"""


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a file when it is imported, and the file."""
    left = tmp_path / "ran"
    for name in ("evil.py", "evilpackage/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(left)!r}, 'w').close()\n{ANYTHING}")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("evil", "evilpackage"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return left


GLOBAL = "# @package _global_\n"


FILES = {
    "callback": ("experiment/x", GLOBAL + "hydra: {callbacks: {x: {_target_: evil.Anything}}}", "experiment=x"),
    "launcher": ("hydra/launcher/x", "_target_: evil.Anything", "hydra/launcher=x"),
    "sweeper": ("hydra/sweeper/x", "_target_: evil.Anything", "hydra/sweeper=x"),
    "override of a launcher": ("experiment/x", GLOBAL + "hydra: {launcher: {_target_: evil.Anything}}", "experiment=x"),
    "dotted key": ("experiment/x", GLOBAL + "hydra: {callbacks: {x: {'a._target_': evil.Anything}}}", "experiment=x"),
    "in a model": ("model/x", "name: x\nlayers: [{_target_: evil.Anything}]", "model=x"),
    "decoded from a text": (
        "experiment/x",
        GLOBAL + "t: _target_\nhydra: {callbacks: \"${oc.decode:'{x: {${t}: evil.Anything}}'}\"}",
        "experiment=x",
    ),
    "decoded further down": (
        "experiment/x",
        GLOBAL + "t: _target_\nhydra: {callbacks: {x: \"${oc.decode:'{${t}: evil.Anything}'}\"}}",
        "experiment=x",
    ),
    "class of a log handler": (
        "experiment/x",
        GLOBAL + "hydra: {hydra_logging: {handlers: {console: {class: evil.Anything}}}}",
        "experiment=x",
    ),
    "factory of a log handler": (
        "experiment/x",
        GLOBAL + "hydra: {job_logging: {formatters: {simple: {(): evil.Anything}}}}",
        "experiment=x",
    ),
    "import by a log handler": (
        "experiment/x",
        GLOBAL + "hydra: {hydra_logging: {handlers: {console: {stream: 'ext://evil.Anything'}}}}",
        "experiment=x",
    ),
    "log file elsewhere": (
        "experiment/x",
        GLOBAL + "hydra: {job_logging: {handlers: {file: {filename: ran}}}}",
        "experiment=x",
    ),
    "log format by interpolation": (
        "experiment/x",
        GLOBAL + "t: ext\nhydra: {job_logging: {formatters: {simple: {format: '${t}://evil.Anything'}}}}",
        "experiment=x",
    ),
    "variables": ("experiment/x", GLOBAL + "hydra: {job: {env_set: {LD_PRELOAD: ./evil.so}}}", "experiment=x"),
}


@pytest.mark.parametrize("way", FILES)
@pytest.mark.parametrize("mode", [(), ("-m",)])
def test_no_file_runs_python(runner: Runner, evil: Path, way: str, mode: tuple[str, ...]) -> None:
    path, text, argument = FILES[way]
    file = Path("conf", f"{path}.yaml")
    file.parent.mkdir(parents=True)
    file.write_text(text + "\n")
    done = runner("train", argument, *mode)
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert ": must be " in done.err
    assert not evil.exists()
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "override",
    [
        "+hydra.callbacks.x={_target_:evil.Anything}",
        "+hydra.callbacks.x._target_=evil.Anything",
        "hydra.launcher._target_=evil.Anything",
        "hydra.searchpath=[pkg://evilpackage]",
        "+hydra.job.env_set.A=b",
        "+hydra.job_logging.handlers.x={class:evil.Anything}",
        "--experimental-rerun=evil.pickle",
        "--exp=evil.pickle",
        "--config-path=pkg://evilpackage",
    ],
)
def test_no_override_runs_python(runner: Runner, evil: Path, override: str) -> None:
    done = runner("train", override)
    assert done.status == 2
    assert len(done.err.splitlines()) == 1
    assert not evil.exists()


def test_plugins_stay_selectable_and_log_levels_settable(runner: Runner) -> None:
    for arguments in (
        ("hydra/launcher=basic", "hydra/sweeper=basic"),
        ("hydra/job_logging=stdout",),
        ("hydra/hydra_logging=default", "hydra.job_logging.root.level=DEBUG"),
        ("hydra.verbose=true",),
    ):
        assert runner("describe", *arguments).status == 0, arguments


def test_the_environment_allows_a_target(runner: Runner, evil: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(trust.ALLOW, "evil.Anything")
    assert runner("describe", "+hydra.callbacks.x={_target_:evil.Anything}").status == 0
    assert evil.exists()


def test_a_configuration_writes_where_it_says_and_sends_its_tags(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "very-secret-value")
    Path("conf/experiment").mkdir(parents=True)
    uri = f"sqlite:///{tmp_path}/far/store.db"
    tracking = f"uri: '{uri}', run_name: '${{oc.env:TOKEN}}', tags: {{token: '${{oc.env:TOKEN}}'}}"
    text = (
        f"hydra: {{run: {{dir: {tmp_path}/away}}}}\ntracking: {{{tracking}, log_model: false}}\nfigures: {{draw: []}}\n"
    )
    Path("conf/experiment/x.yaml").write_text(GLOBAL + text)
    tiny = [line for line in TINY if not line.startswith("tracking")]
    done = runner("train", "experiment=x", *tiny, "train.epochs=1")
    assert done.status == 0, done.err
    assert list((tmp_path / "away").glob("*.log"))
    client = mlflow.MlflowClient(tracking_uri=uri)
    [run] = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert run.data.tags["token"] == run.info.run_name == "very-secret-value"


class Ran:
    """A value whose pickle leaves a file when it is read."""

    def __init__(self, left: Path) -> None:
        self.left = left

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.left,)


def test_a_foreign_run_folder_runs_no_python(runner: Runner, evil: Path) -> None:
    folder = Path("foreign")
    (folder / ".hydra").mkdir(parents=True)
    for name in ("config.pickle", "job_return.pickle"):
        (folder / ".hydra" / name).write_bytes(pickle.dumps(Ran(evil)))
    calling = "hydra: {callbacks: {x: {_target_: evil.Anything}}}\n"
    for stem, text, status in (("config", "", 0), ("best", calling, 2)):
        (folder / f"{stem}.yaml").write_text(launchable(composed(), stem, "trains this again") + text)
        assert runner("describe", f"--config-dir={folder}", f"--config-name={stem}").status == status
    assert not evil.exists()


def test_no_pickle_runs(tmp_path: Path, evil: Path) -> None:
    value = Ran(evil)
    pickle.loads(pickle.dumps(value))  # leaves the file where it is read
    assert evil.exists()
    evil.unlink()

    held = np.array([value] * 60)
    labels = np.arange(60) % 3
    np.savez(tmp_path / "objects.npz", x_train=held, y_train=labels)
    with zipfile.ZipFile(tmp_path / "renamed.npz", "w") as archive:  # as torch.save writes it
        archive.writestr("archive/data.pkl", pickle.dumps(value))
    for suffix in (".npz", ".safetensors"):
        (tmp_path / f"raw{suffix}").write_bytes(pickle.dumps(value))
    (tmp_path / "renamed.safetensors").write_bytes((tmp_path / "renamed.npz").read_bytes())
    for name in ("objects.npz", "renamed.npz", "raw.npz", "raw.safetensors", "renamed.safetensors"):
        with pytest.raises(ConfigError, match="must be a whole"):
            weights.read(tmp_path / name)

    for name in ("objects.npz", "renamed.npz", "raw.npz"):
        with pytest.raises(DataError):
            data.load(experiment("data=arrays", f"data.root={tmp_path / name}").data)

    folder = tmp_path / "model"
    images = np.zeros((4, 2, 2, 1), np.uint8)

    def answer(variables: Any, images: Any) -> Any:
        return images.reshape(-1, 4).astype("float32") @ variables

    serving.save_model(
        folder, function=answer, variables=np.zeros((4, 2), np.float32), images=images, classes=("a", "b")
    )
    assert len(ServedModel(folder).predict(images)) == 4
    np.savez(folder / "variables.npz", leaf_0=held)
    np.save(folder / "example.npy", held, allow_pickle=True)
    for read in (ServedModel, example):
        with pytest.raises(ValueError, match="allow_pickle=False"):
            read(folder)
    assert not evil.exists()


def test_python_of_the_current_folder(tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "hydra_plugins").mkdir(parents=True)
    (here / "jax.py").write_text("open('module', 'w').close()\nraise ImportError('no jax')\n")
    [entry] = metadata.entry_points(group="console_scripts", name="runner")
    script = tmp_path / "bin" / "runner"  # as an installer writes it
    script.parent.mkdir()
    script.write_text(f"import sys\nfrom {entry.module} import {entry.attr}\nsys.exit({entry.attr}())\n")
    arguments = ("describe", "model=lenet5")
    by_command = [sys.executable, str(script), *arguments]
    by_module = [sys.executable, "-m", "runner", *arguments]

    def run(command: list[str]) -> int:
        return subprocess.run(command, cwd=here, capture_output=True, check=False, timeout=120).returncode

    assert run(by_module) != 0
    assert (here / "module").exists()
    (here / "module").unlink()
    (here / "hydra_plugins" / "evil.py").write_text("open('plugin', 'w').close()\n")
    assert run(by_command) == 0
    assert not (here / "module").exists()
    assert not (here / "plugin").exists()
    (here / "jax.py").unlink()
    assert run(by_module) == 0
    assert (here / "plugin").exists()


def test_a_dotenv_is_not_read(runner: Runner, evil: Path) -> None:
    Path(".env").write_text(f"{trust.ALLOW}=evil.Anything\nFROM_DOTENV=x\n")
    assert runner("describe", "+hydra.callbacks.x={_target_:evil.Anything}").status == 2
    assert runner("describe", "model.name=${oc.env:FROM_DOTENV}").status == 2
    assert not evil.exists()


def test_every_sentence_of_the_page_is_held_by_a_test(repository: Path) -> None:
    page = (repository / "docs" / "security.md").read_text(encoding="utf-8")
    paragraphs = [text for text in page.split("\n\n")[2:] if not text.startswith("#")]
    sentences = [line for text in paragraphs if not text.startswith("*Advice:*") for line in text.strip().split("\n")]
    assert len(sentences) > 30
    check_held(sentences)
