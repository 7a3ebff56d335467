"""Stores that fail in every way at every moment: training goes on, and after `sync` nothing is lost or doubled.

`OUTAGES=write` writes the table of docs/reliability.md anew.
"""

import os
import pwd
import re
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from faulty_proxy import Fault, Proxy
from tracked import FACTS, begin
from tracking_server import Server

from runner.errors import TrackingError
from runner.tracking import run as run_module
from runner.tracking import store as store_module
from runner.tracking.sending import send
from runner.tracking.store import Store

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "reliability.md"
POINTS = 40
_FULL_BYTES = 100_000  # no file may be longer, so that the database, which is longer, cannot be changed at its end
MOMENTS = ("from the start", "in the middle", "at the end")
# What a run asks of a server first, in its middle and last.
REQUESTS = {"from the start": "runs/create", "in the middle": "runs/log-batch", "at the end": "runs/update"}


@dataclass(frozen=True)
class Left:
    """What a store has of a run in the end, and how many files waited for `sync`."""

    points: int
    status: str
    params: int
    artifacts: int
    inputs: int
    runs: int
    sent_later: bool


WHOLE = Left(POINTS, "FINISHED", 1, 2, 3, 1, sent_later=False)


def recorded(uri: str, folder: Path, at: Callable[[str], None] = lambda moment: None) -> None:
    """A run of a few epochs; `at` is called at each moment."""
    at("from the start")
    run = begin(uri, folder, "outages", run_name=folder.name, params={"seed": 7})
    run.log_input(FACTS)
    seconds = 0.0
    for step in range(1, POINTS + 1):
        if step == POINTS // 2:
            at("in the middle")
        began = time.perf_counter()
        run.log_metrics({"loss": 1 / step}, step=step)
        seconds += time.perf_counter() - began
        time.sleep(0.05)
    assert seconds < 10, "training does not wait for the store"
    (folder / "note.txt").write_text("a note")
    run.log_artifact(folder / "note.txt")
    run.log_text("layers", "describe.txt")
    at("at the end")
    run.finish("FINISHED")


def left(uri: str, folder: Path, address: str | None = None) -> Left:
    """What the store has after `sync`, if something waits for it."""
    waits = bool(list(folder.rglob("untracked.jsonl")))
    for sent in send(folder, address):
        assert sent.fault == "", sent
    client = Store(uri).client
    runs = client.search_runs([client.get_experiment_by_name("outages").experiment_id], f"run_name = '{folder.name}'")
    found = client.get_run(runs[0].info.run_id)
    history = client.get_metric_history(found.info.run_id, "loss")
    values = sorted((point.step, point.value) for point in history)
    assert values == [(step, 1 / step) for step in range(1, len(values) + 1)]
    artifacts = client.list_artifacts(found.info.run_id)
    inputs = found.inputs.dataset_inputs
    return Left(
        len(values), found.info.status, len(found.data.params), len(artifacts), len(inputs), len(runs), sent_later=waits
    )


def same(one: Left) -> Left:
    return Left(**{**vars(one), "sent_later": False})


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 3.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setitem(store_module.ENVIRONMENT, "MLFLOW_HTTP_REQUEST_TIMEOUT", "2")


HEAD = ["| store | fault | moment | training | sent | lost |", "|---|---|---|---|---|---|"]


def hold(store: str, fault: str, moment: str, found: Left) -> None:
    """Nothing is lost or doubled; writes the row of the table, if it is asked for."""
    assert same(found) == WHOLE
    if os.environ.get("OUTAGES") == "write":
        sent = "by `sync`" if found.sent_later else "by the run"
        write_row(f"| {store} | {fault} | {moment} |", f" goes on | {sent} | nothing |")


def write_row(key: str, rest: str) -> None:
    """Puts a row into the table in place of the one with the same beginning."""
    text = PAGE.read_text(encoding="utf-8")
    before, table, after = re.split(r"(?<=<!-- outages -->\n)|(?=<!-- end of outages -->)", text)
    rows = [row for row in table.splitlines()[2:] if not row.startswith(key)]
    lines = [*HEAD, *sorted([*rows, key + rest], key=_order)]
    PAGE.write_text(before + "\n".join(lines) + "\n" + after, encoding="utf-8")


