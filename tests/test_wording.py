"""Durations and sizes as people say them."""

import pytest
from avcil.wording import duration, number_of, size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (4.25, "4.2 s"), (59.4, "59 s"), (185, "3 min 5 s"), (7_800, "2 h 10 min"), (270_000, "3 d 3 h")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1 kB"), (1_536_000, "1.54 MB"), (230e9, "230 GB"), (4.2e15, "4.2e+03 TB")],
)
def test_sizes(count, words):
    assert size(count) == words


def test_counts():
    assert [number_of(number, "clip") for number in (0, 1, 2)] == ["0 clips", "1 clip", "2 clips"]
    assert [number_of(number, "class", "classes") for number in (1, 12)] == ["1 class", "12 classes"]
