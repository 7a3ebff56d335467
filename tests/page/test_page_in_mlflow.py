"""The page of a run inside the MLflow UI, which shows it in a frame without an address, a store or a parent to ask."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import Page
from commands import Runner
from configurations import TINY, here
from tracking_server import answer, free_port

from runner import trained

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Hydra leaves its log files open


@pytest.mark.slow
def test_the_page_answers_inside_the_mlflow_ui(browser: Page, runner: Runner, tmp_path: Path) -> None:
    done = runner(*TINY, "train.epochs=3", "figures.draw=[page]", "tracking.enabled=true", "hydra.run.dir=mine")
    found = re.search(r"MLflow run (\w+)", done.out)
    assert found, done
    run, network, port = found[1], trained.load(Path("mine")), free_port()
    command = [sys.executable, "-m", "runner", "ui", f"ui.port={port}"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    try:
        server = f"http://127.0.0.1:{port}"
        answer(server)
        known = json.loads(answer(f"{server}/api/2.0/mlflow/runs/get?run_id={run}"))
        place = f"experiments/{known['run']['info']['experiment_id']}/runs/{run}/artifacts/page/page.html"
        browser.open(f"{server}/#/{place}", width=1800, height=1000)
        browser.until("document.querySelector('iframe')")
        with browser.frame("blob:"):
            browser.until("globalThis.page")
            assert browser.value("self.origin") == "null"  # no store and no address of its own
            browser.value("document.querySelector('#clear').click()")
            assert browser.faults == []
            before = browser.value("[...page.probabilities]")
            pad = browser.value("document.querySelector('.pad').getBoundingClientRect().toJSON()")
        around = browser.value("document.querySelector('iframe').getBoundingClientRect().toJSON()")
        for kind, share in (("mousePressed", 0.2), ("mouseMoved", 0.5), ("mouseMoved", 0.8), ("mouseReleased", 0.8)):
            x, y = around["x"] + pad["x"] + pad["width"] / 2, around["y"] + pad["y"] + share * pad["height"]
            browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
        with browser.frame("blob:"):
            browser.until(f"String([...page.probabilities]) !== '{','.join(map(str, before))}'")
            pixels = np.asarray(browser.value("[...page.data]"), np.uint8).reshape(
                1, *network.program.network.data_shape
            )
            shown = browser.value("[...page.probabilities]")
            np.testing.assert_allclose(shown, network.answers(pixels, here())[0], atol=1e-4)
            browser.value(
                "(e => { e.value = 0; e.dispatchEvent(new Event('input')); })(document.querySelector('#epoch'))"
            )
            assert browser.value("page.now()") == 0
            browser.value("page.point(1, [1, 2, 0], true)")
            browser.until("document.querySelector('#panel .sum strong')")
            browser.value("document.querySelector('#language').click()")
            assert browser.value("document.documentElement.lang") == "zh-CN"
            assert browser.faults == []
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
