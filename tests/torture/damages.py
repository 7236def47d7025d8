"""Ways of damaging a cache.

Each takes the cache and random choices, and returns what `verify` has to name: a clip, a shard or a file; or None where
it cannot be done here.
"""

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from avcil.cache import CacheWriter, Fingerprint

from .workspace import flip

DEEP = 200_000
"""Levels of a JSON file that Python cannot follow."""


Do = Callable[[Path, Random], str | None]


@dataclass(frozen=True)
class Damage:
    """A kind of damage."""

    what: str
    group: str
    """The line of the table that it counts in."""
    do: Do


DAMAGES: list[Damage] = []
BYTES, FILES, RECORDS, TEXTS, SHARDS = (
    "a cache: bytes of a shard flipped, zeroed, cut off, not finite",
    "a cache: files gone, swapped, or something else in their place",
    "a cache: a record edited",
    "a cache: cache.json, quarantine.json, records: gone, edited, no JSON, too deep",
    "a cache: a shard that does not belong there",
)


def _kind(what: str, group: str) -> Callable[[Do], Do]:
    def note(do: Do) -> Do:
        DAMAGES.append(Damage(what, group, do))
        return do

    return note


@dataclass(frozen=True)
class Shard:
    """One of a cache."""

    file: Path
    """Of HDF5."""
    record: Path

    @property
    def content(self) -> dict[str, Any]:
        """Of the record."""
        content: dict[str, Any] = json.loads(self.record.read_text())
        return content

    @property
    def name(self) -> str:
        return self.file.stem

    def edit(self, change: Callable[[dict[str, Any]], object]) -> str:
        """Change the record; returns the shard's name."""
        content = self.content
        change(content)
        self.record.write_text(json.dumps(content))
        return self.name

    def where(self, data_set: str, row: int) -> tuple[int, int]:
        """First byte of a row of a data set and the byte behind it."""
        place = self.content["datasets"][data_set]
        size = int(np.prod(place["shape"][1:], dtype=int)) * np.dtype(place["dtype"]).itemsize
        begin = place["offset"] + row * size
        return begin, begin + size


def shards_in(cache: Path) -> list[Shard]:
    """All shards, by name."""
    return [Shard(path, path.with_suffix(".json")) for path in sorted((cache / "shards").glob("*.h5"))]


def one_of(cache: Path, draw: Random) -> tuple[Shard, int, str]:
    """A shard, a row of it and the clip in it."""
    shard = draw.choice(shards_in(cache))
    ids = shard.content["ids"]
    row = draw.randrange(len(ids))
    return shard, row, ids[row]


def overwrite(path: Path, at: int, data: bytes) -> None:
    """Replace bytes in the middle of a file."""
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(data)


# ------------------------------------------------------------------------------------------------ bytes


def _flip_in(data_set: str) -> Callable[[Path, Random], str]:
    def do(cache: Path, draw: Random) -> str:
        shard, row, clip = one_of(cache, draw)
        flip(shard.file, draw, *shard.where(data_set, row))
        return clip if data_set != "id" else shard.name

    return do


for _name, _words in {
    "visual": "a bit flipped in a clip's visual features",
    "audio": "a bit flipped in a clip's audio features",
    "crc32": "a bit flipped in the table of checksums",
    "id": "a bit flipped in the table of ids",
}.items():
    _kind(_words, BYTES)(_flip_in(_name))


@_kind("the HDF5 header zeroed", BYTES)
def _(cache: Path, draw: Random) -> str:
    shard, _, _ = one_of(cache, draw)
    overwrite(shard.file, 0, bytes(96))
    return shard.name


@_kind("a bit flipped anywhere in a shard", BYTES)
def _(cache: Path, draw: Random) -> str:
    shard, _, _ = one_of(cache, draw)
    flip(shard.file, draw, 0, shard.file.stat().st_size)
    return shard.name


@_kind("a page of a shard zeroed", BYTES)
def _(cache: Path, draw: Random) -> str:
    shard, row, _ = one_of(cache, draw)
    begin, end = shard.where("visual", row)
    overwrite(shard.file, begin, bytes(end - begin))
    return shard.name


@_kind("a shard cut short", BYTES)
def _(cache: Path, draw: Random) -> str:
    shard, _, _ = one_of(cache, draw)
    os.truncate(shard.file, draw.randrange(shard.file.stat().st_size))
    return shard.name


