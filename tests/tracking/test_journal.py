"""The file of what a store has not accepted: written as it happens, read back, and of one process at a time."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracked import FACTS, kept

from runner.errors import ConfigError
from runner.processes import Process
from runner.tracking import messages
from runner.tracking.untracked import UNTRACKED, BusyError, Journal


def test_without_locks_a_run_is_known_by_its_process(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError("Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with subprocess.Popen(["sleep", "60"]) as sleeping:
        alive = Process(**{**json.loads(Process.here().text), "pid": sleeping.pid, "started": started(sleeping.pid)})
        path = tmp_path / UNTRACKED
        path.write_text(messages.to_line(messages.Opening(uri, "digits", "a", {}, 0, process=alive.text)) + "\n")
        with pytest.raises(BusyError):
            Journal.take(path)
        sleeping.kill()
    assert Journal.take(path)[1].left == {}


def started(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_a_line_that_was_cut_short_is_left_out(uri: str, tmp_path: Path) -> None:
    path = kept(uri, tmp_path, "a")
    path.write_bytes(path.read_bytes()[:-3])
    journal, content = Journal.take(path)
    journal.close(keep=True)
    assert (len(content.left), content.ended) == (3, False)
    assert len(Journal(path).begin(content.opening)) == 3


def test_a_full_disk_is_written_to_when_it_has_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, opening = Journal(tmp_path / UNTRACKED), messages.Opening("http://host", "digits", "a", {}, 0)
    journal.begin(opening)
    write, full = os.write, True

    def writing(descriptor: int, content: bytes) -> int:
        if full:
            write(descriptor, content[:10])
            raise OSError(28, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", writing)
    assert [journal.add(messages.Text(name, "")) for name in "abc"] == [0, 1, 2]
    journal.sent([1])
    assert journal.fault == "No space left on device"
    full = False
    assert journal.close(keep=True)
    again, content = Journal.take(tmp_path / UNTRACKED)
    again.close(keep=True)
    assert content.left == {0: messages.Text("a", ""), 2: messages.Text("c", "")}


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^must be a file of undelivered messages \(No such file or directory\)"):
        Journal.take(tmp_path / UNTRACKED)


names = st.text(min_size=1, max_size=8)


opening = (names, names, names, st.dictionaries(names, names), st.integers(), names)


@given(
    st.one_of(
        st.builds(
            messages.Batch,
            st.lists(st.tuples(names, st.floats(allow_nan=False), st.integers(), st.integers())).map(tuple),
            st.lists(st.tuples(names, names)).map(tuple),
        ),
        st.builds(messages.Text, names, st.text()),
        st.builds(messages.File, names, names),
        st.builds(messages.Model, names),
        st.builds(messages.End, st.sampled_from(["FINISHED", "FAILED", "KILLED"]), st.integers()),
        st.builds(messages.Opening, *opening),
        st.builds(messages.Opening, *opening, names, st.builds(messages.Opening, *opening), names),
        st.builds(messages.RunTag, names, st.builds(messages.Opening, *opening)),
        st.builds(messages.Created, names),
        st.builds(messages.Sent, st.lists(st.integers()).map(tuple)),
        st.just(messages.Input(FACTS)),
    )
)
def test_every_message_can_be_read_back_from_its_line(message: Any) -> None:
    line = messages.to_line(message)
    assert "\n" not in line
    assert messages.from_line(line) == message
