"""Clips that more than one file could be: which file serves, found out before the run, and written down.

CACHE/choices.csv   video_id, the file that was read, and the others
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError, shown
from ..manifests import Choice, Manifest
from ..manifests.tables import read_table, write_table
from .decoding.workers import DecodingPool, Job
from .pipeline import Pace
from .preparation.recipes import ClipPreparation

CHOICES = "choices.csv"
COLUMNS = ("video_id", "file", "other_files")


def settled(
    several: Mapping[str, Choice], manifest: Manifest, preparation: ClipPreparation, pace: Pace
) -> dict[str, Choice]:
    """The choices without disputes: of different files between which nothing tells, the only one that can be decoded.

    Where none can, all are tried once more in the run, which quarantines the clip.

    Args:
        several: of the clips that are to be encoded, by id.
        manifest: the list that they are of.
        preparation: what is wanted of a clip.
        pace: how many worker processes decode, and their limits.

    Raises:
        InputError: two of the files can be decoded: only the user knows which is the clip's.
    """
    disputed = {clip: choice for clip, choice in several.items() if choice.disputed}
    if not disputed:
        return dict(several)
    without = dict(several)
    jobs = (Job(clip, path) for clip, choice in disputed.items() for path in choice.files)
    with DecodingPool(preparation, workers=pace.workers, timeout=pace.clip_timeout, memory=pace.clip_memory) as pool:
        outcomes = pool.read_all(jobs, ahead=pace.workers)
        for clip, choice in disputed.items():
            read = list(itertools.islice(outcomes, len(choice.files)))
            good = [outcome.job.path for outcome in read if outcome.clip is not None]
            if len(good) > 1:
                raise InputError(_told(clip, good, len(disputed), manifest))
            bad = [path for path in choice.files if path not in good]
            without[clip] = Choice((*good, *bad), passed_over=choice.passed_over)
    return without


def _told(clip: str, files: list[Path], count: int, manifest: Manifest) -> str:
    label = next(listed.label for listed in manifest.clips if listed.id == clip)
    among = f" (the first of {count} such clips)" if count > 1 else ""
    return (
        f"clip '{clip}' could be {files[0]} or {files[1]}, which differ, and nothing tells which{among}: "
        f"take one away, put it into a folder named '{label}', or name it in the list's column path"
    )


@dataclass
class ChoicesFile:
    """choices.csv of a cache, kept up to date; what earlier runs noted stays."""

    path: Path
    several: Mapping[str, Choice]
    """The clips that it is about."""
    rows: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.exists():
            self.rows = {cells["video_id"]: cells for _, cells in read_table(self.path, COLUMNS)}

    def note(self, read: Mapping[str, Path]) -> None:
        """Write down which file each clip was read from, for those that could be several."""
        noted = {clip: path for clip, path in read.items() if clip in self.several}
        for clip, path in noted.items():
            choice = self.several[clip]
            others = (shown(other) for other in (*choice.files, *choice.passed_over) if other != path)
            self.rows[clip] = {"video_id": clip, "file": shown(path), "other_files": "; ".join(others)}
        if noted:
            write_table(self.path, COLUMNS, self.rows.values())
