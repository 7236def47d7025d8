"""A browser for tests of pages: Chromium without a window, spoken to through pipes by its DevTools protocol."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The program; None where there is none, and such tests are left out."""
PATIENCE = 60.0
"""Seconds that an answer may take on a busy machine."""

PLACED = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 20) for number in sys.argv[1:3]]
for place, pipe in zip((3, 4), pipes):
    os.dup2(pipe, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Starts the browser with the pipes where it looks for them."""


class Browser:
    """One page at a time."""

    def __init__(self, to: int, answers: int) -> None:
        self._to, self._answers = to, answers
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """What the browser told by itself since the page was opened."""

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            if not select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._answers, 1 << 20)
            if not part:
                raise EOFError("the browser has ended")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        content: dict[str, Any] = json.loads(message)
        return content

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The browser's answer; RuntimeError where it refuses."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, path: Path, *, width: int, scheme: Literal["light", "dark"] = "light", height: int = 900) -> None:
        """Show a file in a window so many pixels wide, and wait until it is loaded."""
        self._session = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        phone = width < 600
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.ask("Page.navigate", url=path.absolute().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is on the page."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def requests(self) -> list[str]:
        """What the page asked for, but for itself and what it holds."""
        asked = [event["params"]["request"]["url"] for event in self.events if _is(event, "Network.requestWillBeSent")]
        return [url for url in asked[1:] if not url.startswith("data:")]

    def errors(self) -> list[str]:
        """What the page's console tells of errors and refusals."""
        thrown = [json.dumps(event["params"]) for event in self.events if _is(event, "Runtime.exceptionThrown")]
        entries = [event["params"]["entry"] for event in self.events if _is(event, "Log.entryAdded")]
        return thrown + [entry["text"] for entry in entries if entry["level"] in ("warning", "error")]

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """A PNG of the page, all of it if `whole`."""
        data = self.ask("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))["data"]
        path.write_bytes(base64.b64decode(data))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        box = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": box["width"], "height": box["height"], "scale": 1}}


def _is(event: dict[str, Any], method: str) -> bool:
    return event.get("method") == method


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of its own, without a profile; it ends with the block."""
    assert FOUND is not None
    asked, to = os.pipe()
    answers, told = os.pipe()
    with TemporaryDirectory() as profile:
        words = [FOUND, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        words += [f"--user-data-dir={profile}", "--remote-debugging-pipe", "--disable-background-networking"]
        command = [sys.executable, "-c", PLACED, str(asked), str(told), *words]
        process = subprocess.Popen(command, pass_fds=(asked, told), stderr=subprocess.DEVNULL)
        os.close(asked)
        os.close(told)
        try:
            yield Browser(to, answers)
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)
            os.close(to)
            os.close(answers)
