"""What a store did not accept is sent later: in order, and once."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Runner
from tracked import FACTS, Away, begin, kept, linear, points, weights
from tracking_server import free_port

from runner.serving import save_model
from runner.tracking import messages, sending
from runner.tracking import run as run_module
from runner.tracking.sending import send
from runner.tracking.store import Store
from runner.tracking.untracked import UNTRACKED, Journal

ROOT = Path(__file__).resolve().parent.parent.parent


def test_undelivered_messages_are_kept_and_sent_later(
    uri: str,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    runner: Runner,
) -> None:
    store = Away(monkeypatch)
    run = begin(uri, tmp_path / "mine")
    run.check()
    store.away = True
    run.log_metrics({"loss": 0.25, "diverged": float("nan")}, step=1)
    run.log_figure("figures/a.png", lambda: b"PNG")
    run.log_input(FACTS)
    began = time.monotonic()
    run.finish("FINISHED")
    assert time.monotonic() - began < 5
    assert caplog.messages[-1] == (
        f"{uri} did not accept everything; the rest is in mine. Send it with: python -m runner sync folder=mine"
    )
    assert client.get_run(run.run_id).data.metrics == {}
    store.away = False
    done = runner("sync", "folder=mine")
    assert (done.status, done.err) == (0, "")
    assert done.out == (f"{run.run_id[:8]} lenet5: 2 metric points, 1 files (mine)\n1 run, 2 metric points, 1 files\n")
    found = client.get_run(run.run_id)
    assert found.data.metrics["loss"] == 0.25
    assert np.isnan(found.data.metrics["diverged"])
    assert (found.info.status, len(found.inputs.dataset_inputs)) == ("FINISHED", 3)
    assert [entry.path for entry in client.list_artifacts(run.run_id, "figures")] == ["figures/a.png"]
    assert runner("sync", "folder=mine").out == "nothing to send in mine\n"


def test_a_second_run_in_a_folder_keeps_the_file_of_the_first(uri: str, client: Any, tmp_path: Path) -> None:
    kept(uri, tmp_path, "first")
    begin(uri, tmp_path, run_name="second").finish("FINISHED")
    [sent] = send(tmp_path)
    assert (sent.name, points(client, sent.run_id)[-1]) == ("first", (3, 1 / 3))


def test_a_run_that_was_never_created_is_sent_as_a_new_one(
    uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 0.3)
    lines = "a\u2028b\u0085c"  # what other programs may take for the end of a line
    run = begin(f"http://127.0.0.1:{free_port()}", tmp_path, params={"seed": 7, "data.name": lines})
    run.log_metrics({"loss": 0.5}, step=1)
    run.finish("FINISHED")
    [sent] = send(tmp_path, uri)
    found = client.get_run(sent.run_id)
    params = {"seed": "7", "data.name": lines}
    assert (found.data.metrics, found.data.params, found.info.run_name) == ({"loss": 0.5}, params, "lenet5")


@pytest.mark.parametrize("how", ["absolute", "relative", "link"])
def test_a_foreign_file_of_messages_sends_nothing_from_outside_its_folder(
    uri: str, client: Any, tmp_path: Path, how: str
) -> None:
    (tmp_path / "private").write_text("of the reader")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "private")
    named = {"absolute": str(tmp_path / "private"), "relative": "../private", "link": "linked"}[how]
    lines = (messages.Opening(uri, "digits", "a", {}, 0), messages.File(named, "taken"))
    (folder / UNTRACKED).write_text("".join(messages.to_line(message) + "\n" for message in lines))
    [sent] = send(tmp_path)
    assert sent.fault == f"must be a file of the run's folder, got {folder / named}"
    assert client.list_artifacts(sent.run_id) == []


def test_a_folder_may_be_moved_before_it_is_sent(uri: str, client: Any, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "note.txt").write_text("a note")
    images = np.zeros((2, 4, 4, 1), np.uint8)
    save_model(tmp_path / "run/model", function=linear, variables=weights(), images=images, classes=("a", "b", "c"))
    journal = Journal(tmp_path / "run" / UNTRACKED)
    journal.begin(messages.Opening(uri, "digits", "moved", {}, 0, identity="moved"))
    journal.add(messages.File(str(tmp_path / "run" / "note.txt"), ""))
    journal.add(messages.Model(str(tmp_path / "run" / "model")))
    journal.close(keep=True)
    moved = (tmp_path / "run").rename(tmp_path / "moved")
    content = (moved / UNTRACKED).read_bytes()
    [sent] = send(tmp_path)
    assert (sent.files, sent.fault) == (2, "")
    (moved / UNTRACKED).write_bytes(content)  # as if sync had been killed before it marked what it sent
    [again] = send(tmp_path)
    assert (again.run_id, again.files) == (sent.run_id, 2)
    run = client.get_run(sent.run_id)
    assert [entry.path for entry in client.list_artifacts(sent.run_id)] == ["note.txt"]
    assert len(run.outputs.model_outputs) == 1
    assert len(client.search_logged_models([run.info.experiment_id], f"source_run_id = '{sent.run_id}'")) == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"kind": "Nonsense"}\n', 'not a message: {"kind": "Nonsense"}'),
        (b"\xff\xfe\n", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b'{"kind": "Text", "path": "a", "text": "b"}\n', "it does not begin with a run"),
    ],
)
def test_another_kind_of_file_is_named_and_the_rest_is_sent(
    uri: str, tmp_path: Path, runner: Runner, content: bytes, why: str
) -> None:
    for place in ("outputs", "outputs/0", "outputs/2"):
        kept(uri, tmp_path / place, place)
    (tmp_path / "outputs/1").mkdir()
    (tmp_path / "outputs/1" / UNTRACKED).write_bytes(content)
    done = runner("sync")
    assert (done.status, done.err) == (1, "")
    *sent, fault, total = done.out.splitlines()
    assert [line.partition(" ")[2] for line in sent] == [
        f"{name}: 3 metric points, 0 files ({name})" for name in ("outputs", "outputs/0", "outputs/2")
    ]
    assert total == "3 runs, 9 metric points, 0 files"
    assert fault == f"1 run not sent: must be a file of undelivered messages ({why}), got outputs/1/{UNTRACKED}"


def test_there_is_nothing_to_send_from_a_missing_folder(runner: Runner) -> None:
    done = runner("sync")
    assert (done.status, done.err) == (2, "folder: must be a folder with the output of runs, got outputs\n")


def test_a_store_that_is_away_is_asked_once(tmp_path: Path, runner: Runner) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    for place in range(3):
        kept(uri, tmp_path / "outputs" / str(place), "a")
    done = runner("sync")
    rule = "must be a store that MLflow can open (Connection refused)"
    assert (done.status, done.out) == (1, f"3 runs not sent: tracking.uri: {rule}, got {uri}\n")
    assert len(list(tmp_path.rglob(UNTRACKED))) == 3


def test_a_password_is_taken_from_the_users_own_settings(
    tmp_path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept("http://***@host", tmp_path / "outputs", "a")
    done = runner("sync")
    assert done.out == (
        "1 run not sent: tracking.uri: must be given, as its password is not recorded, got http://***@host\n"
    )
    opened: list[str] = []

    def refused(uri: str) -> Store:
        opened.append(uri)
        raise ConnectionError("away")

    monkeypatch.setattr(sending, "Store", refused)
    (tmp_path / "conf/tracking").mkdir(parents=True)
    (tmp_path / "conf/tracking/local.yaml").write_text("uri: http://me:secret@host\n")
    assert "secret" not in runner("sync").out
    assert runner("sync", "tracking.uri=http://other").status == 1
    assert opened == ["http://me:secret@host", "http://other"]


def test_what_a_store_refuses_stays(uri: str, client: Any, tmp_path: Path) -> None:
    path = kept(uri, tmp_path, "a")
    with path.open("a") as file:
        file.write(messages.to_line(messages.File("nowhere.txt", "")) + "\n")
        file.write(messages.to_line(messages.Batch(metrics=(("loss", 0.5, 9, 9),))) + "\n")
    [sent] = send(tmp_path)
    assert points(client, sent.run_id) == [(1, 1.0), (2, 1 / 2), (3, 1 / 3), (9, 0.5)]
    assert sent.fault.startswith("MLflow refused a file: ")
    (tmp_path / "nowhere.txt").write_text("found again")
    [again] = send(tmp_path)
    assert (again.run_id, again.points, again.files, again.fault) == (sent.run_id, 0, 1, "")
    assert list(send(tmp_path)) == []


def test_a_deleted_run_is_not_sent(uri: str, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = begin(uri, tmp_path / "a")
    run.finish("FINISHED")
    client.delete_run(run.run_id)
    kept(uri, tmp_path, "a", run_id=run.run_id)
    [sent] = send(tmp_path)
    assert (sent.points, sent.fault, list(send(tmp_path))) == (0, "", [])
    assert caplog.messages == [f"{tmp_path}: run {run.run_id} was deleted, so nothing is sent"]


def test_a_thousand_runs_are_sent_through_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    begun: list[str] = []

    class Counted:
        def __init__(self, uri: str) -> None:
            self.uri = uri
            opened.append(uri)

        def begin(self, opening: messages.Opening, *, seek: bool = False) -> tuple[str, str]:
            begun.append(opening.run_name)
            return "1", opening.run_name

        def deliver(self, *_: Any) -> None:
            pass

    monkeypatch.setattr(sending, "Store", Counted)
    for index in range(1000):
        kept("http://host", tmp_path / str(index), str(index))
    assert sorted(sent.run_id for sent in send(tmp_path)) == sorted(map(str, range(1000)))
    assert (len(opened), len(begun)) == (1, 1000)


def synced(folder: str, begun: Any) -> None:
    begun.wait()
    os.chdir(folder)
    list(send(Path("outputs")))


@pytest.mark.slow  # three processes import MLflow
def test_syncs_at_once_send_each_run_once(uri: str, client: Any, tmp_path: Path) -> None:
    parent = messages.Opening(uri, "at once", "parent", {}, 0, identity="the sweep")
    for index in range(12):
        kept(uri, tmp_path / "outputs" / str(index), f"member {index}", parent=parent)
    context = multiprocessing.get_context("spawn")
    begun = context.Barrier(3)
    processes = [context.Process(target=synced, args=(str(tmp_path), begun)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    list(send(tmp_path))
    experiments = [client.get_experiment_by_name(name).experiment_id for name in ("digits", "at once")]
    assert len(client.search_runs(experiments, "run_name = 'parent'")) == 1
    found = client.search_runs(experiments, "run_name LIKE 'member %'")
    assert sorted(run.info.run_name for run in found) == sorted(f"member {index}" for index in range(12))
    for run in found:
        assert points(client, run.info.run_id) == [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]


def test_a_run_that_is_being_recorded_is_left_to_its_process(uri: str, tmp_path: Path, runner: Runner) -> None:
    journal = Journal(tmp_path / "outputs" / "live" / UNTRACKED)
    journal.begin(messages.Opening(uri, "digits", "live", {}, 0, identity="live"))
    member = kept(uri, tmp_path / "outputs" / "live" / "0", "member")
    other = subprocess.run(
        [sys.executable, "-m", "runner", "sync"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (other.returncode, other.stderr) == (0, "")
    assert other.stdout == (
        "outputs/live: its process records it and sends the rest\n"
        "outputs/live/0: its process records it and sends the rest\n"
    )
    assert member.is_file()
    journal.close(keep=False)
