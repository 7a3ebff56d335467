"""`runner reproduce`: what differs here, a second training, and every metric bit by bit."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from commands import Runner
from configurations import TINY
from golden import recorded

from runner import repeating

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # of MLflow's SQLAlchemy
]
SAME = "nothing differs here: versions, processor, device, threads, flags, lowerings, code and data are the same"


def rows(out: str) -> dict[str, str]:
    """The verdict of each metric."""
    lines = (line.split() for line in out.splitlines() if "equal" in line and ":" not in line)
    return {words[0]: " ".join(words[2:] if words[1].isdigit() else words[1:]) for words in lines}


def changed(folder: Path, **changes: Any) -> None:
    """Changes the record of a run, as if other numbers had been measured there."""
    record = json.loads((folder / repeating.RECORD).read_text())
    (folder / repeating.RECORD).write_text(json.dumps({**record, **changes}))


def test_a_run_is_equal_to_the_bit_rounded_or_not(runner: Runner) -> None:
    assert runner(*TINY, "hydra.run.dir=first").status == 0
    first = Path("first")
    done = runner("reproduce", "run=first", "tracking=off")
    assert (done.status, done.err) == (0, "")
    assert SAME in " ".join(done.out.split())
    found = rows(done.out)
    assert set(found) >= {
        "train/loss",
        "val/accuracy",
        "learning_rate",
        "best/epoch",
        "test/loss",
        "test/ece",
        "weights",
    }
    assert set(found.values()) == {"equal to the bit"}
    assert not [name for name in found if "second" in name]
    assert done.out.splitlines()[-1] == "reproduced: equal to the bit"

    record = json.loads((first / repeating.RECORD).read_text())
    circumstances = record["circumstances"] | {"threads": 99, "data": "of other images"}
    record["history"][1]["val/loss"] *= 1 + 1e-6
    changed(first, circumstances=circumstances, history=record["history"])
    done = runner("reproduce", "run=first", "tracking=off")
    assert done.status == 3
    assert done.out.splitlines()[-1] == "reproduced: equal within rounding"
    assert [line.split()[:2] for line in done.out.splitlines() if line.startswith(("threads", "data"))] == [
        ["threads", "99"],
        ["data", "of"],
    ]
    changed(first, once=record["once"] | {"test/accuracy": 0.125})
    done = runner("reproduce", "run=first", "tracking=off")
    assert done.status == 4
    [line] = [line for line in done.out.splitlines() if line.startswith("test/accuracy ")]
    assert "0.125 there" in line


@pytest.mark.slow
def test_a_member_of_a_sweep_is_repeated_alone_from_a_downloaded_folder(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = [line for line in TINY if not line.startswith("tracking")]
    Path("conf/block").mkdir(parents=True)
    Path("conf/block/own.yaml").write_text("params: {}\nlayers: [relu]\n")
    layers = "model.layers=[{conv: {filters: 4, kernel_size: 3}}, own, flatten, classifier]"
    more = ("sweep.strategy=loop", "optimizer.learning_rate=0.003,0.01", "hydra.sweep.dir=mine")
    swept = runner("-m", *tracked, "figures=off", layers, *more)
    assert swept.status == 0
    assert "was not written" not in swept.out + swept.err
    store = recorded.store(Path("outputs/mlflow.db"))
    [parent] = [run for run in store if "sweep.member" not in run["tags"]]
    assert "reproduce/own_configurations.yaml" in parent["artifacts"]
    for run in store:
        assert ("reproduce.json" in run["artifacts"]) == ("sweep.member" in run["tags"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree("mine/1", elsewhere / "downloaded")
    monkeypatch.chdir(elsewhere)
    done = runner("reproduce", "run=downloaded")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "reproduced: equal to the bit"
    [again] = recorded.store(Path("outputs/mlflow.db"))
    assert again["tags"]["reproduces"] == "downloaded"
    assert again["name"] == "reproduction of downloaded"
    # By its id, in the store that the command names.
    assert runner("reproduce", "run=0000", f"tracking.uri=sqlite:///{tmp_path}/outputs/mlflow.db").status == 2


def test_what_is_no_run_is_refused(runner: Runner) -> None:
    Path("empty").mkdir()
    done = runner("reproduce", "run=empty")
    assert done.status == 2
    assert done.err.startswith("run: must be a single run or a member of a sweep")


@pytest.mark.slow
def test_the_diff_of_the_code_is_recorded(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_circumstances import checkout

    checkout()
    Path("code.py").write_text("second, http://me:secret@host\n")
    tracked = [line for line in TINY if not line.startswith("tracking")]
    assert runner(*tracked, "figures=off", "train.epochs=1").status == 0
    [run] = recorded.store(Path("outputs/mlflow.db"))
    assert {"reproduce.json", "reproduce/changes.diff"} <= set(run["artifacts"])
    [diff] = Path("outputs/artifacts").rglob("changes.diff")
    assert "+second, http://***@host\n" in diff.read_text()
    assert os.environ.get("XLA_FLAGS", "") == run["tags"].get("XLA_FLAGS", "")
