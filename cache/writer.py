"""Add shards to a cache: one writer at a time, one fingerprint for ever, nothing half-written."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock
import numpy as np
import torch

from ..errors import InputError
from ..files import sync_directory
from .contents import DESCRIPTION, SHARDS, Contents, Description, read_description, scan, write_description
from .fingerprint import Fingerprint
from .layout import ShardRecord
from .quarantine import Quarantine
from .shard_writer import ShardWriter
from .storage import storage_type

LOCK = ".lock"
DIFFERENCES_SHOWN = 4


class CacheWriter:
    """The one process that may add to a cache. A context manager: the directory's lock is held inside.

    Args:
        directory: the cache; made, with its parents, where it does not exist.
        fingerprint: what makes the features; its fact "storage" names the storage type.
        versions: of the libraries at work, kept in the records but no part of the fingerprint.
        notes: plain JSON values kept in a new cache's cache.json, of no meaning to the cache.

    Raises:
        InputError: another writer is at work; the cache was made with another fingerprint (the differences
            are named); the directory is not a cache; the storage type is unknown.
    """

    def __init__(
        self,
        directory: Path,
        fingerprint: Fingerprint,
        *,
        versions: Mapping[str, str] | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.fingerprint = fingerprint
        self.cleared: tuple[str, ...] = ()
        """One line for each leftover or damaged shard that was cleared away on entering, to be made again."""
        self._versions, self._notes = dict(versions or {}), dict(notes or {})
        self._kind = storage_type(str(fingerprint.facts.get("storage", "")))
        self._lock = filelock.FileLock(self.directory / LOCK, thread_local=False)
        self._have: dict[str, str] = {}
        self._shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        self._quarantine: Quarantine | None = None

    def __enter__(self) -> Self:
        new = self._refuse_what_is_no_cache()
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InputError(f"another process is writing to {self.directory}: wait for it to end") from None
        try:
            self._open(new and not (self.directory / DESCRIPTION).exists())
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @property
    def have(self) -> frozenset[str]:
        """Ids of the clips in complete shards."""
        return frozenset(self._have)

    @property
    def quarantined(self) -> Mapping[str, Mapping[str, str]]:
        """Clips that could not be encoded: id -> {"reason", "words"}."""
        return self._open_quarantine.clips

    def quarantine(self, clip: str, reason: str, words: str) -> None:
        """Note that a clip cannot be encoded: `reason` to count by, `words` as the decoder put it."""
        self._open_quarantine.add(clip, reason, words)

    def release(self, clips: Iterable[str]) -> tuple[str, ...]:
        """Take clips off the quarantine, to be tried again; returns those that were on it."""
        return self._open_quarantine.release(clips)

    def shard(
        self, name: str, ids: Sequence[str], visual_shape: Sequence[int], audio_shape: Sequence[int]
    ) -> ShardWriter:
        """Begin a shard, to be filled clip by clip in a `with` block (see `ShardWriter`).

        Args:
            name: of the file, without suffix.
            ids: the clips it is meant to hold, in the order of its rows.
            visual_shape: (L, S, D) of a clip.
            audio_shape: (D,) of a clip.

        Raises:
            InputError: a clip is in the cache already, or the shapes are not those of the other shards.
            ValueError: no ids, an id twice, or a name that is taken.
        """
        shapes = tuple(visual_shape), tuple(audio_shape)
        if not ids or not all(ids) or len(set(ids)) != len(ids):
            raise ValueError(f"shard {name} needs clips with names, each of them once")
        if name in self._have.values():
            raise ValueError(f"shard {name} exists; shards are never written again")
        for clip in ids:
            if clip in self._have:
                raise InputError(f"clip '{clip}' is already in shard {self._have[clip]} of {self.directory}")
        if self._shapes not in (None, shapes):
            raise InputError(f"{self.directory} holds features of shapes {self._shapes}, not {shapes}")
        self._open_quarantine  # noqa: B018 - refuses a shard outside the `with` block
        return ShardWriter(
            self.directory / SHARDS,
            name,
            ids,
            *shapes,
            kind=self._kind,
            fingerprint=self.fingerprint.digest,
            versions=self._versions,
            on_finished=self._take_note,
        )

    def write_shard(
        self,
        name: str,
        ids: Sequence[str],
        visual: np.ndarray | torch.Tensor,
        audio: np.ndarray | torch.Tensor,
    ) -> None:
        """Write a whole shard from memory: visual (N, L, S, D) and audio (N, D), any float dtype.

        Raises:
            NotStorable: a clip's features are not finite or do not fit the storage type; no shard is left.
            InputError, ValueError: as `shard` does.
        """
        if len(visual) != len(ids) or len(audio) != len(ids):
            raise ValueError(f"{len(ids)} ids for {len(visual)} visual and {len(audio)} audio features")
        with self.shard(name, ids, visual.shape[1:], audio.shape[1:]) as shard:
            for index in range(len(ids)):
                shard.put(index, visual[index], audio[index])

    @property
    def _open_quarantine(self) -> Quarantine:
        if self._quarantine is None or not self._lock.is_locked:
            raise RuntimeError("a CacheWriter works only inside its `with` block")
        return self._quarantine

    def _refuse_what_is_no_cache(self) -> bool:
        """Whether the cache is new; checked before anything is made, so that a refusal leaves no trace."""
        if self.directory.exists() and not self.directory.is_dir():
            raise InputError(f"{self.directory} is a file, not a cache directory")
        if (self.directory / DESCRIPTION).exists():
            return False
        strangers = [path for path in self.directory.iterdir() if path.name != LOCK] if self.directory.exists() else []
        if any(not path.name.endswith(".part") for path in strangers):
            raise InputError(f"{self.directory} is neither empty nor a feature cache: give another directory")
        return True

    def _open(self, new: bool) -> None:
        if new:
            write_description(self.directory, Description(self.fingerprint, self._versions, self._notes))
        made_with = read_description(self.directory).fingerprint
        if made_with.digest != self.fingerprint.digest:
            lines = self.fingerprint.differences(made_with)
            more = f"; and {len(lines) - DIFFERENCES_SHOWN} more" if len(lines) > DIFFERENCES_SHOWN else ""
            raise InputError(
                f"{self.directory} was made in another way ({'; '.join(lines[:DIFFERENCES_SHOWN])}{more}): "
                "give another directory, or the choices it was made with"
            )
        (self.directory / SHARDS).mkdir(exist_ok=True)
        sync_directory(self.directory)
        contents = scan(self.directory)
        self.cleared = self._clear(contents)
        for record in contents.shards:
            for clip in record.ids:
                self._have.setdefault(clip, record.name)
        if contents.shards:
            self._shapes = contents.shards[0].visual_shape, contents.shards[0].audio_shape
        self._quarantine = Quarantine(self.directory)

    def _clear(self, contents: Contents) -> tuple[str, ...]:
        """Remove what is not data: leftovers, and shards that are plainly damaged. Both are made again."""
        lines = []
        for damaged in contents.damaged:
            if damaged.foreign:  # whole, and perhaps the only copy of another cache's work: not ours to remove
                raise InputError(f"{self.directory}: {damaged.words}; take it out of {SHARDS}/")
        for path in contents.leftovers:
            path.unlink()
            lines.append(f"{path.name} was left unfinished: removed")
        for damaged in contents.damaged:
            # The record first: without it the shard is no data, whatever happens before the next line.
            for suffix in (".json", ".h5"):
                (self.directory / SHARDS / f"{damaged.name}{suffix}").unlink(missing_ok=True)
            lines.append(f"{damaged.words}: removed")
        if lines:
            sync_directory(self.directory / SHARDS)
        return tuple(lines)

    def _take_note(self, record: ShardRecord) -> None:
        """Count the clips of a finished shard as held."""
        self._shapes = record.visual_shape, record.audio_shape
        for clip in record.ids:
            self._have[clip] = record.name
        self.release(record.ids)
