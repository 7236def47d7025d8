"""Divide the clips of a folder into training, validation and test clips: by class, and never inside a source video."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import InputError
from .clips import SPLITS, Clip, Split

DEFAULT_SHARES = "0.8/0.1/0.1"
ADVICE = f"give --split as train/val/test or train/test, such as {DEFAULT_SHARES} or 80/20"


@dataclass(frozen=True)
class Shares:
    """Which part of each class's clips every split gets; they add up to 1, and a split without clips has none."""

    parts: Mapping[Split, float]

    @classmethod
    def of(cls, text: str) -> "Shares":
        """From "0.8/0.1/0.1", "80/10/10" or, without validation clips, "0.8/0.2"; `InputError` for anything else."""
        try:
            numbers = [float(word) for word in text.split("/")]
        except ValueError:
            raise InputError(f"'{text}' is no division into splits: {ADVICE}") from None
        names: Sequence[Split] = SPLITS if len(numbers) == 3 else ("train", "test")
        total = sum(numbers)
        if len(numbers) != len(names):
            raise InputError(f"'{text}' has {len(numbers)} part{'s' if len(numbers) > 1 else ''}: {ADVICE}")
        if not (abs(total - 1) < 1e-6 or abs(total - 100) < 1e-6):
            raise InputError(f"'{text}' adds up to {total:g}, not to 1 or 100: {ADVICE}")
        parts = {name: number / total for name, number in zip(names, numbers, strict=True)}
        if min(numbers) < 0 or not parts["train"] or not parts["test"]:
            raise InputError(f"'{text}' leaves no training or no test clips, or less than none: {ADVICE}")
        return cls({name: part for name, part in parts.items() if part})


def divide(clips: Sequence[Clip], sources: Mapping[str, str], shares: Shares, seed: int) -> list[Clip]:
    """The same clips with splits.

    Classes take turns, the one with the fewest source videos first. In each, source videos go one by one, those with
    the most clips first and equal ones in an order drawn from `seed`, to the split that lacks most of its share; the
    last ones go to splits that have nothing yet. The order is drawn from SHA-256, so it is the same everywhere, and
    whether one video comes before another does not depend on which others there are.

    Args:
        clips: with labels; their splits are not looked at.
        sources: by clip id, the video that each was cut from.
        shares: of each split.
        seed: of the order.

    Raises:
        InputError: a class has fewer source videos than there are splits.
    """
    by_label: dict[str, Counter[str]] = {}
    for clip in clips:
        by_label.setdefault(clip.label, Counter())[sources[clip.id]] += 1
    placed: dict[str, Split] = {}
    for label in sorted(by_label, key=lambda label: (len(by_label[label]), label)):
        _place(label, by_label[label], placed, shares, seed)
    return [replace(clip, split=placed[sources[clip.id]]) for clip in clips]


def _place(label: str, counts: Mapping[str, int], placed: dict[str, Split], shares: Shares, seed: int) -> None:
    """Put the source videos of one class into splits; those that another class has put there already stay."""
    lacking = {split: part * sum(counts.values()) for split, part in shares.parts.items()}
    empty = set(lacking)
    for source in sorted(counts.keys() & placed.keys()):
        lacking[placed[source]] -= counts[source]
        empty.discard(placed[source])
    free = sorted(counts.keys() - placed.keys(), key=lambda source: (-counts[source], _drawn(seed, source)))
    if len(free) < len(empty):
        raise InputError(
            f"class '{label}' has {sum(counts.values())} clips of {len(counts)} source videos, too few for "
            f"{len(shares.parts)} splits: add some, take the class away, or divide otherwise ({ADVICE})"
        )
    for done, source in enumerate(free):
        open_to = empty if len(free) - done <= len(empty) else lacking
        split = max((split for split in SPLITS if split in open_to), key=lambda split: lacking[split])
        placed[source] = split
        lacking[split] -= counts[source]
        empty.discard(split)


def _drawn(seed: int, source: str) -> bytes:
    return hashlib.sha256(f"{seed} {source}".encode()).digest()
