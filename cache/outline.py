"""A shard that another process is to write, which does not hold the cache's lock.

The holder of the lock outlines the shard (`CacheWriter.outline`), the other process writes it beside its name, and the
holder commits it (`CacheWriter.commit`): before that it is no data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .fingerprint import Fingerprint
from .shard_writer import Sealed, ShardWriter
from .storage import storage_type


@dataclass(frozen=True)
class ShardOutline:
    """All that has to be known to write a shard. Can be sent to another process."""

    directory: Path
    """The cache's folder of shards, in full: another process may have been started elsewhere."""
    name: str
    """Of the file, without suffix."""
    ids: tuple[str, ...]
    """The clips it is meant to hold, in the order of its rows."""
    visual_shape: tuple[int, ...]
    """(L, S, D) of a clip."""
    audio_shape: tuple[int, ...]
    """(D,) of a clip."""
    fingerprint: Fingerprint
    """Of the cache; its fact "storage" names the storage type."""
    notes: Mapping[str, Any]
    """What the record keeps."""

    def begin(self, versions: Mapping[str, str], on_sealed: Callable[[Sealed], None]) -> ShardWriter:
        """Begin the shard, to be filled clip by clip in a `with` block.

        Args:
            versions: of the libraries at work, kept in the record.
            on_sealed: called at the end with what is to be committed; not for a shard without clips.

        Raises:
            InputError: there is no room, or the folder cannot be written to.
        """
        return ShardWriter(
            self.directory,
            self.name,
            self.ids,
            self.visual_shape,
            self.audio_shape,
            kind=storage_type(str(self.fingerprint.facts.get("storage", ""))),
            fingerprint=self.fingerprint,
            versions=versions,
            notes=self.notes,
            on_sealed=on_sealed,
        )
