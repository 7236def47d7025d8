"""Every random choice comes from a stream named for its purpose, so no random state has to be saved.

The shuffle of task 3, epoch 17 depends on the seed and on these words alone, not on how many numbers were
drawn before it: a run that was stopped and is resumed draws what a run that never stopped would have drawn.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def stream_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed that belongs to `seed` and the words of `purpose`."""
    digest = hashlib.sha256(json.dumps([seed, *purpose]).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator at the beginning of the stream named by `purpose`."""
    return torch.Generator().manual_seed(stream_seed(seed, *purpose))


@contextmanager
def seeded_initialisation(seed: int, *purpose: str | int) -> Iterator[None]:
    """Within it, modules initialise from the stream named by `purpose`; the global state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, *purpose))
        yield
