"""What lies in a cache directory, told from its JSON files and file sizes alone.

cache.json        format, fingerprint, versions, notes
quarantine.json   clips that could not be encoded
shards/NAME.h5    features; data only if NAME.json lies beside it
shards/NAME.json
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import PART_SUFFIX, read_json, write_json
from .fingerprint import Fingerprint
from .layout import FORMAT_VERSION, ShardRecord, read_record

CACHE_FORMAT = "avcil-cache"
DESCRIPTION = "cache.json"
SHARDS = "shards"


@dataclass(frozen=True)
class Description:
    """The content of cache.json."""

    fingerprint: Fingerprint
    versions: Mapping[str, str]
    """Of the libraries of the first writer; each shard's record has its own."""
    notes: Mapping[str, Any]
    """Whatever the first writer wanted to say; means nothing to the cache."""


@dataclass(frozen=True)
class Damaged:
    """A shard whose record or size says at a glance that it cannot be used."""

    name: str
    words: str
    """One line: what is wrong with it."""
    foreign: bool = False
    """Whether it is whole but belongs to a cache with another fingerprint."""


@dataclass(frozen=True)
class Contents:
    """What a cache directory holds."""

    directory: Path
    description: Description
    shards: tuple[ShardRecord, ...]
    """Complete ones, by name."""
    damaged: tuple[Damaged, ...]
    """Recorded as complete, but not usable."""
    leftovers: tuple[Path, ...]
    """What a killed writer or a removed file left: .part files, a shard without its record, a record without
    its shard. Never data; the next writer clears them away."""
    duplicates: tuple[str, ...]
    """One line for each clip that two shards hold; the first shard's is the one that counts."""

    def shard_path(self, record: ShardRecord) -> Path:
        """Where a shard's HDF5 file lies."""
        return self.directory / SHARDS / record.file_name


def write_description(directory: Path, description: Description) -> None:
    """Write cache.json."""
    content = {
        "format": CACHE_FORMAT,
        "format_version": FORMAT_VERSION,
        "fingerprint": description.fingerprint.digest,
        "facts": description.fingerprint.facts,
        "versions": dict(description.versions),
        "notes": dict(description.notes),
    }
    write_json(directory / DESCRIPTION, content)


def read_description(directory: Path) -> Description:
    """Read cache.json; `InputError` when the directory is not a cache of this format."""
    path = directory / DESCRIPTION
    if not path.is_file():
        raise InputError(f"{directory} is not a feature cache: it has no {DESCRIPTION}")
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != CACHE_FORMAT:
        raise InputError(f"{path} does not describe a feature cache (format is not '{CACHE_FORMAT}')")
    if content.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"{directory} has format version {content.get('format_version')}; this program reads {FORMAT_VERSION}"
        )
    for key in ("facts", "versions", "notes"):
        if not isinstance(content.get(key), dict):
            raise InputError(f"{path} is damaged: '{key}' is not a table")
    fingerprint = Fingerprint(content["facts"])
    if fingerprint.digest != content.get("fingerprint"):
        raise InputError(f"{path} is damaged: its facts do not have the fingerprint it states")
    return Description(fingerprint, content["versions"], content["notes"])


def scan(directory: Path) -> Contents:
    """Look through a cache directory, opening nothing but JSON files.

    Raises:
        InputError: it is not a cache of this format. Damage to single shards is reported, not raised.
    """
    directory = Path(directory)
    description = read_description(directory)
    digest = description.fingerprint.digest
    shards: list[ShardRecord] = []
    damaged: list[Damaged] = []
    leftovers: list[Path] = []
    entries = sorted((directory / SHARDS).glob("*"))
    sizes = {path.name: path.stat().st_size for path in entries if path.suffix == ".h5"}
    recorded = set()
    for path in entries:
        if path.name.endswith(PART_SUFFIX):
            leftovers.append(path)
        elif path.suffix == ".json":
            file_name = f"{path.stem}.h5"
            recorded.add(file_name)
            if file_name not in sizes:
                leftovers.append(path)
                continue
            try:
                record = read_record(path)
            except InputError as error:
                damaged.append(Damaged(path.stem, str(error)))
                continue
            size = sizes[file_name]
            if record.fingerprint != digest:
                words = f"shard {path.stem} was made for another cache: its fingerprint differs"
                damaged.append(Damaged(path.stem, words, foreign=True))
            elif size != record.bytes:
                words = f"has {size} bytes where its record says {record.bytes}"
                damaged.append(Damaged(path.stem, f"shard {path.stem} {words}"))
            else:
                shards.append(record)
    leftovers.extend(path for path in entries if path.suffix == ".h5" and path.name not in recorded)
    holder: dict[str, str] = {}
    duplicates = []
    for record in shards:
        for clip in record.ids:
            first = holder.setdefault(clip, record.name)
            if first != record.name:
                duplicates.append(f"clip '{clip}' is in shard {first} and in {record.name}")
    return Contents(directory, description, tuple(shards), tuple(damaged), tuple(sorted(leftovers)), tuple(duplicates))
