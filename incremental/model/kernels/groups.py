"""Which clips of a batch are worked on together, such that what becomes of a clip does not depend on the others.

A processor is slow at products of few rows, and at operations that are over before they have been called. Clips of few
tokens are therefore taken several at once: always the same number, the last group of a batch being filled up with rows
that nobody looks at, so that a clip meets products of the same shape in every batch.

Shapes: L time slices, S tokens, D channels.
"""

from collections.abc import Iterator
from typing import NamedTuple

ROWS = 512
"""Tokens from which on a product gains little by being larger."""

WHOLE_VECTORS = 64
"""Channels come in multiples of this where clips are gathered. What is left at the end of an operation's range, less
than two vectors of numbers, may be rounded in another way; so no clip has numbers there, whichever its place."""


class Group(NamedTuple):
    """Neighbours in a batch."""

    clips: slice
    """Their places in the batch."""
    slices: slice
    """Places of their time slices among those of the whole batch."""

    def __len__(self) -> int:
        """How many clips they are."""
        clips: int = self.clips.stop - self.clips.start
        return clips


def size_of_groups(slices: int, tokens: int, channels: int, most_bytes: int, itemsize: int) -> int:
    """How many clips of (L, S, D) make a group: one, unless clips are small, whatever the batch.

    A group has at most `ROWS` tokens and, in a type of `itemsize` bytes, at most `most_bytes`.
    """
    if channels % WHOLE_VECTORS:
        return 1
    rows = slices * tokens
    return max(1, min(ROWS // rows, most_bytes // (rows * channels * itemsize)))


def groups_of(numbers: range, size: int, batch: int, slices: int) -> Iterator[Group]:
    """The groups with these numbers of a batch of so many clips, counted from 0 and of `size` clips each."""
    for number in numbers:
        begin, end = number * size, min((number + 1) * size, batch)
        yield Group(slice(begin, end), slice(begin * slices, end * slices))
