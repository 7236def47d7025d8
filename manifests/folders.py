"""A list of clips made from a folder of videos: DIR/LABEL/FILE, or DIR/SPLIT/LABEL/FILE.

The list is the same wherever the folder lies and in whatever order the file system names its files.
"""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, hidden_in
from ..files import sha256_of
from .clips import (
    PLAIN_NAME_IN_WORDS,
    SPLIT_NAMES,
    SPLITS,
    Clip,
    Manifest,
    Split,
    as_id,
    is_plain_name,
    without_container,
)
from .dividing import DEFAULT_SHARES, Shares, divide
from .locating import is_video, video_files
from .reading import refuse_classes_without_training_clips
from .sources import source_in_name

LAYOUT = (
    "put them into folders as LABEL/FILE or train|val|test/LABEL/FILE, or give a list (--manifest FILE, --dataset NAME)"
)


@dataclass(frozen=True)
class FolderList:
    """What a folder of videos holds."""

    manifest: Manifest
    """Ids are the paths inside the folder by the rule of `as_id`. Classes come by alphabet, in each the splits in their
    order."""
    lines: tuple[str, ...]
    """How it was divided, and what was passed over and why."""


@dataclass(frozen=True)
class _Video:
    """A clip under way: the files of one name in one folder, which differ in their containers only."""

    label: str
    split: Split | None
    """None where the folders do not tell."""
    files: tuple[Path, ...]


@dataclass
class _Look:
    """A look through a folder."""

    directory: Path
    passed_over: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    """By reason."""

    def videos(self) -> list[_Video]:
        folders = self._folders(self.directory)
        if not folders:
            raise InputError(f"there is no video below {self.directory}: {LAYOUT}")
        splits = [folder for folder in folders if folder.name.casefold() in SPLIT_NAMES]
        if not splits:
            return [video for folder in folders for video in self._of_label(folder, None)]
        labels = [folder for folder in folders if folder not in splits]
        if labels:
            raise InputError(f"{splits[0]} is a split and {labels[0]} beside it a label: {LAYOUT}")
        return [
            video
            for folder in splits
            for label in self._folders(folder)
            for video in self._of_label(label, SPLIT_NAMES[folder.name.casefold()])
        ]

    def _folders(self, folder: Path) -> list[Path]:
        """The folders of a folder that hold videos; no video may lie beside them."""
        folders, files = self._entries(folder)
        if files:
            raise InputError(f"{files[0]} lies beside the folders of labels, so it has no label: {LAYOUT}")
        return folders

    def _of_label(self, folder: Path, split: Split | None) -> list[_Video]:
        folders, files = self._entries(folder)
        if folders:
            raise InputError(f"{folders[0]} is a folder inside a label's, and holds videos: {LAYOUT}")
        if folder.name != folder.name.strip():
            raise InputError(f"the label '{folder.name}' of {folder} has a space at its end or beginning: rename it")
        by_name: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            by_name[file.stem].append(file)
        return [_Video(folder.name, split, tuple(same)) for same in by_name.values()]

    def _entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """The folders with videos and the video files of a folder, by name."""
        folders, files = [], []
        for path in sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name)):
            if path.name.startswith("."):
                self.passed_over["their names begin with a dot"].append(path)
            elif path.is_symlink() and not _leads_somewhere(path):
                self.passed_over["links to nowhere"].append(path)
            elif path.is_dir():
                self._refuse_link_out(path)
                if next(video_files(path), None) is None:
                    self.passed_over["folders without a video"].append(path)
                else:
                    folders.append(path)
            elif not is_video(path):
                self.passed_over[f"no video by their suffix '{path.suffix}'"].append(path)
            else:
                self._refuse_link_out(path)
                if path.stat().st_size:
                    files.append(path)
                else:
                    self.passed_over["empty files"].append(path)
        for path in (*folders, *files):
            if hidden := hidden_in(path.name):
                raise InputError(f"{path} has the character {hidden} in its name, which no list can hold: rename it")
        return folders, files

    def _refuse_link_out(self, path: Path) -> None:
        if path.is_symlink() and not path.resolve().is_relative_to(self.directory.resolve()):
            raise InputError(
                f"{path} is a link that leads out of {self.directory}, to {path.resolve()}: copy or move it there, or "
                "give a list (--manifest), which may follow links"
            )


def _leads_somewhere(link: Path) -> bool:
    try:
        return link.exists()
    except OSError:  # in a circle
        return False


