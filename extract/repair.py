"""`avcil-extract repair`: make again what is damaged or lost of a cache, and nothing else."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..cache import CacheWriter, Fingerprint, origin_of, recorded, scan
from ..cache.derived import DERIVED
from ..errors import InputError, shown
from ..options import checked
from ..wording import number_of
from .assembly import Setup, assemble
from .clips import benchmark_of
from .config import ExtractionConfig, ImportConfig
from .decoding.frames import READING
from .derive import derive_again
from .notes import noted, recalled
from .released.importing import import_released
from .run import carry_out, open_cache, repaired

LOST = "lost from the cache"


def repair(cache: Path, given: Mapping[str, Any], console: Console, *, give_up_lost: bool) -> tuple[bool, list[str]]:
    """Mend a cache; whether all that was lost is there again, and the lines to print.

    What has to be made again is made as the cache notes, unless `given` says otherwise.

    Args:
        cache: its folder.
        given: choices of `run` by name, None for those that were not given; `features` is `import-released`'s.
        console: where to show progress.
        give_up_lost: make nothing, but put what is lost on the quarantine list.

    Raises:
        InputError: not a cache; or clips have to be made again, and what is needed for it is neither noted nor given.
    """
    origin = origin_of(cache)
    notes = {} if origin is None else origin.notes
    if origin is not None and DERIVED in origin.fingerprint.facts and not give_up_lost:
        return derive_again(cache, origin, console)
    imported = recalled(notes, ImportConfig)
    if imported is not None and not give_up_lost:
        return True, _import_again(cache, {**imported, **_said(given, "features")}, console)
    setup = None
    if origin is not None:
        fingerprint = origin.fingerprint
    else:  # cache.json is lost, and the shards are of version 0.1: only the encoders can tell
        if not recorded(cache):
            scan(cache)  # says what is wrong
        setup = _setup(cache, given, {}, f"{cache} has lost its cache.json, and its shards are of version 0.1", console)
        fingerprint, notes = _as_before(setup.fingerprint, cache), setup.notes()
    with open_cache(cache, fingerprint, notes, console) as writer:
        if give_up_lost:
            return True, _given_up(writer)
        lost = tuple(clip for shard in writer.lost for clip in shard.ids)
        if lost:
            _refuse_what_cannot_be_made(cache, fingerprint, lost)
            words = f"{cache} has lost {number_of(len(lost), 'clip')} and does not note how it was made"
            setup = setup or _setup(cache, given, writer.lost[0].record.notes or notes, words, console)
            _refuse_another(setup, fingerprint)
            found = setup.located.found
            carry_out(setup, setup.again(writer.lost), writer, console)
            lost = tuple(clip for clip in lost if clip not in found)
        lines = repaired(writer.made_again, lost, cache)
    return not lost, [*lines, f"{cache}: {'mended' if not lost else 'not whole yet'}"]


def _as_before(fingerprint: Fingerprint, cache: Path) -> Fingerprint:
    """The fingerprint; as version 0.1 had it, without how files are read, where the shards are of that one."""
    before = Fingerprint({name: fact for name, fact in fingerprint.facts.items() if name != "reading"})
    return before if any(record.fingerprint == before.digest for record in recorded(cache)) else fingerprint


def _refuse_what_cannot_be_made(cache: Path, fingerprint: Fingerprint, lost: Sequence[str]) -> None:
    words = f"lost: {number_of(len(lost), 'clip')} of {cache}, the first '{lost[0]}'"
    if "origin" in fingerprint.facts:
        command = "import" if fingerprint.facts["origin"] == "imported" else "import-released"
        raise InputError(f"{words}: the `avcil-extract {command}` that made it makes them again")
    if fingerprint.facts.get("reading") != READING:
        raise InputError(
            f"{words}, and another version of avcil made them, which reads other frames: make a new cache, or do "
            f"without them (`avcil-extract repair --cache {shlex.quote(str(cache))} --give-up-lost`)"
        )


def _said(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if given.get(name) is not None}


def _setup(cache: Path, given: Mapping[str, Any], notes: Mapping[str, Any], words: str, console: Console) -> Setup:
    """Everything for making clips again, by the choices that the cache notes and those given now."""
    noted = recalled(notes, ExtractionConfig) or {}
    said = {name: value for name, value in given.items() if value is not None and name != "features"}
    _refuse_unsaid_code(cache, noted, said)
    if said.keys() & {"dataset", "manifest"}:
        noted = {name: value for name, value in noted.items() if name not in ("dataset", "manifest", "classes")}
    try:
        config = checked(ExtractionConfig, {**noted, **said, "cache": cache})
        benchmark_of(config)
    except InputError as error:
        raise InputError(f"{words}: give the options of the run that made it ({error})") from None
    return assemble(config, lambda line: console.print(Text(shown(line)), soft_wrap=True))


def _refuse_unsaid_code(cache: Path, noted: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """A cache is data, whoever made it: it may say which file has its encoders, but not that it be run."""
    if noted.get("plugin") and not said.get("plugin"):
        options = " ".join(f"--plugin {shlex.quote(str(path))}" for path in noted["plugin"])
        raise InputError(
            f"{cache} notes that its encoders are Python code, which is not run on a cache's word: "
            f"look at it, and if you trust it, give {options}"
        )


def _refuse_another(setup: Setup, fingerprint: Fingerprint) -> None:
    difference = setup.fingerprint.difference(fingerprint)
    if difference:
        raise InputError(
            f"what is lost cannot be made again with these choices ({difference}): "
            "give those that the cache was made with"
        )


def _given_up(writer: CacheWriter) -> list[str]:
    """Put what is lost on the quarantine list, from which --retry-quarantined takes it again."""
    for shard in writer.lost:
        for clip in shard.ids:
            writer.quarantine(clip, LOST, f"it was in shard {shard.name}")
    count = sum(len(shard.ids) for shard in writer.lost)
    return [f"quarantined: {number_of(count, 'lost clip')} (to be made again: `avcil-extract run --retry-quarantined`)"]


def _import_again(cache: Path, choices: Mapping[str, Any], console: Console) -> list[str]:
    config = checked(ImportConfig, {**choices, "cache": cache})
    benchmark = benchmark_of(config)
    report = import_released(
        benchmark.manifest,
        config.features,
        cache,
        storage=config.store,
        shard_size=config.shard_size,
        jpeg_rate=benchmark.released_frame_rate,
        choices=noted(config),
        console=console,
    )
    return report.lines()
