"""What docs/getting-started.md says of the wheel alone: its commands, in a real environment with nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from readme_pages import START, blocks
from tracking_server import free_port

pytestmark = pytest.mark.slow

WHEEL = "convrunner-0.1.0-py3-none-any.whl"


def shown(language: str, start: str) -> str:
    [text] = [text for own, text in blocks(START) if own == language and text.startswith(start)]
    return text


def photographs(folder: Path, counts: dict[str, int]) -> None:
    """Bright images of days and dark ones of nights, of several sizes."""
    draw = np.random.default_rng(0)
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            low, high = (150, 255) if "day" in name else (0, 90)
            pixels = draw.integers(low, high, (40 + index, 48, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}_{index}.jpg")


def test_the_way_from_an_empty_folder_with_the_wheel_alone(tmp_path: Path, repository: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(repository)]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / WHEEL).is_file()
    photographs(tmp_path / "photos", {"day": 20, "night": 20})
    photographs(tmp_path / "made", {"day": 2, "night": 2})
    (tmp_path / "holiday").mkdir()
    for image in sorted((tmp_path / "made").rglob("*.jpg")):
        shutil.copy(image, tmp_path / "holiday")
    (tmp_path / "classes.py").write_text(shown("python", "# classes.py"))
    shutil.copy(tmp_path / "holiday" / "day_0.jpg", tmp_path / "holiday" / "noon.jpg")
    served = shown("sh", "export MLFLOW_TRACKING_URI").replace("5001", str(free_port()))
    way = [
        "set -euo pipefail",
        "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT",
        shown("sh", "python3 -m venv"),
        served,
    ]
    (tmp_path / "way.sh").write_text("\n".join(way))
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    path = f"{Path(sys.executable).resolve().parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "way.sh"], cwd=tmp_path, env=environment | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("../holiday/")]
    assert answers == [["day", "day"], ["day", "day"], ["night", "night"], ["night", "night"], ["day", "day"]]
    [reply] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"predictions"')]
    assert [prediction["class"] for prediction in reply["predictions"]] == ["day"]