def list_folder(directory: Path, shares: Shares | None = None, seed: int = 0) -> FolderList:
    """Make the list of a folder's clips.

    Args:
        directory: the folder.
        shares: how to divide a folder without splits; by default 0.8/0.1/0.1.
        seed: of the division.

    Raises:
        InputError: the folder cannot be read, or holds no videos, or not in one of the two ways; one class only; names
            that a list cannot hold; links that lead out of it; labels that differ in case only; one video in two
            classes or splits; two files that become one id; a class too small to divide, or without training clips;
            `shares` where the folders are the splits.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"there is no directory {directory} to look for videos in")
    look = _Look(directory)
    try:
        videos = _without_copies(look.videos(), look)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}): its videos would be left out") from error
    labels = sorted({video.label for video in videos})
    _refuse_labels(labels, directory)
    with_splits = any(video.split for video in videos)
    if with_splits and shares is not None:
        raise InputError(f"the folders of {directory} are the splits: leave --split out")
    clips = _clips(videos, directory)
    sources = {
        clip.id: source_in_name(Path(video.files[0]).stem) or clip.id for clip, video in zip(clips, videos, strict=True)
    }
    lines = []
    if with_splits:
        lines += _shared_sources(clips, sources)
    else:
        clips = divide(clips, sources, shares or Shares.of(DEFAULT_SHARES), seed)
        several = len(set(sources.values()))
        cut = f"; by their names they were cut from {several} videos, none of which is in two splits"
        lines.append(f"divided by class with seed {seed}{cut if several < len(clips) else ''}")
    clips.sort(key=lambda clip: (clip.label, SPLITS.index(clip.split), clip.id))
    manifest = Manifest(directory.absolute().name or "clips", tuple(clips), tuple(labels))
    refuse_classes_without_training_clips(manifest, directory)
    for reason, paths in look.passed_over.items():
        first = paths[0].relative_to(directory)
        lines.append(f"passed over: {len(paths)}, {reason} ({'the first ' if len(paths) > 1 else ''}{first})")
    return FolderList(manifest, tuple(lines))


def _without_copies(videos: Sequence[_Video], look: _Look) -> list[_Video]:
    """The videos without those of which a file is another's, byte for byte; sizes are compared first."""
    sizes = Counter(file.stat().st_size for video in videos for file in video.files)
    kept: dict[str, tuple[_Video, Path]] = {}
    copies = []
    for video in videos:
        for file in video.files:
            if sizes[file.stat().st_size] == 1:
                continue
            first, its_file = kept.setdefault(sha256_of(file), (video, file))
            if (first.label, first.split) != (video.label, video.split):
                what = "classes" if first.label != video.label else "splits"
                raise InputError(f"{its_file} and {file} are the same video in two {what}: take one of them away")
            if first is not video:
                copies.append(video)
                look.passed_over["copies of another file of their folder"].append(file)
                break
    return [video for video in videos if video not in copies]


def _refuse_labels(labels: Sequence[str], directory: Path) -> None:
    if len(labels) == 1:
        raise InputError(
            f"the videos below {directory} are all of one class, '{labels[0]}': at least two are needed, each a folder"
        )
    seen: dict[str, str] = {}
    for label in labels:
        twin = seen.setdefault(unicodedata.normalize("NFC", label).casefold(), label)
        if twin != label:
            raise InputError(f"the labels '{twin}' and '{label}' in {directory} differ in case only: give one name")


def _clips(videos: Sequence[_Video], directory: Path) -> list[Clip]:
    """Clips by the files' paths inside the folder; training clips where the folders do not tell."""
    clips: list[Clip] = []
    files: dict[str, Path] = {}
    for video in videos:
        path = video.files[0].relative_to(directory).as_posix()
        clip_id = as_id(path)
        if not is_plain_name(clip_id):
            raise InputError(f"{video.files[0]}: the id '{clip_id}' is not a plain name ({PLAIN_NAME_IN_WORDS})")
        if clip_id in files:
            raise InputError(f"{files[clip_id]} and {video.files[0]} both become the id '{clip_id}': rename one")
        files[clip_id] = video.files[0]
        path = without_container(path) if len(video.files) > 1 else path
        clips.append(Clip(clip_id, video.label, video.split or "train", path))
    return clips


def _shared_sources(clips: Sequence[Clip], sources: dict[str, str]) -> list[str]:
    """A line about test and validation clips that were cut from a video that also gave training clips, if any."""
    trained = {sources[clip.id] for clip in clips if clip.split == "train"}
    shared = [clip for clip in clips if clip.split != "train" and sources[clip.id] in trained]
    if not shared:
        return []
    return [
        f"by their names {len(shared)} validation and test clips were cut from videos that also gave training clips, "
        f"so they are not all new (the first {shared[0].path})"
    ]
