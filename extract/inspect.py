"""`avcil-extract status`, `verify` and `export`: look at a cache that exists."""

from collections import Counter
from pathlib import Path

import torch
from rich.console import Console

from ..cache import FeatureCache, mending, read_quarantine, scan
from ..cache import verify as verify_cache
from ..cache.derived import derivation_of
from ..errors import InputError, unknown
from ..manifests import SPLITS
from ..wording import RANDOM_WEIGHTS, number_of, size
from .clips import benchmark_of
from .config import ClipList
from .progress import checking

EXPORT_TYPES = {"float16": torch.float16, "float32": torch.float32}


def status_lines(cache: Path, clips: ClipList | None) -> list[str]:
    """What a cache holds, how it was made, and how much of a list of clips, if one is given, it covers.

    Raises:
        InputError: not a cache, or something is wrong with the list.
    """
    contents = scan(cache)
    facts = contents.description.fingerprint.facts
    held = frozenset(clip for record in contents.shards for clip in record.ids)
    taken = size(sum(record.bytes for record in contents.shards))
    lines = [f"{cache}: {number_of(len(held), 'clip')} in {number_of(len(contents.shards), 'shard')}, {taken}"]
    if contents.shards:
        first = contents.shards[0]
        shapes = " and ".join(" x ".join(map(str, shape)) for shape in (first.visual_shape, first.audio_shape))
        lines.append(f"features: {shapes}, {first.storage}")
    if (how := derivation_of(facts)) is not None:
        where = contents.description.notes.get("derived_from", "another cache")
        lines.append(f"derived: {how}; source: {where}")
    for modality in ("visual", "audio"):
        encoder = facts.get(f"{modality}_encoder", {})
        weights = encoder.get("weights_sha256", encoder.get("weights", "weights unknown"))
        if encoder.get("random_weights"):
            weights = "RANDOM weights"
        known = (encoder.get("encoder", "unknown"), encoder.get("precision"), weights)
        lines.append(f"{modality} encoder: {', '.join(word for word in known if word)}")
    lines.append(f"recipe: {facts.get('recipe', {}).get('name', '?')}")
    lines.append(f"fingerprint: {contents.description.fingerprint.digest}")
    if contents.description.fingerprint.random_weights:
        lines.append(RANDOM_WEIGHTS)
    quarantined = read_quarantine(cache)
    if quarantined:
        reasons = Counter(entry["reason"] for entry in quarantined.values()).most_common()
        why = ", ".join(f"{reason} {count}" for reason, count in reasons)
        lines.append(f"quarantined: {len(quarantined)} ({why}; words in {cache / 'quarantine.json'})")
    lines += [f"damaged: {damaged.words}" for damaged in contents.damaged]
    if contents.damaged:
        lines.append(mending(cache))
    lines += [f"unfinished, no data: {path.name}" for path in contents.leftovers]
    lines += [f"no part of the cache: {path.name}" for path in contents.strangers]
    if clips is not None:
        table = benchmark_of(clips).manifest
        for split in SPLITS:
            of_split = table.of_split(split)
            lines.append(f"{table.name} {split}: {sum(clip.id in held for clip in of_split)} of {len(of_split)} clips")
    return lines


def verified(cache: Path, console: Console) -> tuple[bool, list[str]]:
    """Check a cache; whether all is well, and the lines to print.

    Raises:
        InputError: not a cache.
    """
    with checking(len(scan(cache).shards), console) as on_shard:
        report = verify_cache(cache, on_shard=on_shard)
    lines = [*map(str, report.problems), *report.remarks]
    count = len(report.problems)
    words = "as it was written" if report.ok else f"{number_of(count, 'problem')}; {report.mending}"
    held = f"{number_of(report.clips, 'clip')} in {number_of(report.shards, 'shard')}"
    lines.append(f"{cache}: {held}, {size(report.bytes)}: {words}")
    return report.ok, lines


def exported(cache: Path, out: Path, dtype: str | None, clips: ClipList | None) -> list[str]:
    """Write plain numpy files, of a list of clips only if one is given; returns the lines to print.

    Raises:
        InputError: as `FeatureCache` and its `export`; no such type.
    """
    if dtype is not None and dtype not in EXPORT_TYPES:
        raise unknown("value for --dtype", dtype, EXPORT_TYPES)
    features = FeatureCache(cache)
    ids = list(features.ids)
    if clips is not None:
        table = benchmark_of(clips).manifest
        ids = [clip.id for clip in table.clips if clip.id in features]
        if not ids:
            raise InputError(f"{cache} holds no clip of {table.name}")
    features.export(out, ids=ids, dtype=None if dtype is None else EXPORT_TYPES[dtype])
    lines = [f"{out}: {number_of(len(ids), 'clip')} in visual.npy, audio.npy and clips.csv"]
    if features.random_weights:
        lines.append(RANDOM_WEIGHTS)
    return lines
