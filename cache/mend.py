"""What a writer does with a cache before it adds to it: finish, clear away, put right, set aside.

Nothing of anybody else's is touched, and nothing damaged is deleted. What cannot be put right without making clips
again is told to the writer.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import LEFTOVER, leftovers, read_json, rename_durably, sha256_of, write_json
from .aside import set_aside
from .contents import Contents, scan
from .description import SHARDS, write_description
from .layout import ShardRecord, read_record, record_of
from .marks import audio_crc32_of, record_in
from .quarantine import QUARANTINE, read_quarantine
from .shard_list import LIST, write_list
from .verify import check_shard, verified

UNKNOWN = "0" * 64  # in place of a hash


@dataclass(frozen=True)
class Lost:
    """A shard whose clips have to be made again."""

    name: str
    ids: tuple[str, ...]
    """Its clips, in the order of the rows, less those that another shard or the quarantine has by now."""
    record: ShardRecord
    """What it was."""


@dataclass(frozen=True)
class Mended:
    """A cache in which nothing damaged is left."""

    contents: Contents
    lost: tuple[Lost, ...]
    lines: tuple[str, ...]
    """What was done, a line each."""


class Mending:
    """One putting in order of a cache; its lock has to be held.

    Args:
        directory: the cache, with a sound cache.json.
        check: whether to check every byte, as `verify` does; otherwise what a glance shows.
        on_shard: called with each shard's name when it has been checked.
    """

    def __init__(self, directory: Path, *, check: bool, on_shard: Callable[[str], None] | None = None) -> None:
        self.directory, self.folder = directory, directory / SHARDS
        self._check, self._on_shard = check, on_shard
        self._lines: list[str] = []

    def done(self) -> Mended:
        """Put everything in order.

        Raises:
            InputError: something cannot be read, moved or written.
        """
        self._finish_what_was_begun()
        self._mend_quarantine()
        contents = scan(self.directory)
        self._lines += [
            f"{path.relative_to(self.directory)} is no part of the cache and is left alone"
            for path in contents.strangers
        ]
        hurt = {damaged.name: damaged.words for damaged in contents.damaged}
        if self._check:
            for problem in verified(contents, on_shard=self._on_shard).problems:
                if problem.shard is not None:
                    hurt.setdefault(problem.shard, str(problem))
        mended = {name for name in hurt if self._write_record_again(contents, name)}
        contents = scan(self.directory)
        mended -= {damaged.name for damaged in contents.damaged}
        hurt = {name: words for name, words in hurt.items() if name not in mended}
        self._mend_list(contents, hurt)
        for name, words in hurt.items():
            self._set_aside(name, words)
        contents = scan(self.directory)
        return Mended(contents, tuple(self._lost(contents)), tuple(self._lines))

    def _finish_what_was_begun(self) -> None:
        """Give a shard its record where only the record's name was lacking; remove what is unfinished."""
        for path in [*leftovers(self.directory), *leftovers(self.folder)]:
            if path.parent == self.folder and self._finish(path):
                self._lines.append(f"{path.name.partition('.json')[0]} was written and lacked its record: finished")
            else:
                path.unlink()
                self._lines.append(f"{path.name} was left unfinished: removed")

    def _finish(self, path: Path) -> bool:
        match = LEFTOVER.fullmatch(path.name)
        assert match is not None
        target = self.folder / match["name"]
        if target.suffix != ".json" or os.path.lexists(target):
            return False
        try:
            record = record_of(read_json(path), str(path))
            whole = record.name == target.stem and sha256_of(self.folder / record.file_name) == record.sha256
        except (InputError, OSError):
            return False
        if whole:
            rename_durably(path, target)
        return whole

    def _mend_quarantine(self) -> None:
        try:
            read_quarantine(self.directory)
        except InputError:
            place = set_aside(self.directory, self.directory / QUARANTINE)
            self._lines.append(f"{QUARANTINE} was damaged: moved to {place}; its clips are tried again")

    def _mend_list(self, contents: Contents, hurt: Mapping[str, str]) -> None:
        """Enter shards that are whole, and those that are about to be set aside, lest they be forgotten."""
        there = {} if contents.listed is None else dict(contents.listed.records)
        missing = [record for record in contents.shards if record.name not in there]
        for damaged in (damaged for damaged in contents.damaged if damaged.name not in there and not damaged.foreign):
            record = damaged.record or record_in(self.folder / f"{damaged.name}.h5", UNKNOWN, {})
            if record is not None and record.fingerprint == contents.description.fingerprint.digest:
                missing.append(record)
            else:
                self._lines.append(
                    f"which clips shard {damaged.name} held cannot be told: a run makes what its list of clips lacks"
                )
        stale = contents.listed is None or contents.listed.damaged or contents.listed.unfinished
        if not missing and not stale:
            return
        if contents.listed is None and contents.description.listed:
            self._lines.append(f"{LIST} was missing: written again from what is there")
        elif contents.listed is not None and contents.listed.damaged:
            place = set_aside(self.directory, self.directory / LIST)
            self._lines.append(f"{LIST} was damaged: moved to {place}, and written again from what is there")
        for record in missing:
            there[record.name] = self._completed(contents, record, whole=record.name not in hurt)
        write_list(self.directory, there.values())
        if not contents.description.listed:
            write_description(self.directory, dataclasses.replace(contents.description, listed=True))

    def _completed(self, contents: Contents, record: ShardRecord, *, whole: bool) -> ShardRecord:
        """A record with what those of version 0.1 lack; checksums only where every byte has been checked."""
        if record.facts is None:
            known = contents.description
            record = dataclasses.replace(record, facts=dict(known.fingerprint.facts), notes=dict(known.notes))
        if record.audio_crc32 or not whole or not self._check:
            return record
        crc32 = tuple(contents.crc32[record.name].tolist())
        return dataclasses.replace(record, crc32=crc32, audio_crc32=audio_crc32_of(contents.shard_path(record), record))

    def _write_record_again(self, contents: Contents, name: str) -> bool:
        """Mend a hurt shard whose file is whole: by the list, or by what the file says of itself."""
        path, file = self.folder / f"{name}.json", self.folder / f"{name}.h5"
        listed = None if contents.listed is None else contents.listed.records.get(name)
        record = listed or self._record_in_file(contents, path, file)
        if record is None or self._says(path, record) or list(check_shard(file, record)):
            return False
        if os.path.lexists(path):
            self._lines.append(f"{name}.json was damaged: moved to {set_aside(self.directory, path)}")
        write_json(path, record.to_json())
        self._lines.append(f"{name}.json was written again; shard {name} is whole")
        return True

    def _record_in_file(self, contents: Contents, path: Path, file: Path) -> ShardRecord | None:
        """What an unlisted shard's file says of itself.

        None where its record is as good, or states another hash, or where the file is not of this cache.
        """
        said: Mapping[str, Any] = {}
        if not file.is_file():
            return None
        try:
            sha256 = sha256_of(file)
            if path.is_file() and isinstance(content := read_json(path), dict):
                said = content
                if not list(check_shard(file, read_record(path))):
                    return None
        except OSError:
            return None
        except InputError:
            pass
        stated = said.get("sha256")
        if isinstance(stated, str) and len(stated) == len(UNKNOWN) and stated != sha256:
            return None
        record = record_in(file, sha256, said.get("versions"))
        if record is None or record.fingerprint != contents.description.fingerprint.digest:
            return None
        held = (clip for other in contents.shards if other.name != file.stem for clip in other.ids)
        return record if set(record.ids).isdisjoint(held) else None

    def _set_aside(self, name: str, words: str) -> None:
        # The record first: without it the shard is no data, whatever happens before the next line.
        paths = [self.folder / f"{name}{suffix}" for suffix in (".json", ".h5")]
        places = [set_aside(self.directory, path) for path in paths if os.path.lexists(path)]
        self._lines.append(f"{words}: moved to {' and '.join(places)}" if places else words)

    def _says(self, path: Path, record: ShardRecord) -> bool:
        """Whether the file says that already, so that writing it again would mend nothing."""
        try:
            return path.is_file() and bool(read_json(path) == record.to_json())
        except InputError:
            return False

    def _lost(self, contents: Contents) -> Iterator[Lost]:
        """Listed shards that are missing; a clip of two of them has to be made once."""
        held = {clip for record in contents.shards for clip in record.ids} | read_quarantine(self.directory).keys()
        for damaged in contents.damaged:
            assert damaged.record is not None
            ids = tuple(clip for clip in damaged.record.ids if clip not in held)
            held.update(ids)
            if ids:
                yield Lost(damaged.name, ids, damaged.record)
