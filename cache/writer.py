"""Add shards to a cache: one writer at a time, one fingerprint for ever, nothing half-written."""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch

from ..errors import InputError
from ..files import LEFTOVER, BusyError, cannot_write, leftovers, locked, sync_directory
from .aside import set_aside
from .description import DESCRIPTION, SHARDS, Description, recorded, refuse_export, write_description
from .fingerprint import Fingerprint
from .layout import ShardRecord
from .marks import checksums_of
from .mend import Lost, Mending
from .outline import ShardOutline
from .quarantine import QUARANTINE, Quarantine
from .settle import settle_description
from .shard_list import LIST, add_to_list, write_list
from .shard_writer import Sealed, ShardWriter, give_name
from .storage import storage_type

LOCK = ".lock"


class CacheWriter:
    """The one process that may add to a cache. A context manager: the directory's lock is held inside.

    On entering, the cache is checked and mended: what is damaged or foreign is moved to set-aside/ and named in
    `lines`, and what has to be made again is in `lost`. A new cache into which nothing came is gone again on leaving
    by an exception.

    Args:
        directory: the cache; made, with its parents, where it does not exist.
        fingerprint: what makes the features; its fact "storage" names the storage type.
        versions: of the libraries at work, kept in the records but no part of the fingerprint.
        notes: plain JSON values kept in a new cache's cache.json and in each record, of no meaning to the cache.
        check: whether every byte that is there is checked, as `verify` does; otherwise what a glance shows.
        on_shard: called with each shard's name when it has been checked, for a progress bar.

    Raises:
        InputError: another writer is at work; the cache was made with another fingerprint (the differences
            are named); the directory is not a cache, or cannot be written to; the storage type is unknown.
    """

    def __init__(
        self,
        directory: Path,
        fingerprint: Fingerprint,
        *,
        versions: Mapping[str, str] | None = None,
        notes: Mapping[str, Any] | None = None,
        check: bool = True,
        on_shard: Callable[[str], None] | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.fingerprint = fingerprint
        self.lines: tuple[str, ...] = ()
        """What was done on entering: one line for each thing put right, moved or removed."""
        self.lost: tuple[Lost, ...] = ()
        """Shards that were found damaged or missing on entering: their clips have to be made again."""
        self.made_again: dict[str, bool] = {}
        """Those of them that have been, by name, and whether each file is what it was, bit for bit."""
        self._versions, self._notes = dict(versions or {}), dict(notes or {})
        storage_type(str(fingerprint.facts.get("storage", "")))  # refuses what there is not
        self._check, self._on_shard = check, on_shard
        self._inside = contextlib.ExitStack()
        self._new = self._made_folder = False
        self._beside: set[str] = set()
        self._have: dict[str, str] = {}
        self._names: set[str] = set()
        self._shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        self._quarantine: Quarantine | None = None

    def __enter__(self) -> Self:
        new = self._refuse_what_is_no_cache()
        try:
            self._made_folder = not self.directory.exists()
            self.directory.mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as inside:
                busy = f"another process is writing to {self.directory}: wait for it to end"
                inside.enter_context(locked(self.directory / LOCK, busy))
                self._new = new and not (self.directory / DESCRIPTION).exists()
                self._open()
                self._inside = inside.pop_all()
        except BaseException as error:
            if new and not isinstance(error, BusyError):
                self._leave_no_trace()
            if isinstance(error, OSError):
                raise cannot_write(self.directory, error) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._inside:
            if error is not None and self._new and not self._have and not self.quarantined:
                self._leave_no_trace()
        self._quarantine = None

    @property
    def have(self) -> frozenset[str]:
        """Ids of the clips in complete shards."""
        return frozenset(self._have)

    @property
    def quarantined(self) -> Mapping[str, Mapping[str, str]]:
        """Clips that could not be encoded: id -> {"reason", "words"}."""
        return self._open_quarantine.clips

    def beside(self, name: str) -> Path:
        """Where the caller may write a file beside the shards; it goes with a new cache into which nothing came."""
        self._beside.add(name)
        return self.directory / name

    def quarantine(self, clip: str, reason: str, words: str) -> None:
        """Note that a clip cannot be encoded: `reason` to count by, `words` as the decoder put it."""
        self._open_quarantine.add({clip: (reason, words)})

    def quarantine_all(self, clips: Mapping[str, tuple[str, str]]) -> None:
        """Note of several clips at once that they cannot be encoded: reason and words of each."""
        self._open_quarantine.add(clips)

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
        return self.outline(name, ids, visual_shape, audio_shape).begin(self._versions, self.commit)

    def outline(
        self, name: str, ids: Sequence[str], visual_shape: Sequence[int], audio_shape: Sequence[int]
    ) -> ShardOutline:
        """What another process has to know to write a shard, which is then to be committed; as `shard` otherwise."""
        shapes = tuple(visual_shape), tuple(audio_shape)
        if not ids or not all(ids) or len(set(ids)) != len(ids):
            raise ValueError(f"shard {name} needs clips with names, each of them once")
        if name in self._names:
            raise ValueError(f"shard {name} exists; shards are never written again")
        for clip in ids:
            if clip in self._have:
                raise InputError(f"clip '{clip}' is already in shard {self._have[clip]} of {self.directory}")
        if self._shapes not in (None, shapes):
            raise InputError(f"{self.directory} holds features of shapes {self._shapes}, not {shapes}")
        self._open_quarantine  # noqa: B018 - refuses a shard outside the `with` block
        was = next((lost.record for lost in self.lost if lost.name == name), None)
        for suffix in (".json", ".h5"):  # somebody's file that happens to have this name
            if os.path.lexists(path := self.directory / SHARDS / f"{name}{suffix}"):
                set_aside(self.directory, path)
        return ShardOutline(
            (self.directory / SHARDS).absolute(),
            name,
            tuple(ids),
            *shapes,
            fingerprint=self.fingerprint,
            notes=self._notes if was is None or was.notes is None else was.notes,
        )

    def commit(self, sealed: Sealed) -> None:
        """Make data of a shard that was written by its outline, wherever that was done.

        Raises:
            InputError: the file is not what its record says, or cannot be named.
            ValueError: the shard is not of this cache, or in it already; or its file is not one that was written aside.
        """
        part, record = sealed.part, sealed.record
        self._open_quarantine  # noqa: B018 - as above
        match = LEFTOVER.fullmatch(part.name)
        if match is None or match["name"] != record.file_name or part.parent != (self.directory / SHARDS).absolute():
            raise ValueError(f"{part} is no file that was written aside as {record.file_name} of {self.directory}")
        if record.fingerprint != self.fingerprint.digest:
            raise ValueError(f"shard {record.name} was made for another cache")
        if record.name in self._names or any(clip in self._have for clip in record.ids):
            raise ValueError(f"shard {record.name}, or a clip of it, is in {self.directory} already")
        checksums_of(part, record)
        give_name(sealed)
        self._take_note(record)

    def clear_away(self, name: str | None = None) -> None:
        """Remove what processes that have ended left of a shard, or of any: none may be at work on it any more."""
        for path in leftovers(self.directory / SHARDS):
            match = LEFTOVER.fullmatch(path.name)
            if match is not None and match["name"].startswith("" if name is None else f"{name}."):
                path.unlink(missing_ok=True)

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
        if self._quarantine is None:
            raise RuntimeError("a CacheWriter works only inside its `with` block")
        return self._quarantine

    def _refuse_what_is_no_cache(self) -> bool:
        """Whether the cache is new; checked before anything is made, so that a refusal leaves no trace."""
        if not os.path.lexists(self.directory):
            return True
        if not self.directory.is_dir():
            raise InputError(f"{self.directory} is a file, not a cache directory")
        if (self.directory / SHARDS).is_symlink():
            raise InputError(
                f"{self.directory / SHARDS} is a link, and nothing is written or moved through one: "
                "give the folder that holds the cache itself, or move the shards back into it"
            )
        refuse_export(self.directory)
        if os.path.lexists(self.directory / DESCRIPTION) or recorded(self.directory):
            return False
        begun = {LOCK, LIST, SHARDS, *(path.name for path in leftovers(self.directory))}
        strangers = {path.name for path in self.directory.iterdir()} - begun
        if strangers or ((self.directory / SHARDS).exists() and any((self.directory / SHARDS).iterdir())):
            raise InputError(f"{self.directory} is neither empty nor a feature cache: give another directory")
        return True

    def _open(self) -> None:
        mine = Description(self.fingerprint, self._versions, self._notes)
        if self._new:
            (self.directory / SHARDS).mkdir(exist_ok=True)
            write_list(self.directory, ())
            write_description(self.directory, mine)
        shards = self.directory / SHARDS
        lines = []
        if os.path.lexists(shards) and not shards.is_dir():
            lines.append(f"{SHARDS} was no folder: moved to {set_aside(self.directory, shards)}")
        _, described = settle_description(self.directory, mine)
        shards.mkdir(exist_ok=True)
        sync_directory(self.directory)
        mended = Mending(self.directory, check=self._check, on_shard=self._on_shard).done()
        self.lines, self.lost = (*lines, *described, *mended.lines), mended.lost
        for record in mended.contents.shards:
            self._names.add(record.name)
            self._shapes = record.visual_shape, record.audio_shape
            for clip in record.ids:
                self._have.setdefault(clip, record.name)
        self._quarantine = Quarantine(self.directory)

    def _leave_no_trace(self) -> None:
        """Take away a new cache into which nothing came, unless it holds what is not the writer's."""
        own = {DESCRIPTION, LIST, QUARANTINE, LOCK, *self._beside}
        with contextlib.suppress(OSError):
            if {path.name for path in self.directory.iterdir()} <= {*own, SHARDS}:
                if (self.directory / SHARDS).exists():
                    (self.directory / SHARDS).rmdir()  # fails where it holds something
                for name in own:
                    (self.directory / name).unlink(missing_ok=True)
                if self._made_folder:
                    self.directory.rmdir()

    def _take_note(self, record: ShardRecord) -> None:
        """Enter a finished shard in the list and count its clips as held."""
        add_to_list(self.directory, record)
        for lost in self.lost:
            if lost.name == record.name:
                self.made_again[record.name] = record.sha256 == lost.record.sha256
        self._names.add(record.name)
        self._shapes = record.visual_shape, record.audio_shape
        for clip in record.ids:
            self._have[clip] = record.name
        self.release(record.ids)
