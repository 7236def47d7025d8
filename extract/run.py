"""`avcil-extract run`: from the choices to a cache and a summary."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from ..cache import CacheWriter
from ..errors import InputError, shown
from ..manifests import Located, Manifest
from ..versions import versions
from ..wording import RANDOM_WEIGHTS, duration
from .assembly import LIBRARIES, assemble
from .choices import CHOICES, ChoicesFile
from .clips import in_words
from .config import ExtractionConfig
from .pipeline import Tally, extract
from .progress import ExtractionProgress
from .selection import ShardPlan

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
    several: int
    """Clips of this run that more than one file could be."""
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
        if self.several:
            lines.append(f"more than one file: {self.several} (which was read stands in {cache / CHOICES})")
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
            lines.append(RANDOM_WEIGHTS)
        return lines


def run(config: ExtractionConfig, console: Console) -> Summary:
    """Extract what the cache lacks; prints what it is about to do, and progress.

    Raises:
        InputError: anything that the user can mend, before anything is written where possible.
    """
    if config.cache is None:
        raise InputError("say where the features go: --cache DIR")

    def say(line: str) -> None:
        console.print(Text(shown(line)), soft_wrap=True)

    setup = assemble(config, say)
    fingerprint, pace = setup.fingerprint, setup.pace
    with CacheWriter(config.cache, fingerprint, versions=versions(LIBRARIES), notes=setup.notes()) as writer:
        for line in writer.lines:
            say(line)
        setup.located.write_missing(config.cache / MISSING)
        choices = ChoicesFile(config.cache / CHOICES, setup.several)
        plans = setup.shards(writer.have, writer.quarantined)
        had = sum(clip in writer.have for clip in setup.found)
        to_do = clips_of(plans)
        tally = Tally()
        if to_do:
            say(f"{to_do} clips to do, {len(plans)} shards; {pace.workers} decoding, batches of {pace.batch_size}")
            with ExtractionProgress(to_do, console) as progress:
                tally = extract(
                    plans,
                    writer,
                    setup.encoders,
                    setup.preparation,
                    pace,
                    on_done=lambda encoded, quarantined: progress.step(encoded=encoded, quarantined=quarantined),
                    on_read=choices.note,
                )
        summary = Summary(
            manifest=setup.manifest,
            located=setup.located,
            cache=config.cache,
            had=had,
            left_alone=len(setup.found) - had - to_do,
            several=len(setup.several),
            tally=tally,
            random_weights=fingerprint.random_weights,
        )
        if not writer.have:
            raise InputError(nothing_came_out(summary))
    return summary


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
