"""cache.json: what made a cache. Lost or damaged, it is written again from what the shards say of themselves."""

import contextlib
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_json, write_json
from .fingerprint import Fingerprint
from .layout import FORMAT_VERSION, ShardRecord, read_record
from .shard_list import LIST, read_list

CACHE_FORMAT = "avcil-cache"
DESCRIPTION = "cache.json"
EXPORTED = "features.json"
"""Of a folder that `export` wrote; those of version 0.2 and before have a cache.json instead."""
SHARDS = "shards"


@dataclass(frozen=True)
class Description:
    """The content of cache.json."""

    fingerprint: Fingerprint
    versions: Mapping[str, str]
    """Of the libraries of the first writer; each shard's record has its own."""
    notes: Mapping[str, Any]
    """Whatever the first writer wanted to say; means nothing to the cache."""
    listed: bool = True
    """Whether the cache has a list of its shards; those of version 0.1 have none until they are next written to."""


def mending(directory: Path) -> str:
    """What to do about a damaged cache, as the end of an error's line."""
    return f"`avcil-extract repair --cache {shlex.quote(str(directory))}` mends it"


def refuse_export(directory: Path) -> None:
    """Raise InputError where `directory` is what `export` wrote: it looks like a cache, and is none."""
    parts = (EXPORTED, DESCRIPTION)
    plain = all((directory / name).is_file() for name in ("visual.npy", "audio.npy", "clips.csv"))
    if plain and any((directory / name).is_file() for name in parts) and not (directory / SHARDS).exists():
        visual, audio = (shlex.quote(str(directory / f"{name}.npy")) for name in ("visual", "audio"))
        raise InputError(
            f"{directory} holds exported features and is no cache: `avcil-extract import --visual {visual} "
            f"--audio {audio}` makes one of it"
        )


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
    if description.listed:
        content["list"] = LIST
    write_json(directory / DESCRIPTION, content)


def read_description(directory: Path) -> Description:
    """Read cache.json; `InputError` when the directory is not a cache of this format, or the file is damaged."""
    path = directory / DESCRIPTION
    refuse_export(directory)
    if not path.exists():
        if recorded(directory):
            raise InputError(f"{directory} has lost its {DESCRIPTION}: {mending(directory)}")
        raise InputError(f"{directory} is not a feature cache: it has no {DESCRIPTION}")
    try:
        content = read_json(path)
        if not isinstance(content, dict) or content.get("format") != CACHE_FORMAT:
            raise InputError(f"{path} does not describe a feature cache (format is not '{CACHE_FORMAT}')")
    except InputError as error:
        raise InputError(f"{error}: {mending(directory)}") from None
    if content.get("format_version") != FORMAT_VERSION:
        raise NewerFormat(
            f"{directory} has format version {content.get('format_version')}; this program reads {FORMAT_VERSION}"
        )
    for key in ("facts", "versions", "notes"):
        if not isinstance(content.get(key), dict):
            raise InputError(f"{path} is damaged ('{key}' is not a table): {mending(directory)}")
    try:
        fingerprint = Fingerprint(content["facts"])
        agrees = fingerprint.digest == content.get("fingerprint")
    except ValueError:  # text that is no Unicode
        agrees = False
    if not agrees:
        raise InputError(f"{path} is damaged (its facts do not have the fingerprint it states): {mending(directory)}")
    return Description(fingerprint, content["versions"], content["notes"], listed=content.get("list") is not None)


class StrangeDescription(InputError):  # noqa: N818 - says what is so
    """cache.json is sound, but no shard has the fingerprint that it states."""


class NewerFormat(InputError):  # noqa: N818 - nothing is wrong with the cache
    """A cache that another version of this program has to read."""


def recorded(directory: Path) -> list[ShardRecord]:
    """The records of a cache, of its list or else of the files, whatever became of cache.json."""
    listed = read_list(directory)
    if listed is not None and listed.records:
        return list(listed.records.values())
    records = []
    for path in sorted((directory / SHARDS).glob("*.json")):
        if path.is_file():
            with contextlib.suppress(InputError):
                records.append(read_record(path))
    return records


def described_by(records: Iterable[ShardRecord]) -> tuple[str | None, Description | None]:
    """The fingerprint that most shards have, and cache.json's content if one of them carries it.

    Records of version 0.1 carry the fingerprint's digest alone.
    """
    records = list(records)
    if not records:
        return None, None
    [(digest, _)] = Counter(record.fingerprint for record in records).most_common(1)
    for record in records:
        if record.facts is not None and record.fingerprint == digest:
            fingerprint = Fingerprint(record.facts)
            if fingerprint.digest == digest:
                return digest, Description(fingerprint, record.versions, record.notes or {})
    return digest, None


def origin_of(directory: Path) -> Description | None:
    """What made a cache, from cache.json or else from its shards; None where neither says it, or there is no cache.

    Raises:
        InputError: the cache is of another format version.
    """
    try:
        return read_description(directory)
    except NewerFormat:
        raise
    except InputError:
        return described_by(recorded(directory))[1]