def _order(row: str) -> tuple[str, str, int]:
    store, fault, moment = (part.strip() for part in row.split("|")[1:4])
    return store, fault, MOMENTS.index(moment)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("slow", "each answer takes 1.5 s"),
        ("500", "answers 500"),
        ("hang", "never answers"),
        ("gone", "closes connections"),
        ("answer lost", "its answers are lost"),
    ],
)
def test_a_faulty_server(server: Server, tmp_path: Path, fault: Fault, words: str, moment: str) -> None:
    proxy = Proxy(server.port)
    try:

        def watch(path: str) -> None:
            if path == REQUESTS[moment]:
                proxy.fault = fault

        proxy.watch = watch
        recorded(proxy.uri, tmp_path / f"{fault} {moment}")
        proxy.watch = lambda path: None
        proxy.mend()
        found = left(server.uri, tmp_path / f"{fault} {moment}")
    finally:
        proxy.close()
    hold("`mlflow server`", words, moment, found)


# SQLite


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with an experiment and a run."""
    path = tmp_path / "outputs" / "mlflow.db"
    begin(f"sqlite:///{path}", tmp_path / "first", "outages").finish("FINISHED")
    return path


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_locked_database(database: Path, tmp_path: Path, moment: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None, check_same_thread=False)) as other:

        def lock(now: str) -> None:
            if now == moment:
                other.execute("BEGIN EXCLUSIVE")

        recorded(f"sqlite:///{database}", tmp_path / "run", lock)
        other.rollback()
    hold("SQLite", "locked by another program", moment, left(f"sqlite:///{database}", tmp_path / "run"))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_corrupt_database(database: Path, tmp_path: Path, moment: str) -> None:
    kept: list[bytes] = []

    def corrupt(now: str) -> None:
        if now == moment:
            time.sleep(1.5)
            kept.append(database.read_bytes())
            database.write_bytes(b"no database" * 1000)

    if moment == "from the start":  # it ends the command at once, in one line
        corrupt(moment)
        with pytest.raises(TrackingError, match=r"must be a store that MLflow can open \(.*file is not a database"):
            begin(f"sqlite:///{database}", tmp_path / "other", "outages").check()
        return
    recorded(f"sqlite:///{database}", tmp_path / "run", corrupt)
    database.write_bytes(kept[0])
    hold("SQLite", "corrupt, and mended later", moment, left(f"sqlite:///{database}", tmp_path / "run"))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_full_disk(database: Path, tmp_path: Path, moment: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(now: str) -> None:
        if now == moment:
            resource.setrlimit(resource.RLIMIT_FSIZE, (_FULL_BYTES, before[1]))

    try:
        recorded(f"sqlite:///{database}", tmp_path / "run", fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    hold("SQLite", "its disk is full", moment, left(f"sqlite:///{database}", tmp_path / "run"))


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a user without rights: root may write to files that are read-only."""
    import mlflow  # noqa: F401 - that user may not be allowed to read it

    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
        is_root = os.geteuid() == 0
        if is_root:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            os.setegid(nobody.pw_gid)
            os.seteuid(nobody.pw_uid)
        try:
            yield Path(folder)
        finally:
            if is_root:
                os.seteuid(0)
                os.setegid(0)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_read_only_folder(shared: Path, moment: str) -> None:
    database = shared / "outputs" / "mlflow.db"
    begin(f"sqlite:///{database}", shared / "first", "outages").finish("FINISHED")

    def protect(now: str) -> None:
        if now == moment:
            time.sleep(1.5)
            database.chmod(0o444)
            database.parent.chmod(0o555)

    try:
        recorded(f"sqlite:///{database}", shared / "run", protect)
    finally:
        database.parent.chmod(0o755)
        database.chmod(0o644)
    hold("SQLite", "its folder is read-only", moment, left(f"sqlite:///{database}", shared / "run"))
