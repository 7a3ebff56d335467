"""Joules from the kernel's counters, which a folder of files stands for here."""

from pathlib import Path

import pytest

from runner.energy import Meter


def counter(root: Path, folder: str, name: str, microjoules: int) -> Path:
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text("10000000\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    return path / "energy_uj"


def test_the_packages_add_up_and_a_counter_that_starts_again_is_understood(tmp_path: Path) -> None:
    first = counter(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    second = counter(tmp_path, "intel-rapl:1", "package-1", 9_000_000)
    part = counter(tmp_path, "intel-rapl:0:0", "core", 0)  # of the first package
    meter = Meter(tmp_path)
    assert meter.joules() == 0.0
    first.write_text("3500000\n")
    part.write_text("2000000\n")
    second.write_text("500000\n")  # 1 J up to the end of the range, and 0.5 J since
    assert meter.joules() == pytest.approx(2.5 + 1.5)
    assert meter.joules() == pytest.approx(4.0)


def test_no_counters_and_unreadable_ones_give_nothing(tmp_path: Path) -> None:
    assert Meter(tmp_path).joules() is None
    assert Meter(tmp_path / "missing").joules() is None
    energy = counter(tmp_path, "intel-rapl:0", "package-0", 5)
    meter = Meter(tmp_path)
    energy.write_text("broken\n")
    assert meter.joules() is None
