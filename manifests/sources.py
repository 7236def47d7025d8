"""Which clips were cut from the same video: a test clip whose video gave training clips is not all new."""

import re

from ..errors import InputError
from .clips import Clip, Manifest, Split

NAMES_WITH_SOURCE = (
    r"(?P<source>.+)_(?P<start>\d+)_(?P<end>\d+)",
    r"(?P<source>(?=.{1,10}[A-Z\d])[\w-]{11})_\d+",  # YouTube id and start; hardly one has small letters only
    r"(?P<source>.+_g\d+)_c\d+",  # group and clip, as in UCF101
)


def source_in_name(stem: str) -> str | None:
    """The video that a clip was cut from, where its file's name (without suffix) tells: ID_START, NAME_START_END."""
    for pattern in NAMES_WITH_SOURCE:
        match = re.fullmatch(pattern, stem)
        if match and ("start" not in match.groupdict() or int(match["start"]) < int(match["end"])):
            return match["source"]
    return None


def source_of(clip_id: str, source_video: str) -> str:
    """The video a clip was cut from.

    Args:
        clip_id: the clip's id.
        source_video: regular expression that matches the whole id, with a group named `source`.

    Raises:
        InputError: the id does not match.
    """
    match = re.fullmatch(source_video, clip_id)
    if match is None:
        raise InputError(f"clip '{clip_id}' does not look as '{source_video}' says, so its source is not known")
    return match["source"]


def clips_seen_in_training(manifest: Manifest, split: Split, source_video: str) -> tuple[Clip, ...]:
    """The clips of `split` whose source video also gave training clips, in order (see `source_of`)."""
    trained = {source_of(clip.id, source_video) for clip in manifest.of_split("train")}
    return tuple(clip for clip in manifest.of_split(split) if source_of(clip.id, source_video) in trained)
