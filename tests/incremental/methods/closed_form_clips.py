"""Small seeded clips on which closed-form heads of other implementations were recorded. numpy alone rebuilds them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TASKS = ((0, 1), (2, 3), (4, 5))
TRAIN = (20, 17, 23, 12, 24, 16)
TEST, CHANNELS, SEED = 10, 32, 100


@dataclass(frozen=True)
class Clips:
    """Features (n, 32) float32 and labels (n,) of the training clips of each task and of all test clips."""

    train: tuple[tuple[NDArray[np.float32], NDArray[np.int64]], ...]
    test: tuple[NDArray[np.float32], NDArray[np.int64]]


def make() -> Clips:
    """Gaussian classes with a common mixing and offset; a task's rows are shuffled, test clips come class by class."""
    random = np.random.RandomState(SEED)
    centres = random.randn(6, CHANNELS)
    mixing = random.randn(CHANNELS, CHANNELS) / np.sqrt(CHANNELS)
    offset = 0.5 * random.randn(CHANNELS)

    def of_class(label: int, count: int) -> NDArray[np.float64]:
        rows: NDArray[np.float64] = centres[label] + (1.5 * random.randn(count, CHANNELS)) @ mixing + offset
        return rows

    train = []
    for task in TASKS:
        rows = np.concatenate([of_class(label, TRAIN[label]) for label in task])
        labels = np.concatenate([np.full(TRAIN[label], label) for label in task])
        order = random.permutation(len(rows))
        train.append((rows[order].astype(np.float32), labels[order]))
    test = np.concatenate([of_class(label, TEST) for label in range(6)]).astype(np.float32)
    return Clips(tuple(train), (test, np.repeat(np.arange(6), TEST)))