@_kind("a shard grown longer", BYTES)
def _(cache: Path, draw: Random) -> str:
    shard, _, _ = one_of(cache, draw)
    with shard.file.open("ab") as stream:
        stream.write(draw.randbytes(draw.randrange(1, 5000)))
    return shard.name


def _not_finite(value: float) -> Callable[[Path, Random], str]:
    """With checksum and hash made to fit, as a writer with a fault of its own would have left it."""

    def do(cache: Path, draw: Random) -> str:
        shard, row, _ = one_of(cache, draw)
        begin, _ = shard.where("visual", row)
        overwrite(shard.file, begin, struct.pack("<e", value))
        data = shard.file.read_bytes()
        crc32 = 0
        for data_set in ("visual", "audio"):
            begin, end = shard.where(data_set, row)
            crc32 = zlib.crc32(data[begin:end], crc32)
        overwrite(shard.file, shard.where("crc32", row)[0], struct.pack("<I", crc32))

        def fit(content: dict[str, Any]) -> None:
            content["sha256"] = hashlib.sha256(shard.file.read_bytes()).hexdigest()
            if content.get("crc32"):
                content["crc32"][row] = crc32

        return shard.edit(fit)

    return do


_kind("not-a-number in a clip's features", BYTES)(_not_finite(float("nan")))
_kind("infinity in a clip's features", BYTES)(_not_finite(float("inf")))


# ------------------------------------------------------------------------------------------------ files


@_kind("two shards of one size swapped", FILES)
def _(cache: Path, draw: Random) -> str | None:
    by_size: dict[int, list[Shard]] = {}
    for shard in shards_in(cache):
        by_size.setdefault(shard.file.stat().st_size, []).append(shard)
    pairs = [shards for shards in by_size.values() if len(shards) > 1]
    if not pairs:
        return None
    one, other = draw.sample(draw.choice(pairs), 2)
    aside = one.file.with_name("aside")
    one.file.rename(aside)
    other.file.rename(one.file)
    aside.rename(other.file)
    return one.name


@_kind("a shard's record gone", FILES)
def _(cache: Path, draw: Random) -> str:
    shard, _, _ = one_of(cache, draw)
    shard.record.unlink()
    return shard.name


@_kind("a shard's file gone", FILES)
def _(cache: Path, draw: Random) -> str:
    shard, _, _ = one_of(cache, draw)
    shard.file.unlink()
    return shard.name


@_kind("a shard gone", FILES)
def _(cache: Path, draw: Random) -> str:
    shard, _, _ = one_of(cache, draw)
    shard.file.unlink()
    shard.record.unlink()
    return shard.name


@_kind("shards/ gone", FILES)
def _(cache: Path, draw: Random) -> str:
    shard, _, _ = one_of(cache, draw)
    for one in shards_in(cache):
        one.file.unlink()
        one.record.unlink()
    (cache / "shards").rmdir()
    return shard.name


@_kind("shards/ may not be read", FILES)
def _(cache: Path, draw: Random) -> str | None:
    if os.geteuid() == 0:
        return None
    (cache / "shards").chmod(0)
    return "shards"


def _in_place(part: str, make: Callable[[Path], object]) -> Do:
    def do(cache: Path, draw: Random) -> str:
        shard, _, _ = one_of(cache, draw)
        path: Path = getattr(shard, part)
        path.unlink()
        make(path)
        return shard.name

    return do


for _part, _words in {"file": "a shard", "record": "a record"}.items():
    _kind(f"a link that leads nowhere in place of {_words}", FILES)(
        _in_place(_part, lambda path: path.symlink_to("nowhere"))
    )
    _kind(f"a folder in place of {_words}", FILES)(_in_place(_part, Path.mkdir))
    _kind(f"an empty file in place of {_words}", FILES)(_in_place(_part, Path.touch))


# ------------------------------------------------------------------------------------------------ records


def _edited(change: Callable[[dict[str, Any], Random], object]) -> Callable[[Path, Random], str]:
    def do(cache: Path, draw: Random) -> str:
        shard = max(shards_in(cache), key=lambda shard: len(shard.content["ids"]))
        return shard.edit(lambda content: change(content, draw))

    return do


def _swap_ids(content: dict[str, Any], draw: Random) -> None:
    ids = content["ids"]
    one, other = draw.sample(range(len(ids)), 2)
    ids[one], ids[other] = ids[other], ids[one]


def _rename_id(content: dict[str, Any], draw: Random) -> None:
    content["ids"][draw.randrange(len(content["ids"]))] = "another"


