"""`avcil-extract run`: from the choices to a cache and a summary."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ..cache import CacheWriter
from ..errors import InputError
from ..manifests import Located, Manifest
from . import assembly
from .clips import in_words, limited, locate
from .config import ExtractionConfig
from .pipeline import Encoders, Pace, Tally, extract
from .preparation.recipes import recipe
from .progress import ExtractionProgress
from .progress import in_words as duration
from .selection import ShardPlan, shard_plans

MISSING = "missing.csv"


@dataclass(frozen=True)
class Summary:
    """What a run found, did and left."""

    manifest: Manifest
    located: Located
    cache: Path
    had: int
    """Clips of this run that were in the cache before."""
    left_alone: int
    """Clips quarantined by an earlier run and not tried again."""
    tally: Tally
    random_weights: bool

    def lines(self) -> list[str]:
        """For people."""
        tally, cache = self.tally, self.cache
        lines = [in_words(self.manifest, self.located)]
        if self.located.missing:
            lines[0] += f"; all in {cache / MISSING}"
        if self.had:
            lines.append(f"in the cache before: {self.had}")
        lines.append(f"encoded: {tally.encoded}")
        if tally.quarantined:
            reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(tally.quarantined.values()).most_common())
            lines.append(f"quarantined: {len(tally.quarantined)} ({reasons}; words in {cache / 'quarantine.json'})")
        if self.left_alone:
            lines.append(f"quarantined before and left alone: {self.left_alone} (--retry-quarantined tries them again)")
        if tally.second_choice:
            lines.append(f"read by the second decoder: {tally.second_choice}")
        if tally.encoded or tally.quarantined:
            share = tally.encoder_seconds / tally.seconds
            lines.append(
                f"time: {duration(tally.seconds)}, {tally.clips_per_second:.3g} clips/s, "
                f"{share:.0%} of it with the encoders at work"
            )
        else:
            lines.append("nothing to do")
        lines.append(f"cache: {cache}")
        if self.random_weights:
            lines.append("RANDOM WEIGHTS: these features say nothing about the real encoders")
        return lines


def run(config: ExtractionConfig, console: Console) -> Summary:
    """Extract what the cache lacks; prints what it is about to do, and progress.

    Raises:
        InputError: anything that the user can mend, before anything is written where possible.
    """
    if config.cache is None:
        raise InputError("say where the features go: --cache DIR")
    manifest, located = locate(config)
    console.print(in_words(manifest, located), highlight=False, soft_wrap=True)
    encoders, precision = assembly.load_encoders(config)
    for line in assembly.describe(encoders, precision):
        console.print(line, highlight=False, soft_wrap=True)
    how = recipe(config.recipe, manifest.name)
    preparation = assembly.prepare(encoders, how, config.missing_audio)
    pace = pace_of(config, encoders)
    fingerprint = assembly.fingerprint(encoders, how, config.store)
    notes = assembly.notes(preparation, str(encoders.device), pace.batch_size)
    with CacheWriter(config.cache, fingerprint, versions=assembly.versions(), notes=notes) as writer:
        for line in writer.cleared:
            console.print(line, highlight=False, soft_wrap=True)
        located.write_missing(config.cache / MISSING)
        found = limited(located, config.limit)
        quarantined = frozenset() if config.retry_quarantined else frozenset(writer.quarantined)
        plans = shard_plans(
            manifest.clips, found, have=writer.have, quarantined=quarantined, shard_size=config.shard_size
        )
        had = sum(clip in writer.have for clip in found)
        to_do = clips_of(plans)
        tally = Tally()
        if to_do:
            console.print(
                f"{to_do} clips to do, {len(plans)} shards; {pace.workers} decoding, batches of {pace.batch_size}",
                highlight=False,
            )
            with ExtractionProgress(to_do, console) as progress:
                tally = extract(
                    plans,
                    writer,
                    encoders,
                    preparation,
                    pace,
                    on_done=lambda encoded, quarantined: progress.step(encoded=encoded, quarantined=quarantined),
                )
        summary = Summary(
            manifest=manifest,
            located=located,
            cache=config.cache,
            had=had,
            left_alone=len(found) - had - to_do,
            tally=tally,
            random_weights=fingerprint.random_weights,
        )
        if not writer.have:
            raise InputError(nothing_came_out(summary))
    return summary


def pace_of(config: ExtractionConfig, encoders: Encoders) -> Pace:
    """How the work is cut up, with defaults that suit the machine."""
    return Pace(
        workers=config.workers or assembly.default_workers(encoders.device),
        batch_size=config.batch_size or assembly.default_batch_size(encoders.device),
        clip_timeout=config.clip_timeout,
    )


def clips_of(plans: list[ShardPlan]) -> int:
    """How many clips the shards are to hold."""
    return sum(len(plan.jobs) for plan in plans)


def nothing_came_out(summary: Summary) -> str:
    """The line for a run after which the cache still holds no clip."""
    reasons = Counter(summary.tally.quarantined.values())
    why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    again = "" if reasons else "; --retry-quarantined tries them again"
    return (
        f"all {len(summary.located.found)} clips that have a file are quarantined"
        f"{f' ({why})' if why else ''}: see {summary.cache / 'quarantine.json'}{again}"
    )
