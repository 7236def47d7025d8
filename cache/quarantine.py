"""The list of clips that could not be encoded, with the reason and the decoder's own words."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import InputError
from ..files import read_json, write_json
from .description import mending

QUARANTINE = "quarantine.json"


class Quarantine:
    """quarantine.json of a cache: {clip id: {"reason": ..., "words": ...}}. A change is on disk at once."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / QUARANTINE
        self._clips = read_quarantine(directory)

    @property
    def clips(self) -> Mapping[str, Mapping[str, str]]:
        """A copy of the list as it stands."""
        return {clip: dict(entry) for clip, entry in self._clips.items()}

    def add(self, clips: Mapping[str, tuple[str, str]]) -> None:
        """Put clips on the list, or give those that are on it a new reason.

        Args:
            clips: by id, a short phrase by which clips can be counted, such as "no audio", and what the decoder or the
                check said.
        """
        self._clips |= {clip: {"reason": reason, "words": words} for clip, (reason, words) in clips.items()}
        if clips:
            self._write()

    def release(self, clips: Iterable[str]) -> tuple[str, ...]:
        """Take clips off the list; returns those that were on it. Others are no error."""
        released = tuple(clip for clip in dict.fromkeys(clips) if clip in self._clips)
        for clip in released:
            del self._clips[clip]
        if released:
            self._write()
        return released

    def _write(self) -> None:
        write_json(self._path, dict(sorted(self._clips.items())))


def read_quarantine(directory: Path) -> dict[str, dict[str, str]]:
    """The quarantine of a cache, empty when it has none; `InputError` when the file is not one."""
    path = directory / QUARANTINE
    if not path.exists():
        return {}
    if not path.is_file():
        raise InputError(f"{path} is no file: {mending(directory)}")
    try:
        content = read_json(path)
    except InputError as error:
        raise InputError(f"{error}: {mending(directory)}") from None
    if not isinstance(content, dict) or not all(
        isinstance(entry, dict) and isinstance(entry.get("reason"), str) and isinstance(entry.get("words"), str)
        for entry in content.values()
    ):
        raise InputError(f"{path} is not a quarantine list (a clip lacks its reason or words): {mending(directory)}")
    return content
