"""How well a figure is known from so many test clips: a bootstrap over the videos that they were cut from.

T tasks, G source videos, B draws.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .metrics import Predictions

DRAWS = 2000
AT_ONCE = 4_000_000
"""Numbers of a block of draws that are held at a time."""


def clip_noise(after: Sequence[Predictions], sources: NDArray[np.int64]) -> dict[str, Any] | None:
    """95% intervals that the choice of test clips alone implies, the run being as it is.

    Source videos are drawn anew with replacement, all clips of one together (Efron's bootstrap, clustered), and the
    figures worked out from the clips drawn; the interval is from the 2.5th to the 97.5th percentile of `DRAWS` draws.
    Draws without a clip of some task's classes are left out. The same answers give the same intervals.

    Args:
        after: the answers after every task.
        sources: (clips,) a number for the source video of each clip of the run, by the clip's number.

    Returns:
        intervals [low, high] in percent of `mean_accuracy` and `last_accuracy`, `accuracy_by_task` (T of them),
        `test_clips` and `source_videos`; None where all clips are of one video.
    """
    last = after[-1]
    videos = np.unique(sources[last.clips])
    count = len(videos)
    if count < 2:
        return None
    right, clips = np.zeros((count, len(after))), np.zeros((count, len(after)))
    for task, answers in enumerate(after):
        places = np.searchsorted(videos, sources[answers.clips])
        right[:, task] = np.bincount(places, weights=answers.right, minlength=count)
        clips[:, task] = np.bincount(places, minlength=count)
    by_task = np.concatenate([_accuracies(draws, right, clips) for draws in _draws(count)])  # (B, T) percent
    by_task = by_task[np.isfinite(by_task).all(axis=1)]
    return {
        "test_clips": len(last.labels),
        "source_videos": count,
        "mean_accuracy": _interval(by_task.mean(axis=1)),
        "last_accuracy": _interval(by_task[:, -1]),
        "accuracy_by_task": [_interval(values) for values in by_task.T],
    }


def half(interval: Sequence[float]) -> float:
    """Half an interval's width."""
    return (interval[1] - interval[0]) / 2


def _draws(count: int) -> Iterator[NDArray[np.int64]]:
    """How often each of `count` videos is drawn, in blocks (b, G) of B draws in all."""
    random = np.random.default_rng(0)
    block = max(1, min(DRAWS, AT_ONCE // count))
    for begin in range(0, DRAWS, block):
        rows = min(block, DRAWS - begin)
        drawn = random.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)


def _accuracies(draws: NDArray[np.int64], right: NDArray[np.float64], clips: NDArray[np.float64]) -> NDArray[Any]:
    """(b, T) percent; NaN where a draw has no clip. All sums are of whole numbers, and so exact in any order."""
    with np.errstate(invalid="ignore"):
        shares: NDArray[Any] = 100.0 * (draws @ right) / (draws @ clips)
    return shares


def _interval(values: NDArray[Any]) -> list[float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return [float(low), float(high)]
