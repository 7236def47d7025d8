"""What there is to learn: clips with a label and a split, and the order in which classes come."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal, get_args

Split = Literal["train", "val", "test"]
"""What a clip is for: training, validation (choice of the epoch), or test."""
SPLITS: tuple[Split, ...] = get_args(Split)
"""The same, to go through."""

SPLIT_NAMES: Mapping[str, Split] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validate": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What lists and folders call a split."""

# Ids become names of files and rows of tables. YouTube ids begin with '-' or '_' now and then; nothing that
# begins with a dot or holds a slash is a plain name.
PLAIN_NAME = re.compile(r"[\w-][\w.-]*")
PLAIN_NAME_IN_WORDS = "letters, digits, '_', '-' and '.', not beginning with a '.'"
LONGEST_NAME = 200  # bytes; file systems allow 255 with suffixes

# fmt: off
CONTAINERS = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".divx", ".flv", ".f4v", ".wmv", ".asf", ".mpg", ".mpeg",
    ".mpe", ".vob", ".ts", ".mts", ".m2ts", ".3gp", ".3g2", ".ogv", ".ogm",
})
# fmt: on
"""Suffixes, in lower case, of files that hold video; others, such as yt-dlp's .info.json, are passed over."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A piece of video that has one label."""

    id: str
    """A plain name, unique in its manifest."""
    label: str
    """One of the manifest's classes."""
    split: Split
    """What it is for."""
    path: str | None = None
    """Its file in the directory of videos, absolute or relative to it; where no such file is there, any container of
    that name ("dog/1" is dog/1.mp4). None to find it by its id."""
    row: int | None = field(default=None, compare=False, repr=False)
    """Its line in the manifest's table, for messages; no part of what the clip is."""


@dataclass(frozen=True)
class Manifest:
    """A table of clips and the class order. `read_manifest` gives checked ones; this class checks nothing."""

    name: str
    clips: tuple[Clip, ...]
    """In the order of the table."""
    class_order: tuple[str, ...]
    """Every class once, in the order in which they are learnt."""
    table: Path | None = field(default=None, compare=False)
    """The file that it was read from, for messages."""
    notes: tuple[str, ...] = field(default=(), compare=False)
    """Lines about what was passed over or understood in reading it."""

    def of_split(self, split: Split) -> tuple[Clip, ...]:
        """The clips of one split, in order."""
        return tuple(clip for clip in self.clips if clip.split == split)

    def where(self, clip: Clip) -> str:
        """The place of a clip in messages: "clips.csv row 7", or its id where nothing was read."""
        return f"clip '{clip.id}' of {self.name}" if self.table is None else f"{self.table} row {clip.row}"


def is_plain_name(text: str) -> bool:
    """Whether `text` may be a clip's id."""
    return PLAIN_NAME.fullmatch(text) is not None and len(text.encode("utf-8")) <= LONGEST_NAME


def without_container(name: str) -> str:
    """A file's name or path without a video container's suffix, if it has one."""
    suffix = PurePath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in CONTAINERS else name


def as_id(path: str) -> str:
    """The id that a path becomes: "dog/clip 1.mp4" is dog__clip_1. A plain name without such a suffix is its own.

    A video container's suffix is dropped, "__" stands between folders and name, and "_" for every character that no id
    may have.
    """
    folders = [part for part in without_container(path).replace("\\", "/").split("/") if part not in ("", ".")]
    made = "__".join(re.sub(r"[^\w.-]", "_", part) for part in folders)
    return f"_{made[1:]}" if made.startswith(".") else made


def by_class(clips: Iterable[Clip], most: int = 5) -> str:
    """How many of `clips` each class has, the most first, in words: "dog 3, cat 1, 2 more classes"."""
    counts = Counter(clip.label for clip in clips).most_common()
    words = [f"{label} {count}" for label, count in counts[:most]]
    if more := len(counts[most:]):
        words.append(f"{more} more class{'es' if more > 1 else ''}")
    return ", ".join(words)


def counted(clips: Iterable[Clip]) -> str:
    """How many clips each split has, in words: "8 train, 1 val, 1 test"."""
    counts = Counter(clip.split for clip in clips)
    return ", ".join(f"{counts[split]} {split}" for split in SPLITS)


def counted_by_class(manifest: Manifest) -> list[str]:
    """A line for each class with its clips by split, in the class order."""
    by_label: dict[str, list[Clip]] = {label: [] for label in manifest.class_order}
    for clip in manifest.clips:
        by_label[clip.label].append(clip)
    return [f"{label}: {counted(clips)}" for label, clips in by_label.items()]


def gaps(manifest: Manifest) -> tuple[str, ...]:
    """One line for each class that lacks clips of a split, and for each split that has none at all.

    `read_manifest` refuses a class without training clips. The other gaps can be lived with, but have to be
    said.
    """
    counts = Counter((clip.label, clip.split) for clip in manifest.clips)
    lines = []
    for split in SPLITS:
        lacking = [label for label in manifest.class_order if not counts[label, split]]
        if len(lacking) == len(manifest.class_order):
            lines.append(f"{manifest.name} has no {split} clips")
        else:
            lines.extend(f"class '{label}' has no {split} clips" for label in lacking)
    return tuple(lines)
