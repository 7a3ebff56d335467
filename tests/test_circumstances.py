"""What a result depends on besides the configuration: code, versions, processor, flags."""

import subprocess
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
import pytest

from runner import circumstances
from runner.circumstances import Circumstances, Difference

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")


def git(*arguments: str) -> None:
    subprocess.run([*GIT, *arguments], check=True, capture_output=True)


def checkout() -> None:
    git("init", "-q")
    Path("code.py").write_text("first\n")
    git("add", "code.py")
    git("commit", "-q", "-m", "first")


def test_here_is_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")  # the device tells it
    found = circumstances.here(device="cpu (2 threads)", lowerings=("native",), data="ab")
    assert (found.versions["jax"], found.versions["numpy"]) == (jax.__version__, np.__version__)
    assert found.flags == {"XLA_FLAGS": "--xla_cpu_enable_fast_math=false"}
    assert (found.device, found.lowerings, found.data, found.commit) == ("cpu (2 threads)", ("native",), "ab", "")
    assert found.threads >= 1
    assert Circumstances.from_fields({**asdict(found), "of": "a later version"}) == found


def test_differences_are_named_one_by_one() -> None:
    there = Circumstances({"jax": "0.10", "numpy": "2.0"}, processor="a", threads=8, flags={"XLA_FLAGS": "--a"})
    here = Circumstances({"jax": "0.11", "numpy": "2.0"}, processor="a", threads=2, commit="ab")
    assert there.differences(here) == [
        Difference("jax", "0.10", "0.11"),
        Difference("XLA_FLAGS", "--a", ""),
        Difference("threads", "8", "2"),
        Difference("commit", "", "ab"),
    ]
    assert here.differences(here) == []


def test_the_diff_is_of_tracked_files_of_the_folder() -> None:
    checkout()
    commit, diff = circumstances.changes(Path.cwd())
    assert (len(commit), diff) == (40, "")
    Path("code.py").write_text("second\n")
    Path("untracked.py").write_text("not of the checkout\n")
    again, diff = circumstances.changes(Path.cwd())
    assert again == commit
    assert "-first\n+second\n" in diff
    assert "untracked" not in diff
    Path("code.py").write_text("first\n")
    subprocess.run(["git", "apply", "-"], input=diff, text=True, check=True)
    assert Path("code.py").read_text() == "second\n"


def test_a_long_diff_is_cut() -> None:
    checkout()
    Path("code.py").write_text("line\n" * 300_000)
    _, diff = circumstances.changes(Path.cwd())
    assert diff.endswith("\n(cut after 1000000 bytes)\n")
    assert len(diff) < 1_000_100
