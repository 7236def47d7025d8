"""Which clips were cut from the same video: a test clip whose video gave training clips is not all new."""

import re

from ..errors import InputError
from .clips import Clip, Manifest, Split


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
