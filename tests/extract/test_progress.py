"""Progress reads well on a terminal and in a log file."""

import io

from avcil.extract.progress import ExtractionProgress
from rich.console import Console


def test_lines_in_a_log_file(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("avcil.extract.progress.time.monotonic", lambda: now[0])
    file = io.StringIO()
    with ExtractionProgress(100, Console(file=file, width=200), every=30) as progress:
        for second in range(1, 61):
            now[0] = float(second)
            progress.step(encoded=1)
        progress.step(quarantined=2)
        progress.step(encoded=38)
    assert file.getvalue().splitlines() == [
        "30 of 100 clips, 1 clips/s, 1 min 10 s left, 0 quarantined",
        "60 of 100 clips, 1 clips/s, 40 s left, 0 quarantined",
        "100 of 100 clips, 1.67 clips/s, 0.0 s left, 2 quarantined",
    ]


def test_a_bar_on_a_terminal():
    file = io.StringIO()
    with ExtractionProgress(4, Console(file=file, force_terminal=True, width=120)) as progress:
        progress.step(encoded=3)
        progress.step(quarantined=1)
    shown = file.getvalue()
    assert "4/4" in shown
    assert "clips/s" in shown
    assert "1 quarantined" in shown
