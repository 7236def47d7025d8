"""What lies in a cache directory, told from its JSON files and a few kilobytes of each shard.

cache.json        format, fingerprint, versions, notes
shards.list       every shard that has to be there
quarantine.json   clips that could not be encoded
shards/NAME.h5    features; data only if NAME.json lies beside it
shards/NAME.json
set-aside/        what was found damaged or foreign, and replaced
.lock             held by the process that writes
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import LEFTOVER, leftovers
from ..wording import number_of
from .description import DESCRIPTION, SHARDS, Description, StrangeDescription, mending, read_description
from .layout import ShardRecord, read_record
from .marks import checksums_of, record_in
from .quarantine import read_quarantine
from .shard_list import LIST, ShardList, read_list


@dataclass(frozen=True)
class Damaged:
    """A shard that should be there and, as a glance shows, cannot be used."""

    name: str
    words: str
    """One line: what is wrong with it."""
    foreign: bool = False
    """Whether it is whole but belongs to a cache with another fingerprint."""
    record: ShardRecord | None = None
    """What it should be: by the list, or else by its own record where that can be read."""


@dataclass(frozen=True)
class Contents:
    """What a cache directory holds."""

    directory: Path
    description: Description
    shards: tuple[ShardRecord, ...]
    """Complete ones, by name."""
    crc32: Mapping[str, NDArray[np.uint32]]
    """The checksums (N,) of their clips, by the shards' names."""
    damaged: tuple[Damaged, ...]
    """Those that should be there too, but are lost or not usable."""
    listed: ShardList | None
    """The list of what should be there; None in a cache of version 0.1, where lost shards cannot be told."""
    leftovers: tuple[Path, ...]
    """What a killed writer left. Never data; the next writer clears it away."""
    strangers: tuple[Path, ...]
    """What lies in shards/ and is no part of the cache; left alone."""
    duplicates: tuple[str, ...]
    """One line for each clip that two shards hold alike; the first shard's is the one that counts."""

    def shard_path(self, record: ShardRecord) -> Path:
        """Where a shard's HDF5 file lies."""
        return self.directory / SHARDS / record.file_name


def scan(directory: Path) -> Contents:
    """Look through a cache directory, opening nothing with HDF5.

    Raises:
        InputError: it is not a cache of this format, or cannot be read. Damage to shards is reported, not raised.
    """
    directory = Path(directory)
    description = read_description(directory)
    glance = _Glance(directory, description, read_list(directory))
    glance.look()
    return glance.contents()


