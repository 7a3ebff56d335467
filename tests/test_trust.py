"""YAML and overrides call no Python: each way to have Hydra or logging do it is refused before anything of it runs."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import Runner
from omegaconf import Node

from runner import interpolations, limits, trust

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


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("seed=range(0,100000000)", "-m"), "seed: must list at most 100,000 values (an interval lists none), got"),
        (("seed=range(0,1,1e-300)", "-m"), "seed: must list at most 100,000 values"),
        (("sweep.space={seed: 'range(0,100000000)'}", "-m"), "sweep.space.seed: must list at most 100,000 values"),
        (("+hydra.sweeper.params.seed='range(0,100000000)'", "-m"), "hydra.sweeper.params.seed: must list at most"),
        (
            ("seed=range(0,1000)", "train.batch_size=range(1,1000)", "train.epochs=range(1,1000)", "-m"),
            "sweep.space: must have at most 100000 combinations, got 998001000",
        ),
        (
            (
                "seed=range(0,1000)",
                "train.batch_size=range(1,1000)",
                "train.epochs=range(1,1000)",
                "hydra/sweeper=basic",
                "-m",
            ),
            "command line: must have at most 100,000 combinations, got 998,001,000",
        ),
        (("model.layers=" + "[" * 3000,), "command line: must have at most 48 brackets inside one another, got more"),
        (("model.layers=" + "[" * 49 + "]" * 49,), "command line: must have at most 48 brackets inside one another"),
        (("model.name=" + "x" * 20_000,), "command line: must have overrides of at most 16,384 characters, got 20,011"),
    ],
)
def test_unbounded_overrides_are_refused(runner: Runner, arguments: tuple[str, ...], line: str) -> None:
    done = runner(*arguments)
    assert done.status == 2
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith(line)


def doubled(count: int, leaf: str) -> list[str]:
    """Overrides of which each is twice the one before."""
    return [f"+bomb.a0={leaf}", *(f"+bomb.a{i}=${{bomb.a{i - 1}}}${{bomb.a{i - 1}}}" for i in range(1, count))]


BOMBS = {
    "texts": (doubled(30, "x"), "must need at most 10,000 interpolations, got more"),
    "lists": (
        ["+bomb.a0=[x]", *(f"+bomb.a{i}=[${{bomb.a{i - 1}}},${{bomb.a{i - 1}}}]" for i in range(1, 30))],
        "must need at most 10,000 interpolations, got more",
    ),
    "long texts": (
        [f"+bomb.a0={'x' * 10_000}", "+bomb.a1=" + "${bomb.a0}" * 16, "+bomb.a2=" + "${bomb.a1}" * 16],
        "must come to at most 1,048,576 characters and values, got more",
    ),
    "a chain": (
        ["+bomb.a0=x", *(f"+bomb.a{i}=${{bomb.a{i - 1}}}" for i in range(1, 200))],
        "must need at most 24 interpolations inside one another, got more",
    ),
    "of Hydra's own": ([*doubled(20, "x"), "hydra.run.dir=${bomb.a19}"], "must need at most 10,000 interpolations"),
}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The length of every text, and 1 for all else, that OmegaConf resolves."""
    found: list[int] = []
    own = interpolations._resolve

    def noted(*arguments: Any, **named: Any) -> Any:
        value = own(*arguments, **named)
        text = value._value() if isinstance(value, Node) else value
        found.append(len(text) if isinstance(text, str) else 1)
        return value

    monkeypatch.setattr(interpolations, "_resolve", noted)
    return found


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("mode", ["overrides", "file", "sweep", "shown"])
def test_interpolations_end_after_bounded_work(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, steps: list[int], kind: str, mode: str
) -> None:
    overrides, rule = BOMBS[kind]
    if "10,000 interpolations" in rule:  # as many take seconds
        monkeypatch.setattr(limits, "INTERPOLATIONS", 400)
        rule = rule.replace("10,000", "400")
    if mode == "file":
        lines = [f"  {path.removeprefix('+bomb.')}: {value}" for path, _, value in map(partitioned, overrides)]
        Path("conf/experiment").mkdir(parents=True)
        own = [line for line in lines if "hydra" not in line]
        hydra = ["hydra: {run: {dir: '${bomb.a19}'}}"] if own != lines else []
        quoted = (re.sub(r"(?<=[\[,])(\$[^,\]]*)", r'"\1"', line) for line in own)
        text = "\n".join([GLOBAL.strip(), "bomb:", *quoted, *hydra])
        Path("conf/experiment/bomb.yaml").write_text(text + "\n")
        overrides = ["experiment=bomb"]
    more = {"sweep": ("seed=0,1", "-m"), "shown": ("--cfg=hydra", "--resolve")}.get(mode, ())
    done = runner("train", *overrides, *more)
    assert (done.status, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert rule in line
    assert len(steps) <= 3 * limits.INTERPOLATIONS
    assert sum(steps) <= 3 * limits.INTERPOLATED_SIZE


def partitioned(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def test_security_names_tests_that_exist(repository: Path) -> None:
    page = (repository / "docs" / "security.md").read_text(encoding="utf-8")
    named = re.findall(r"\[(test_\w+)\.(test_\w+)\]", page)
    assert len(named) == page.count("\n- ")
    for module, test in named:
        assert f"def {test}(" in (repository / "tests" / f"{module}.py").read_text(encoding="utf-8")
