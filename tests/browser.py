"""Chromium without a window, told what to do by its DevTools protocol: for tests of pages that people look at.

    with started() as page:
        page.open(path.as_uri(), width=400)
        page.click("th")
        assert page.value("document.title") == "a sweep"

Source: https://chromedevtools.github.io/devtools-protocol/. Messages go through two pipes, so that no port is open.
"""

import base64
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
_SECONDS: Final = 60.0
_ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class Page:
    """The page that is open. `faults` are errors in its console; `asked` are the addresses that it asked for."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self._events: list[str] = []
        self.faults: list[str] = []
        self.asked: list[str] = []

    def call(self, method: str, **arguments: Any) -> Any:
        """Calls a method of the protocol and returns its result."""
        self._number += 1
        own = {"id": self._number, "method": method, "params": arguments}
        message = own | ({"sessionId": self._session} if self._session else {})
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Shows an address in a new tab of this size, in CSS pixels, and waits until it is loaded."""
        if self._session:
            self.call("Page.close")
        self._session, self._events, self.faults, self.asked = None, [], [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=address)
        while "Page.loadEventFired" not in self._events:
            self._read()

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript comes to, as JSON."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression: str) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + _SECONDS
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < end, f"never came true: {expression}"
            time.sleep(0.1)

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that a CSS selector finds."""
        found: list[str] = self.value(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")
        return found

    def click(self, selector: str, index: int = 0) -> None:
        """Presses the mouse in the middle of an element."""
        x, y = self._middle(selector, index)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def point(self, selector: str, index: int = 0) -> None:
        """Moves the mouse to the middle of an element."""
        x, y = self._middle(selector, index)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def write(self, text: str) -> None:
        """Enters text where the cursor is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Presses a key by its name, such as Enter."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    @contextmanager
    def frame(self, address: str) -> Iterator[None]:
        """Speaks to the frame whose address begins so, in a process of its own; `faults` are those of the frame."""
        page, faults, found = self._session, self.faults, list[str]()
        end = time.monotonic() + _SECONDS
        while not found:
            targets = self.call("Target.getTargets")["targetInfos"]
            found = [one["targetId"] for one in targets if one["type"] == "iframe" and one["url"].startswith(address)]
            assert time.monotonic() < end, f"no frame of {address}"
            time.sleep(0.1)
        self._session = self.call("Target.attachToTarget", targetId=found[0], flatten=True)["sessionId"]
        self.faults = []
        try:
            for domain in ("Runtime", "Log"):
                self.call(f"{domain}.enable")  # also tells what was in the console before
            yield
        finally:
            self._session, self.faults = page, faults

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The page as a PNG: the whole of it, or what the window shows, which some pages draw anew for the whole."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def _middle(self, selector: str, index: int) -> tuple[float, float]:
        element = f"document.querySelectorAll({json.dumps(selector)})[{index}]"
        self.value(f"{element}.scrollIntoView({{block: 'center', inline: 'center'}})")
        box = self.value(f"{element}.getBoundingClientRect().toJSON()")
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def _read(self) -> dict[str, Any]:
        """The next message, noted where it is an event."""
        while b"\0" not in self._rest:
            more = os.read(self._from, 1 << 20)
            assert more, "Chromium ended"
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        event, facts = message.get("method", ""), message.get("params", {})
        if message.get("sessionId") not in (None, self._session):
            return message  # of the page around a frame, or of a frame that is left
        if event:
            self._events.append(event)
        if event == "Runtime.exceptionThrown":
            self.faults.append(facts["exceptionDetails"].get("exception", {}).get("description", str(facts)))
        elif event == "Runtime.consoleAPICalled" and facts["type"] in ("error", "warning", "assert"):
            self.faults.append(str(facts["args"]))
        elif event == "Log.entryAdded" and facts["entry"]["level"] in ("error", "warning"):
            self.faults.append(str(facts["entry"]))
        elif event == "Network.requestWillBeSent":
            self.asked.append(facts["request"]["url"])
        return message


@contextmanager
def started() -> Iterator[Page]:
    """Starts a Chromium of the test's own; skips the test where none is installed."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(f"no Chromium on PATH ({', '.join(_NAMES)}), which opens the page")
    from_test, to_browser = os.pipe()
    from_browser, to_test = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, Path(os.devnull).open("r+b") as nothing:
        # Chromium reads from descriptor 3 and writes to 4. First out of the way: either may be one of the pipe's own.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (from_test, to_test)]
        streams = [nothing.fileno()] * 3 + ends
        process = os.posix_spawn(
            program,
            [program, *_ARGUMENTS, f"--user-data-dir={profile}"],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, own, number) for number, own in enumerate(streams)],
        )
        for end in (from_test, to_test, *ends):
            os.close(end)
        try:
            yield Page(to_browser, from_browser)
        finally:
            os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)
            os.close(to_browser)
            os.close(from_browser)
