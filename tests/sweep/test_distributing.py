"""Work in other processes, for which an engine of this test stands in: outcomes are files, and processes may die."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
import pytest
from configurations import here, tiny

from runner.errors import ConfigError, Fault
from runner.experiment import Experiment
from runner.sweep.engines import distributing
from runner.sweep.engines.distributing import MOST_RETRIES, DiedError, Task, distribute, parts
from runner.sweep.engines.groups import Group
from runner.sweep.engines.handover import Handover, read
from runner.sweep.engines.work import Work, train_work
from runner.sweep.settings import Sweep
from runner.tracking.messages import Opening
from runner.tracking.settings import Tracking
from runner.training.member import Context, Member
from runner.training.outcome import Outcome, outcome_of

SWEEP = "the identity of a sweep"
SETTINGS = Sweep(engine="ray")
Process = Callable[[Work], Iterator[None]]  # a look at a time; raises what the process dies of


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributing.time, "sleep", lambda seconds: None)


@pytest.fixture(scope="module")
def made() -> Experiment:
    return tiny("train.epochs=1")


def work_of(folder: Path, made: Experiment, count: int) -> Work:
    members = tuple(
        Member(number, str(number), made, Context(folder=folder / str(number), tracking=Tracking(enabled=False)))
        for number in range(count)
    )
    return Work(members, SETTINGS, (("val/loss", "minimize"),), SWEEP, Opening("", "", "", {}, 0), folder, folder)


def hand_over(member: Member, status: str = "FINISHED") -> None:
    Handover(SWEEP, ()).tell(outcome_of(member, None, status))  # type: ignore[arg-type]


class Stand:
    """A task and an engine in one: its processes do a step at each look."""

    workers = 2

    def __init__(self, process: Process) -> None:
        self.process, self.started, self.cancelled = process, 0, 0

    def start(self, works: Sequence[Work]) -> list[Task]:
        self.started += len(works)
        return [self.Running(self, self.process(work)) for work in works]

    def close(self) -> None:
        pass

    class Running:
        def __init__(self, engine: "Stand", steps: Iterator[None]) -> None:
            self.engine, self.steps, self.error = engine, steps, None

        def has_ended(self) -> bool:
            try:
                next(self.steps)
            except StopIteration:
                return True
            except Exception as error:  # noqa: BLE001 - whatever the process raises
                self.error = error
                return True
            return False

        def check(self) -> None:
            if self.error is not None:
                raise self.error

        def cancel(self) -> None:
            self.engine.cancelled += 1


def told(works: Sequence[Work], engine: Stand) -> list[Outcome]:
    found: list[Outcome] = []
    distribute(works, SETTINGS, engine, lambda member, outcome: found.append(outcome))
    return found


@pytest.mark.parametrize("count", [1, 50, 300])
def test_each_member_is_told_once_though_processes_die(tmp_path: Path, made: Experiment, count: int) -> None:
    trained = Counter[int]()

    def dies_halfway(work: Work) -> Iterator[None]:
        left = [member for member in work.members if not read(member, SWEEP)]
        for member in left[: max(len(left) // 2, 1)]:
            trained[member.number] += 1
            hand_over(member)
        yield
        if engine.started <= MOST_RETRIES:
            raise DiedError("killed")
        for member in left[max(len(left) // 2, 1) :]:
            trained[member.number] += 1
            hand_over(member)

    engine = Stand(dies_halfway)
    found = told([work_of(tmp_path, made, count)], engine)
    assert sorted(outcome.number for outcome in found) == list(range(count)) == sorted(trained)
    assert set(trained.values()) == {1}
    assert {outcome.status for outcome in found} == {"FINISHED"}


def test_members_of_processes_that_only_die_fail_with_the_reason(tmp_path: Path, made: Experiment) -> None:
    def dies(work: Work) -> Iterator[None]:
        raise DiedError("out of memory\nand more")
        yield

    engine = Stand(dies)
    found = told([work_of(tmp_path, made, 3)], engine)
    assert engine.started == 1 + MOST_RETRIES
    assert {(one.status, one.reason) for one in found} == {("FAILED", "its process has died 3 times (out of memory)")}
    assert len(found) == 3


def test_an_error_fails_the_rest_and_a_wrong_setting_ends_the_sweep(tmp_path: Path, made: Experiment) -> None:
    def fails(work: Work) -> Iterator[None]:
        hand_over(work.members[0])
        yield
        raise ValueError("no such file")

    found = told([work_of(tmp_path / "a", made, 2)], Stand(fails))
    assert [(one.status, one.reason) for one in found] == [("FINISHED", ""), ("FAILED", "ValueError: no such file")]

    def is_wrong(work: Work) -> Iterator[None]:
        yield from () if work.members[0].context.folder.parent.name == "b" else (None,) * 9
        raise ConfigError(Fault("train.device", "must be there"))

    engine = Stand(is_wrong)
    with pytest.raises(ConfigError, match="must be there"):
        told([work_of(tmp_path / name, made, 2) for name in "bcd"], engine)
    assert engine.cancelled == 2, "processes that train on are ended"


def test_only_members_that_finished_before_a_kill_are_kept(tmp_path: Path, made: Experiment) -> None:
    work = work_of(tmp_path, made, 3)
    hand_over(work.members[0])
    hand_over(work.members[1], "FAILED")
    seen: list[int] = []

    def trains(work: Work) -> Iterator[None]:
        for member in work.members:
            if not read(member, SWEEP):
                seen.append(member.number)
                hand_over(member)
        yield

    assert [one.status for one in told([work], Stand(trains))] == ["FINISHED"] * 3
    assert seen == [1, 2]


def test_a_process_trains_on_the_cpu_what_is_left_by_another_one_that_died(
    tmp_path: Path, made: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jax.config, "update", seen := Updates(jax.config.update))
    work = work_of(tmp_path, made, 2)
    hand_over(work.members[0], "FAILED")  # by this command: it failed for good
    before = (tmp_path / "0" / "outcome.json").stat().st_mtime_ns
    train_work(work)
    ended = [read(member, SWEEP) for member in work.members]
    assert [one and one.status for one in ended] == ["FAILED", "FINISHED"]
    assert (tmp_path / "0" / "outcome.json").stat().st_mtime_ns == before
    assert ("jax_platforms", "cpu") in seen.calls


class Updates:
    """Notes what JAX is configured with."""

    def __init__(self, update: Callable[[str, object], None]) -> None:
        self.update, self.calls = update, list[tuple[str, object]]()

    def __call__(self, name: str, value: object) -> None:
        self.calls.append((name, value))
        self.update(name, value)


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (50, [7] * 7 + [1]), (1000, [125] * 8)])
def test_a_group_is_divided_evenly_and_no_member_is_lost(
    tmp_path: Path, made: Experiment, count: int, sizes: list[int]
) -> None:
    members = work_of(tmp_path, made, count).members
    found = parts([Group(here(), members, (members,), 0)], 8)
    assert [len(part) for part in found] == sizes
    assert [member.number for part in found for member in part] == list(range(count))
