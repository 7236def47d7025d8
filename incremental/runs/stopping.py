"""Ctrl-C and SIGTERM ask a run to stop: it ends the step it is in, saves its state and can be resumed from there."""

import contextlib
import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Whether a stop has been asked for; a context manager within which the two signals ask for one.

    A second signal ends the process at once, as both do outside of it. In a thread other than the main one, which no
    signal reaches, nothing asks.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        """The signal that asked, if any."""
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.signal is not None

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()  # once more, and it is as if we had not been here
        # Not sys.stderr: the signal may have come while that was being written to, which a buffer refuses.
        with contextlib.suppress(OSError):
            os.write(2, b"\nstopping after this step; once more stops at once\n")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
