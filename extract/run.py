"""`avcil-extract run`: from the choices to a cache and a summary."""

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ..cache import CacheWriter, Fingerprint
from ..errors import InputError, shown
from ..manifests import Located, Manifest
from ..versions import versions
from ..wording import RANDOM_WEIGHTS, duration, number_of
from .assembly import LIBRARIES, Setup, assemble
from .choices import CHOICES, ChoicesFile
from .clips import from_folder, in_words
from .cluster.schedule import TRIES
from .config import ExtractionConfig
from .listing import LIST, keep_list, next_step, trainable
from .pipeline import Tally, extract
from .progress import ExtractionProgress, checking
from .selection import ShardPlan

MISSING = "missing.csv"

Assembling = Callable[[Callable[[str], object]], Setup]
CarryingOut = Callable[[Setup, Sequence[ShardPlan], CacheWriter, Console], Tally]


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
    made_again: Mapping[str, bool]
    """Shards that had been damaged or lost: by name, whether each is what it was, bit for bit."""
    lost: tuple[str, ...]
    """Clips of such shards that have no file any more."""
    tally: Tally
    random_weights: bool
    own_list: bool
    """Whether the list of clips was made from the folder of videos, and the cache has what a run needs of it."""

    def lines(self) -> list[str]:
        """For people."""
        tally, cache = self.tally, self.cache
        lines = [in_words(self.manifest, self.located)]
        if self.located.missing:
            lines[0] += f"; all in {cache / MISSING}"
        if self.had:
            lines.append(f"in the cache before: {self.had}")
        lines.append(f"encoded: {tally.encoded}")
        lines += repaired(self.made_again, self.lost, cache)
        if tally.quarantined:
            reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(tally.quarantined.values()).most_common())
            lines.append(f"quarantined: {len(tally.quarantined)} ({reasons}; words in {cache / 'quarantine.json'})")
        if tally.died:
            lines.append(f"workers that died: {tally.died}")
        if tally.given_up:
            lines.append(
                f"given up: {number_of(len(tally.given_up), 'shard')}, each after the deaths of {TRIES} workers, "
                f"the first {next(iter(tally.given_up))}; the same command tries again"
            )
        if self.left_alone:
            lines.append(f"quarantined before and left alone: {self.left_alone} (--retry-quarantined tries them again)")
        if self.several:
            lines.append(f"more than one file: {self.several} (which was read stands in {cache / CHOICES})")
        if tally.second_choice:
            lines.append(f"read by the second decoder: {tally.second_choice}")
        if tally.batch_size:
            lines.append(
                f"encoded {tally.batch_size} at once in the end, since the device had no memory for more: "
                "--batch-size gives the same from the start"
            )
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
        if self.own_list:
            lines += next_step(self.manifest, cache)
        return lines


def run(config: ExtractionConfig, console: Console) -> Summary:
    """Extract what the cache lacks; prints what it is about to do, and progress.

    Raises:
        InputError: anything that the user can mend, before anything is written where possible.
    """
    if config.cache is None:
        raise InputError("say where the features go: --cache DIR")

    if config.ray is None:
        return _run(config, console, lambda say: assemble(config, say), carry_out)
    from .cluster.run import on_ray

    with on_ray(config, console) as cluster:
        return _run(cluster.config, console, cluster.assemble, cluster.carry_out)


def _run(config: ExtractionConfig, console: Console, assemble: Assembling, carry_out: CarryingOut) -> Summary:
    def say(line: str) -> None:
        console.print(Text(shown(line)), soft_wrap=True)

    assert config.cache is not None
    setup = assemble(say)
    with open_cache(config.cache, setup.fingerprint, setup.notes(), console, check=not config.skip_verify) as writer:
        if from_folder(config):
            for line in keep_list(setup.manifest, writer.beside(LIST)):
                say(line)
        setup.located.write_missing(writer.beside(MISSING))
        plans = setup.shards(writer.have, writer.quarantined, writer.lost)
        had = sum(clip in writer.have for clip in setup.found)
        planned = {job.id for plan in plans for job in plan.jobs}
        summary = Summary(
            manifest=setup.manifest,
            located=setup.located,
            cache=config.cache,
            had=had,
            left_alone=sum(clip not in writer.have and clip not in planned for clip in setup.found),
            several=len(setup.several),
            tally=carry_out(setup, plans, writer, console),
            made_again=writer.made_again,
            lost=tuple(clip for shard in writer.lost for clip in shard.ids if clip not in planned),
            random_weights=setup.fingerprint.random_weights,
            own_list=from_folder(config) and trainable(setup.manifest, writer.have),
        )
        if not writer.have:
            raise InputError(nothing_came_out(summary))
    return summary


@contextmanager
def open_cache(
    cache: Path, fingerprint: Fingerprint, notes: Mapping[str, Any], console: Console, *, check: bool = True
) -> Iterator[CacheWriter]:
    """A cache opened for writing, checked and mended with a bar; what was done is printed."""
    with ExitStack() as inside:
        with checking(len(list((cache / "shards").glob("*.h5"))), console) as on_shard:
            writer = CacheWriter(
                cache, fingerprint, versions=versions(LIBRARIES), notes=notes, check=check, on_shard=on_shard
            )
            inside.enter_context(writer)
        for line in writer.lines:
            console.print(Text(shown(line)), soft_wrap=True)
        yield writer


def carry_out(setup: Setup, plans: Sequence[ShardPlan], writer: CacheWriter, console: Console) -> Tally:
    """Make the shards of `plans`, with a line beforehand and progress."""
    to_do, pace = clips_of(plans), setup.pace
    if not to_do:
        return Tally()
    work = f"{number_of(to_do, 'clip')} to do, {number_of(len(plans), 'shard')}; "
    work += f"{pace.workers} decoding, batches of {pace.batch_size}"
    console.print(Text(work))
    with ExtractionProgress(to_do, console) as progress:
        return extract(
            plans,
            writer,
            setup.encoders,
            setup.preparation,
            pace,
            on_done=lambda encoded, quarantined: progress.step(encoded=encoded, quarantined=quarantined),
            on_read=ChoicesFile(writer.beside(CHOICES), setup.several).note,
        )


def repaired(made_again: Mapping[str, bool], lost: Sequence[str], cache: Path) -> list[str]:
    """Lines about shards that had been damaged or lost: what was made again, and what could not be."""
    lines = []
    if made_again:
        same = sum(made_again.values())
        lines.append(f"shards made again: {len(made_again)}, {same} of them bit for bit as they were")
    if not all(made_again.values()):
        others = ", ".join(name for name, same in made_again.items() if not same)
        lines.append(f"not bit for bit: {others} (another batch size, device or library version rounds differently)")
    if lost:
        command = f"avcil-extract repair --cache {shlex.quote(str(cache))}"
        lines.append(
            f"lost, and without a file here: {number_of(len(lost), 'clip')}, the first '{lost[0]}': "
            f"give the folder that has them (`{command} --videos DIR`), or do without them (`{command} --give-up-lost`)"
        )
    return lines


def clips_of(plans: Sequence[ShardPlan]) -> int:
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
