"""The report of a sweep is there from its first member on, while others train."""

import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.slow  # a process that trains four members one after the other
def test_the_report_grows_while_members_train(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner", "-m", "seed=range(0,4)", "train.epochs=30", "sweep.strategy=loop"]
    reports: list[str] = []
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as sweep:
        while sweep.poll() is None:
            for path in tmp_path.glob("outputs/sweeps/*/*/report.html"):
                text = path.read_text(encoding="utf-8")
                if not reports or text != reports[-1]:
                    reports.append(text)
            time.sleep(0.1)
    assert sweep.returncode == 0
    assert len(reports) >= 2, "written before the end, and again at the end"
    seen = [sum(f"seed={seed}" in text for seed in range(4)) for text in reports]
    assert seen[0] < seen[-1] == 4
    assert seen == sorted(seen)
    assert all(text.rstrip().endswith("</html>") for text in reports), "each is whole"
