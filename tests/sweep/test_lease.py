"""The lease of a sweep against real processes: one holds it, and it is taken over from processes that were killed."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from commands import Runner
from configurations import TINY

from runner.composition.reading import read
from runner.errors import ConfigError
from runner.sweep.search import open_study
from runner.sweep.search.attributes import Attributes, Change
from runner.sweep.search.lease import RENEWAL_SECONDS, STALE_SECONDS, WATCH_SECONDS, Lease, Owner
from runner.sweep.settings import Sweep

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Hydra leaves its log files open


@pytest.fixture
def other() -> Iterator["subprocess.Popen[bytes]"]:
    """Another process, which does nothing."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kills a process, and returns when it is dead and its parent has not asked for its status yet."""
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def study(path: str = "sweeps.db") -> Attributes:
    """The attributes of the sweep `a` in a storage."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{Path(path).absolute()}")
    optuna.create_study(study_name="a", storage=storage, load_if_exists=True)
    return Attributes(storage, storage.get_study_id_from_name("a"))


def owned(process: "subprocess.Popen[bytes]") -> Owner:
    try:
        # When the process started: field 22 of https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html.
        started = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:  # a system without /proc
        started = ""
    return replace(Owner.here(), pid=process.pid, started=started, token="other")


def test_only_one_of_many_gets_the_lease() -> None:
    attributes = study()

    def taken(_: int) -> bool:
        try:
            Lease(attributes).take("a")
        except ConfigError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(taken, range(32))) == 1


def test_a_lease_is_refused_while_its_process_lives_and_taken_over_from_a_killed_one(
    other: "subprocess.Popen[bytes]",
) -> None:
    attributes = study()
    owner = owned(other)
    first = Lease(attributes, owner)
    first.take("a")
    with pytest.raises(ConfigError) as refused:
        Lease(attributes).take("a")
    assert str(refused.value) == (
        f"sweep.name: must be a sweep that no other process is training (process {other.pid} on {owner.host} "
        f"since {owner.since}), got a"
    )
    kill(other)
    second = Lease(attributes)
    second.take("a")
    assert second.renew()
    assert not first.renew()
    first.release()  # what it no longer holds
    assert second.renew()
    second.release()
    Lease(attributes).take("a")


def test_a_lease_survives_renewals_of_which_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = study()
    lease = Lease(attributes)
    lease.take("a")
    for comes_first in (True, False):  # the answer of the database is lost, or the change never reached it
        with monkeypatch.context() as patch:
            change = attributes.change

            def fails(changes: list[Change], change: Any = change, comes_first: bool = comes_first) -> bool:
                if comes_first:
                    change(changes)
                raise OSError("connection lost")

            patch.setattr(attributes, "change", fails)
            with pytest.raises(OSError, match="connection lost"):
                lease.renew()
        assert lease.renew()


def test_a_process_with_another_start_time_is_another_process(other: "subprocess.Popen[bytes]") -> None:
    assert not owned(other).seems_dead()
    assert replace(owned(other), started="1").seems_dead()


def test_a_machine_that_slept_keeps_its_lease(other: "subprocess.Popen[bytes]") -> None:
    assert not replace(owned(other), renewed=time.time() - 3600).seems_dead()


@pytest.mark.parametrize("where", [{"host": "elsewhere"}, {"machine": "a container of this machine"}])
@pytest.mark.parametrize(
    ("seconds", "renews", "is_taken"),
    [
        (0, False, False),
        (-STALE_SECONDS - 1, False, True),
        (-STALE_SECONDS - 1, True, False),  # a clock that is behind
        (STALE_SECONDS + 1, True, False),  # a clock that is ahead
        (STALE_SECONDS + 1, False, True),
    ],
)
def test_an_owner_on_another_machine_is_dead_if_it_does_not_renew(
    monkeypatch: pytest.MonkeyPatch, where: dict[str, str], seconds: float, renews: bool, is_taken: bool
) -> None:
    attributes = study()
    owner = replace(Owner.here(), pid=1, renewed=time.time() + seconds, **where)
    elsewhere = Lease(attributes, owner)
    elsewhere.take("a")
    slept: list[float] = []

    def sleep(watched: float) -> None:
        slept.append(watched)
        assert len(slept) == 1, "it was watched once"
        if renews:  # by its own clock
            with monkeypatch.context() as patch:
                patch.setattr("runner.sweep.search.lease.time.time", lambda: owner.renewed + watched)
                assert elsewhere.renew()

    monkeypatch.setattr("runner.sweep.search.lease.time.sleep", sleep)
    if is_taken:
        Lease(attributes).take("a")
    else:
        with pytest.raises(ConfigError, match="must be a sweep that no other process is training"):
            Lease(attributes).take("a")
    assert slept == ([] if seconds == 0 else [WATCH_SECONDS])
    assert WATCH_SECONDS > 2 * RENEWAL_SECONDS
    assert elsewhere.renew() is not is_taken


def opened_in_a_process(path: str) -> int:
    url, settings = f"sqlite:///{path}", Sweep(name="a")
    open_study(read(["++seed=1,2"], settings), settings, base={}, storage=url, epochs=1)
    return len(optuna.get_all_study_names(url))


@pytest.mark.slow
def test_processes_can_create_one_storage_at_once() -> None:
    path = str(Path("new/sweeps.db").absolute())
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("forkserver")) as pool:
        assert list(pool.map(opened_in_a_process, [path] * 3)) == [1, 1, 1]


def test_a_sweep_that_another_process_trains_is_refused(
    runner: Runner, other: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("-m", *TINY, "train.epochs=1", "seed=1,2", "sweep.name=a")
    Path("outputs").mkdir()
    attributes = study("outputs/sweeps.db")
    owner = owned(other)
    Lease(attributes, owner).take("a")
    done = runner(*command)
    assert done.status == 2
    assert done.err == (
        f"sweep.name: must be a sweep that no other process is training (process {other.pid} on {owner.host} "
        f"since {owner.since}), got a\n"
    )
    assert not Path("outputs/sweeps").exists()
    kill(other)
    assert runner(*command).status == 0
    Lease(attributes).take("a")  # it was given back: this very process, which trained, still lives