def _move(content: dict[str, Any], draw: Random) -> None:
    place = content["datasets"]["visual"]
    place["offset"] -= draw.choice((2, 64, 128))


def _other_shape(content: dict[str, Any], draw: Random) -> None:
    place = content["datasets"]["visual"]
    clips, slices, tokens, width = place["shape"]
    place["shape"] = [clips, 2 * slices, tokens, width // 2]


EDITS: Mapping[str, Callable[[dict[str, Any], Random], object]] = {
    "ids swapped in a record": _swap_ids,
    "an id renamed in a record": _rename_id,
    "an offset moved in a record": _move,
    "the shape of the features edited in a record": _other_shape,
    "the hash edited in a record": lambda content, draw: content.update(sha256=f"{draw.getrandbits(256):064x}"),
    "the size edited in a record": lambda content, draw: content.update(bytes=content["bytes"] + 1),
    "the fingerprint edited in a record": lambda content, draw: content.update(fingerprint="0" * 64),
    "storage edited to bfloat16 in a record": lambda content, draw: content.update(storage="bfloat16"),
    "storage edited to float32 in a record": lambda content, draw: content.update(storage="float32"),
    "storage edited to int8 in a record": lambda content, draw: content.update(storage="int8"),
    "another byte order in a record": lambda content, draw: content["datasets"]["visual"].update(dtype=">f2"),
    "garbage for a dtype in a record": lambda content, draw: content["datasets"]["visual"].update(dtype="f2;x"),
    "a data set taken out of a record": lambda content, draw: content["datasets"].pop("audio"),
    "an id left out of a record": lambda content, draw: content["ids"].pop(),
}
for _words, _change in EDITS.items():
    _kind(_words, RECORDS)(_edited(_change))


def _text(file: str, text: str) -> Callable[[Path, Random], str]:
    def do(cache: Path, draw: Random) -> str:
        shard, _, _ = one_of(cache, draw)
        path = shard.record if file == "record" else cache / file
        path.write_text(text)
        return shard.name if file == "record" else file

    return do


_kind("a record that is no JSON", TEXTS)(_text("record", "{"))
_kind("a record nested too deeply", TEXTS)(_text("record", "[" * DEEP))
_kind("cache.json that is no JSON", TEXTS)(_text("cache.json", "{"))
_kind("cache.json nested too deeply", TEXTS)(_text("cache.json", "[" * DEEP))
_kind("quarantine.json that is no JSON", TEXTS)(_text("quarantine.json", "garbage"))
_kind("quarantine.json of another shape", TEXTS)(_text("quarantine.json", '{"a": 1}'))


@_kind("cache.json gone", TEXTS)
def _(cache: Path, draw: Random) -> str:
    (cache / "cache.json").unlink()
    return "cache.json"


@_kind("a fact edited in cache.json", TEXTS)
def _(cache: Path, draw: Random) -> str:
    content = json.loads((cache / "cache.json").read_text())
    content["facts"]["storage"] = "float32"
    (cache / "cache.json").write_text(json.dumps(content))
    return "cache.json"


# ------------------------------------------------------------------------------------------------ other shards


def _add_shard(cache: Path, draw: Random, facts: Mapping[str, Any], ids: list[str]) -> str:
    """Lay a shard of random features, whole in itself, beside the others."""
    shapes = shards_in(cache)[0].content["datasets"]
    visual, audio = (tuple(shapes[name]["shape"][1:]) for name in ("visual", "audio"))
    numbers = np.random.default_rng(draw.getrandbits(32))
    other, name = cache.parent / "other", "shard-00000-0ddba11d"
    with CacheWriter(other, Fingerprint(facts)) as writer:
        writer.write_shard(
            name, ids, numbers.standard_normal((len(ids), *visual)), numbers.standard_normal((len(ids), *audio))
        )
    for suffix in (".h5", ".json"):
        (other / "shards" / f"{name}{suffix}").rename(cache / "shards" / f"{name}{suffix}")
    return name


@_kind("a second shard with other features of the same clips", SHARDS)
def _(cache: Path, draw: Random) -> str:
    facts = json.loads((cache / "cache.json").read_text())["facts"]
    return _add_shard(cache, draw, facts, draw.choice(shards_in(cache)).content["ids"])


@_kind("a shard of another cache", SHARDS)
def _(cache: Path, draw: Random) -> str:
    return _add_shard(cache, draw, {"storage": "float16", "made": "elsewhere"}, ["foreign"])
