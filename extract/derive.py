"""`avcil-extract derive`: a smaller cache from one that is there, shard by shard; no video and no encoder is asked.

The derived cache has the source's shards under their names, with their clips in the same order, its quarantine and the
lists beside it. Shards are finished one by one: what was stopped goes on, and what is whole is left alone.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from ..cache import CacheWriter, FeatureCache, NotStorable, scan
from ..cache.derived import Derivation, derivation, derivation_of
from ..cache.description import Description
from ..errors import InputError
from ..files import written_aside
from ..wording import RANDOM_WEIGHTS, size
from .choices import CHOICES
from .config import DerivationConfig
from .listing import LIST
from .progress import ExtractionProgress
from .run import MISSING, open_cache, repaired

AT_ONCE = 8  # clips in memory
BEYOND = "beyond the storage type"
"""Why a clip is in the derived cache's quarantine and not in the source's."""
FROM = "derived_from"  # the note's name


def derive(config: DerivationConfig, console: Console) -> list[str]:
    """Derive what the cache `config.out` lacks; returns the lines to print.

    Raises:
        InputError: the source is no whole cache, or cannot be brought into that form; `out` is another cache.
    """
    source, out = FeatureCache(config.cache), config.out
    if out.resolve() == config.cache.resolve():
        raise InputError(f"{out} is the cache to derive from: give another folder as --out")
    try:
        how = derivation(source.fingerprint, source.visual_shape, config.tokens, config.store)
    except InputError as error:
        raise InputError(f"{config.cache}: {error}") from None
    notes = {**source.notes, FROM: str(config.cache.absolute())}
    with open_cache(out, how.fingerprint(source.fingerprint), notes, console) as writer:
        _keep_lists(config.cache, writer)
        had = len(writer.have)
        shards = _lacking(config.cache, writer)
        _carry_out(source, how, writer, shards, console)
        _carry_quarantine_over(source, writer)
        lines = [f"{out}: {len(writer.have)} clips, {how}"]
        if had:
            lines.append(f"in the cache before: {had}" + ("" if shards else "; nothing to do"))
        lines += repaired(writer.made_again, (), out)
        if quarantined := len(writer.quarantined):
            lines.append(f"quarantined: {quarantined} (words in {out / 'quarantine.json'})")
    lines.append(f"{_taken(out)} where {config.cache} takes {_taken(config.cache)}")
    if source.random_weights:
        lines.append(RANDOM_WEIGHTS)
    return lines


def derive_again(cache: Path, origin: Description, console: Console) -> tuple[bool, list[str]]:
    """Mend a derived cache from its source, where that is still there; as `repair` does.

    Raises:
        InputError: clips have to be derived again, and the source is not where it was, or has changed.
    """
    how = derivation_of(origin.fingerprint.facts)
    assert how is not None
    with open_cache(cache, origin.fingerprint, origin.notes, console) as writer:
        if writer.lost:
            lost = {shard.name: shard.ids for shard in writer.lost}
            _carry_out(_source(cache, origin, how, sum(map(len, lost.values()))), how, writer, lost, console)
        lines = repaired(writer.made_again, (), cache)
    return True, [*lines, f"{cache}: mended"]


def _source(cache: Path, origin: Description, how: Derivation, lost: int) -> FeatureCache:
    where = Path(str(origin.notes.get(FROM, "SOURCE")))
    tokens = "x".join(map(str, how.tokens))
    words = (
        f"{lost} clips of {cache} have to be derived again: `avcil-extract derive --cache DIR --out "
        f"{shlex.quote(str(cache))} --tokens {tokens} --store {how.storage}` does it, with DIR where its source lies"
    )
    try:
        source = FeatureCache(where)
    except InputError as error:
        raise InputError(f"{words} ({error})") from None
    if source.fingerprint.digest != how.source:
        raise InputError(f"{words} ({where} is another cache by now)")
    return source


def _lacking(source: Path, writer: CacheWriter) -> dict[str, tuple[str, ...]]:
    """The clips to derive, by the shards of the source."""
    done = writer.have | {clip for clip, entry in writer.quarantined.items() if entry["reason"] == BEYOND}
    shards = {}
    for record in scan(source).shards:
        if clips := tuple(clip for clip in record.ids if clip not in done):
            shards[record.name] = clips
            done |= set(clips)  # of a clip in two shards, the first counts
    return shards


def _carry_out(
    source: FeatureCache, how: Derivation, writer: CacheWriter, shards: Mapping[str, Sequence[str]], console: Console
) -> None:
    visual_shape = (source.visual_shape[0], how.tokens[0] * how.tokens[1], source.visual_shape[2])
    with ExtractionProgress(sum(map(len, shards.values())), console) as progress:
        for name, ids in shards.items():
            with writer.shard(name, ids, visual_shape, source.audio_shape) as shard:
                for index, (visual, audio) in enumerate(_features(source, ids)):
                    try:
                        shard.put(index, how.pooled(visual), audio)
                    except NotStorable as error:
                        writer.quarantine(ids[index], BEYOND, str(error))
                        progress.step(quarantined=1)
                    else:
                        progress.step(encoded=1)
    if not writer.have:
        raise InputError(f"no clip of {source.directory} fits {how.storage}: {how.kind.advice}")


def _features(source: FeatureCache, ids: Sequence[str]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Each clip's features, float32, a few clips in memory at a time."""
    visual = torch.empty(AT_ONCE, *source.visual_shape)
    audio = torch.empty(AT_ONCE, *source.audio_shape)
    for begin in range(0, len(ids), AT_ONCE):
        part = ids[begin : begin + AT_ONCE]
        source.read_into(part, visual, audio)
        yield from zip(visual[: len(part)], audio[: len(part)], strict=True)


def _carry_quarantine_over(source: FeatureCache, writer: CacheWriter) -> None:
    known = writer.quarantined
    for clip, entry in source.quarantined.items():
        if clip not in writer.have and known.get(clip) != entry:
            writer.quarantine(clip, entry["reason"], entry["words"])


def _keep_lists(source: Path, writer: CacheWriter) -> None:
    """The tables beside the features come along: the list of clips, those without a file, those with several."""
    for name in (LIST, MISSING, CHOICES):
        path = source / name
        if path.is_file():
            content, copy = path.read_bytes(), writer.beside(name)
            if not copy.is_file() or copy.is_symlink() or copy.read_bytes() != content:
                with written_aside(copy, "wb") as stream:
                    stream.write(content)


def _taken(cache: Path) -> str:
    return size(sum(record.bytes for record in scan(cache).shards))
