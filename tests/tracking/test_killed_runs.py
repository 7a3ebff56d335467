"""A run whose process was killed: nothing of it is lost, and it goes on without a point twice."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tracked import Away, begin, points

from runner.processes import Process
from runner.tracking import Tracking, start
from runner.tracking.sending import send
from runner.tracking.store import PROCESS

ROOT = Path(__file__).resolve().parent.parent.parent


# A run of one process, which is killed after its third epoch; `uri` and `folder` are arguments.
KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from tracked import begin
run = begin(sys.argv[1], Path(sys.argv[2]), params={{"seed": 7}})
if sys.argv[3] == "known":
    run.check()
for step in (1, 2, 3):
    run.log_metrics({{"loss": 1 / step}}, step=step)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(uri: str, folder: Path, known: str = "known") -> None:
    program = KILLED.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", program, uri, str(folder), known], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("known", ["known", "before MLflow is imported"])
def test_a_killed_process_loses_nothing(uri: str, client: Any, tmp_path: Path, known: str) -> None:
    killed(uri, tmp_path / "run", known)
    [sent] = send(tmp_path)
    assert (sent.points, sent.fault) == (3, "")
    found = client.get_run(sent.run_id)
    assert points(client, sent.run_id) == [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]
    assert (found.info.status, found.data.tags["end_reason"]) == ("KILLED", "its process is gone")
    assert found.info.end_time == max(point.timestamp for point in client.get_metric_history(sent.run_id, "loss"))
    assert found.data.params == {"seed": "7"}
    assert Process.from_text(found.data.tags[PROCESS]).has_ended()
    assert list(send(tmp_path)) == []


def test_a_run_goes_on_after_its_process_was_killed(uri: str, client: Any, tmp_path: Path) -> None:
    killed(uri, tmp_path / "run", "before MLflow is imported")
    tracking = Tracking(uri=uri, experiment="digits")
    run = start(tracking, run_name="again", tags={}, params={}, folder=tmp_path / "run", continues=True)
    run.log_metrics({"loss": 1 / 4}, step=4)
    run.finish("FINISHED")
    found = client.get_run(run.run_id)
    assert points(client, run.run_id) == [(1, 1.0), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4)]
    assert (found.info.status, found.info.run_name) == ("FINISHED", "again")
    assert list((tmp_path / "run").glob("*.jsonl")) == []


@pytest.mark.slow
def test_points_that_a_store_has_of_a_run_are_not_sent_again(
    uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run was killed, and went on while its store was away: it recorded some epochs again, at other times."""
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "tracking")]
    script = f"""
import os, sys, time
sys.path[:0] = {paths!r}
from pathlib import Path
from tracked import begin
from runner.tracking.store import Store
run = begin({uri!r}, Path({str(tmp_path)!r}), identity="went on")
for step in (1, 2, 3):
    run.log_metrics({{"loss": 1 / step}}, step=step)
client = Store({uri!r}).client
while len(client.get_metric_history(run.run_id, "loss")) < 3:
    time.sleep(0.1)
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    store = Away(monkeypatch)
    store.away = True
    run = begin(uri, tmp_path, identity="went on", repeats=True)
    for step in (2, 3, 4):
        run.log_metrics({"loss": 1 / step}, step=step)
    run.finish("FINISHED")
    store.away = False
    [sent] = send(tmp_path)
    assert sent.fault == ""
    assert points(client, sent.run_id) == [(1, 1.0), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4)]
    assert client.get_run(sent.run_id).info.status == "FINISHED"
