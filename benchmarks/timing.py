"""The clock that all benchmarks of stage 2 share: both sides in one process, in turn."""

import statistics
import time
from collections.abc import Callable

import torch


def medians(sides: dict[str, Callable[[], object]], device: torch.device, rounds: int) -> dict[str, float]:
    """Median seconds of each side; every round runs all of them in turn, one more at first only to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            since = time.perf_counter()
            side()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:
                seconds[name].append(time.perf_counter() - since)
    return {name: statistics.median(measured) for name, measured in seconds.items()}
