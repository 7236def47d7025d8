"""Find the video file of each clip by a data set's naming habits, whatever the container and the folders."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .choosing import Choice, choose, folder_name
from .clips import CONTAINERS, Clip, Manifest, as_id
from .reading import CLIP_COLUMNS
from .tables import write_table


@dataclass(frozen=True)
class NamingHabit:
    """One way in which a data set's files are named after its clips."""

    pattern: str
    """Regular expression with named groups that matches the whole file name without its suffix."""
    id: str
    """The clip's id from these groups, in Python's format language: "{ytid}_{start:0>6}"."""

    def id_of(self, stem: str) -> str | None:
        """The id of the clip in a file of that name, or None if the name does not follow this habit."""
        match = re.fullmatch(self.pattern, stem)
        return None if match is None else as_id(self.id.format(**match.groupdict()))


FileNames = tuple[NamingHabit, ...]
"""Naming habits, the most trusted first."""

NAMED_BY_ID: FileNames = (
    NamingHabit(pattern="(?P<id>.+)", id="{id}"),
    NamingHabit(pattern=r"(?P<id>.+_\d+)_\d+", id="{id}"),
    NamingHabit(pattern=r"(?P<id>.+)_\d+_\d+", id="{id}"),
)
"""The habits of data sets that say nothing else: ID; ID_START and the end; ID and both, in whatever unit of time."""


@dataclass(frozen=True)
class Located:
    """Which clips have a file."""

    found: Mapping[str, Path]
    """By clip id, in the order of the manifest."""
    missing: tuple[Clip, ...]
    """Clips without a file, in the order of the manifest."""
    several: Mapping[str, Choice] = field(default_factory=dict)
    """By clip id, those with more than one file, copies not counted; `found` has the first of each choice."""

    @property
    def missing_by_class(self) -> dict[str, int]:
        """How many clips of each class have no file, most first; classes without gaps are not listed."""
        return dict(Counter(clip.label for clip in self.missing).most_common())

    def write_missing(self, path: Path) -> None:
        """Write the missing clips as a table of the same columns as a manifest."""
        rows = ({"video_id": clip.id, "label": clip.label, "split": clip.split} for clip in self.missing)
        write_table(Path(path), CLIP_COLUMNS, rows)


def locate_videos(manifest: Manifest, directory: Path, file_names: FileNames = NAMED_BY_ID) -> Located:
    """Find the file of every clip under `directory`, looking through the tree once.

    A clip with a `path` of its own is looked for there and nowhere else, and only inside the directory: a list may come
    from a stranger. Links that lie in the directory are its owner's and are followed. What is done with several files
    of one clip is told in `choosing`.

    Raises:
        InputError: the directory does not exist or cannot be read, or a clip's own path leads out of it.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"there is no directory {directory} to look for videos in")
    listed = {clip.id for clip in manifest.clips if clip.path is None}
    by_id: dict[str, list[tuple[int, Path]]] = {}
    if listed:
        for path in _readable(directory):
            for rank, habit in enumerate(file_names):
                clip_id = habit.id_of(path.stem)
                if clip_id in listed:
                    by_id.setdefault(clip_id, []).append((rank, path))
                    break
    found: dict[str, Path] = {}
    missing: list[Clip] = []
    several: dict[str, Choice] = {}
    classes = frozenset(map(folder_name, manifest.class_order))
    for clip in manifest.clips:
        if clip.path is not None:
            path = _path_of(clip, manifest, directory)
            candidates = [(0, file) for file in _files_of(path)]
        else:
            candidates = by_id.get(clip.id, [])
        if not candidates:
            missing.append(clip)
            continue
        found[clip.id] = candidates[0][1]
        if len(candidates) > 1:
            choice = choose(candidates, clip, directory, classes)
            found[clip.id] = choice.files[0]
            if len(choice.files) + len(choice.passed_over) > 1:
                several[clip.id] = choice
    return Located(found, tuple(missing), several)


def videos_below(directory: Path) -> list[Path]:
    """Every video file below `directory`, sorted; InputError where a folder cannot be read."""
    return sorted(_readable(directory))


def _path_of(clip: Clip, manifest: Manifest, directory: Path) -> Path:
    """The path that a clip's row names, without "..", which behind a link would lead elsewhere than it reads."""
    path = Path(os.path.normpath(clip.path or ""))
    inside = [Path(os.path.normpath(directory.absolute())), directory.resolve()]
    if path.is_absolute() and not any(path.is_relative_to(folder) for folder in inside):
        raise InputError(
            f"{manifest.where(clip)}: the path '{clip.path}' is outside of {directory}: "
            "give a folder that holds all videos as --videos"
        )
    if path.parts[:1] == ("..",):
        raise InputError(
            f"{manifest.where(clip)}: the path '{clip.path}' leads out of the folder of videos: "
            "give a folder above as --videos, and paths from there"
        )
    return directory / path


def _files_of(path: Path) -> list[Path]:
    """The file of that path; where there is none, the containers of that name in that folder."""
    if _holds(path.is_file):
        return [path]
    if not _holds(path.parent.is_dir):
        return []
    beside = (path.with_name(entry.name) for entry in os.scandir(path.parent) if entry.name.startswith(f"{path.name}."))
    return sorted(file for file in beside if is_video(file) and file.stem == path.name)


def is_video(path: Path) -> bool:
    """Whether it is a file with a video container's suffix."""
    return path.suffix.lower() in CONTAINERS and _holds(path.is_file)


def _holds(question: Callable[[], bool]) -> bool:
    """The answer of `is_file` or `is_dir`; no, where the name is too long, or links lead in a circle or to nowhere."""
    try:
        return question()
    except (OSError, ValueError):
        return False


def _readable(directory: Path) -> list[Path]:
    try:
        return list(video_files(directory))
    except OSError as error:
        words = f"{error.filename} cannot be read ({error.strerror}): its videos would count as missing"
        raise InputError(words) from error


def video_files(directory: Path) -> Iterator[Path]:
    """Every file with a video's suffix below `directory`; links are followed, each folder is visited once.

    Names that begin with a dot are passed over: they are other programs' notes about files, as "._x.mp4" is.
    """
    visited: set[tuple[int, int]] = set()
    waiting: list[str] = [os.fspath(directory)]
    while waiting:
        folder = waiting.pop()
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _holds(entry.is_dir):
                    waiting.append(entry.path)
                elif is_video(Path(entry.path)):
                    yield Path(entry.path)