class _Glance:
    """The look at each name that the list or the directory knows, put together bit by bit."""

    def __init__(self, directory: Path, description: Description, listed: ShardList | None) -> None:
        self.directory, self.description, self.listed = directory, description, listed
        self.expected = {} if listed is None else listed.records
        self.shards: dict[str, ShardRecord] = {}
        self.crc32: dict[str, NDArray[np.uint32]] = {}
        self.damaged: dict[str, Damaged] = {}
        self.strangers: list[Path] = []
        self.duplicates: list[str] = []

    def look(self) -> None:
        """Sort every shard in."""
        names = entries(self.directory / SHARDS)
        self.names = {name for name in names if not LEFTOVER.fullmatch(name)}
        known = {
            name.removesuffix(suffix) for suffix in (".h5", ".json") for name in self.names if name.endswith(suffix)
        }
        self.strangers = [self._path(name) for name in sorted(self.names) if not name.endswith((".h5", ".json"))]
        alone = []
        for name in sorted({*known, *self.expected}):
            if name not in self.expected and f"{name}.json" not in self.names:
                alone.append(name)
            else:
                self._look_at(name)
        self._refuse_strange_description()
        self._tell_apart()
        held = {clip for record in self.shards.values() for clip in record.ids}
        for name in alone:
            self._look_at_unrecorded(name, held)
        self._pass_over_what_was_made_again(held)

    def contents(self) -> Contents:
        """What came out."""
        folder = self.directory / SHARDS
        unfinished = [*leftovers(self.directory), *(leftovers(folder) if folder.is_dir() else [])]
        return Contents(
            directory=self.directory,
            description=self.description,
            shards=tuple(self.shards[name] for name in sorted(self.shards)),
            crc32=self.crc32,
            damaged=tuple(self.damaged[name] for name in sorted(self.damaged)),
            listed=self.listed,
            leftovers=tuple(unfinished),
            strangers=tuple(sorted(self.strangers)),
            duplicates=tuple(self.duplicates),
        )

    def _path(self, name: str) -> Path:
        return self.directory / SHARDS / name

    def _note(self, name: str, words: str, record: ShardRecord | None, *, foreign: bool = False) -> None:
        self.damaged[name] = Damaged(name, words, foreign, self.expected.get(name, record))

    def _look_at(self, name: str) -> None:
        """A shard that has a record or is listed."""
        listed, record = self.expected.get(name), None
        there = [suffix for suffix in (".json", ".h5") if f"{name}{suffix}" in self.names]
        if not there:
            return self._note(name, f"shard {name} is missing", None)
        if ".json" in there:
            try:
                record = _record_at(self._path(f"{name}.json"))
            except InputError as error:
                if listed is None and (there == [".json"] or self.listed is not None):
                    self.strangers += [self._path(f"{name}{suffix}") for suffix in there]
                    return None
                return self._note(name, str(error), None)
        if len(there) < 2:
            lacking = ".h5" if ".json" in there else ".json"
            return self._note(name, f"shard {name} is incomplete: {name}{lacking} is missing", record)
        assert record is not None
        try:
            crc32 = checksums_of(self._path(f"{name}.h5"), record)
        except InputError as error:
            return self._note(name, str(error), record)
        storage = self.description.fingerprint.facts.get("storage")
        if record.fingerprint != self.description.fingerprint.digest:
            words = f"shard {name} was made for another cache: its fingerprint differs"
            return self._note(name, words, record, foreign=True)
        if record.storage != storage:
            return self._note(name, f"shard {name} is {record.storage} in a cache of {storage}", record)
        if listed is not None and not _agree(record, listed):
            return self._note(name, f"shard {name} has another record than it was listed with in {LIST}", record)
        self.shards[name], self.crc32[name] = listed or record, crc32
        return None

    def _look_at_unrecorded(self, name: str, held: set[str]) -> None:
        """An .h5 file without a record: in a cache without a list it may be a shard that has lost it."""
        path = self._path(f"{name}.h5")
        record = None if self.listed is not None else record_in(path, "0" * 64, {})
        ours = record is not None and record.fingerprint == self.description.fingerprint.digest
        if record is None or not ours or held.intersection(record.ids):
            self.strangers.append(path)
        else:
            self._note(name, f"shard {name} is incomplete: {name}.json is missing", record)

    def _refuse_strange_description(self) -> None:
        """cache.json is not this cache's where its fingerprint is that of no shard."""
        whole = [damaged.record for damaged in self.damaged.values() if damaged.foreign]
        records = whole if self.listed is None else list(self.expected.values())
        digest = self.description.fingerprint.digest
        if records and not self.shards and all(record is None or record.fingerprint != digest for record in records):
            raise StrangeDescription(
                f"{self.directory / DESCRIPTION} is not this cache's: no shard has the fingerprint it states: "
                f"{mending(self.directory)}"
            )

    def _tell_apart(self) -> None:
        """Find clips that two shards hold: alike they do no harm, but of two that differ neither can be trusted."""
        holder: dict[str, tuple[str, int]] = {}
        for name in sorted(self.shards, key=lambda name: (name not in self.expected, name)):
            for row, clip in enumerate(self.shards[name].ids):
                first, place = holder.setdefault(clip, (name, row))
                if first == name:
                    continue
                if self.crc32[first][place] == self.crc32[name][row]:
                    self.duplicates.append(f"clip '{clip}' is in shard {first} and in {name}")
                    continue
                words = f"shards {first} and {name} hold different features for clip '{clip}'"
                for other in ({name} | ({first} - self.expected.keys())) - self.damaged.keys():
                    self._note(other, words, self.shards[other])
        for name in self.damaged:
            self.shards.pop(name, None)
            self.crc32.pop(name, None)

    def _pass_over_what_was_made_again(self, held: set[str]) -> None:
        """A listed shard may be missing where each of its clips is elsewhere by now, or in quarantine."""
        gone = [name for name in self.damaged if not {f"{name}.h5", f"{name}.json"} & self.names]
        if not gone:
            return
        with contextlib.suppress(InputError):
            held = held | read_quarantine(self.directory).keys()
        for name in gone:
            lost = [clip for clip in self.expected[name].ids if clip not in held]
            if lost:
                words = f"shard {name} is missing, and with it {number_of(len(lost), 'clip')}, the first '{lost[0]}'"
                self._note(name, words, None)
            else:
                del self.damaged[name]


def entries(folder: Path) -> list[str]:
    """The names in a folder; none where it does not exist, `InputError` where it cannot be read."""
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise InputError(f"{folder} is no folder: {mending(folder.parent)}") from None
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}") from None


def _record_at(path: Path) -> ShardRecord:
    if not path.is_file():  # a named pipe would be waited for
        raise InputError(f"{path} is no file")
    return read_record(path)


def _agree(record: ShardRecord, listed: ShardRecord) -> bool:
    """Whether a record says nothing else than the list; one of version 0.1 says less."""
    known = listed.to_json()
    return all(known.get(name) == value for name, value in record.to_json().items())
