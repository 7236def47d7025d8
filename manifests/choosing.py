"""Which of several files is a clip's: the folder tells, or they are the same, or it is not known and has to be said.

Files are put into tiers: by the data set's naming habits, the most trusted first; then by folder, split/label before
label before others. A folder that is named as another class holds no file of the clip, unless there is nothing else.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ..files import sha256_of
from .clips import SPLIT_NAMES, Clip


@dataclass(frozen=True)
class Choice:
    """The files that could be one clip's."""

    files: tuple[Path, ...]
    """In the order in which they are tried: the first is the clip's unless it cannot be decoded."""
    disputed: bool = False
    """Whether `files` are different ones between which nothing tells."""
    passed_over: tuple[Path, ...] = ()
    """Those that are never tried."""


def folder_name(text: str) -> str:
    """What a folder and a label have in common when one is named as the other: "blowing nose", "Blowing_Nose"."""
    return re.sub(r"[\W_]+", " ", text.casefold()).strip() or text


def choose(candidates: Sequence[tuple[int, Path]], clip: Clip, directory: Path, classes: Collection[str]) -> Choice:
    """Put the files of one clip into their order.

    Args:
        candidates: the files, each with the rank of its naming habit, the most trusted 0.
        clip: whose they could be.
        directory: below which they lie.
        classes: every class of the list, as `folder_name` has it.

    Returns:
        The choice. Copies of a file already among its `files` are in neither list. Contents are compared only where
        nothing else tells: sizes first, then SHA-256.
    """
    nearness = {path: _nearness(path, clip, directory, classes) for _, path in candidates}
    foreign = {path for path, near in nearness.items() if near < 0} if max(nearness.values()) >= 0 else set()
    ranked = sorted((rank, -nearness[path], path) for rank, path in candidates if path not in foreign)
    tiers = [[path for *_, path in tier] for _, tier in groupby(ranked, key=lambda entry: entry[:2])]
    files, disputed = _distinct(tiers[0])
    passed_over = sorted(foreign)
    for tier in tiers[1:]:
        more, torn = _distinct(tier)
        (passed_over if disputed or torn else files).extend(more)
    return Choice(tuple(files), disputed, tuple(passed_over))


def _nearness(path: Path, clip: Clip, directory: Path, classes: Collection[str]) -> int:
    """2 in a folder of the clip's split and one of its label, 1 in one of its label, -1 in another class's, else 0."""
    folders = {folder_name(part) for part in path.parent.relative_to(directory).parts}
    if folder_name(clip.label) in folders:
        return 2 if clip.split in {SPLIT_NAMES.get(folder) for folder in folders} else 1
    return -1 if (folders - SPLIT_NAMES.keys()) & set(classes) else 0


def _distinct(tier: Sequence[Path]) -> tuple[list[Path], bool]:
    """The files of a tier without copies, and whether nothing tells which of them is the clip's.

    Files of one folder that differ in their suffix only are a video in several containers, of which any serves. So
    does any of several copies.
    """
    if len({path.with_suffix("") for path in tier}) == 1:
        return list(tier), False
    distinct: dict[object, Path] = {}
    for path in tier:
        distinct.setdefault(_content(path, tier), path)
    return list(distinct.values()), len(distinct) > 1


def _content(path: Path, others: Sequence[Path]) -> object:
    """What is the same for copies: the size where no other file has it, else size and hash."""
    try:
        size = path.stat().st_size
        alone = sum(other.stat().st_size == size for other in others) == 1
        return size if alone else (size, sha256_of(path))
    except OSError:  # it cannot be read, which decoding will say
        return path
