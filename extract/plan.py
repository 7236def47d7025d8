"""`avcil-extract plan`: what a run would take, measured on a few clips; nothing is written."""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ..cache import Fingerprint, bytes_per_clip, read_quarantine, scan
from ..errors import InputError
from ..threads import usable_cores
from ..wording import duration, number_of, size
from .assembly import assemble
from .config import ExtractionConfig
from .decoding.workers import DecodingPool, Job
from .pipeline import BatchEncoder, Encoders, Pace
from .preparation.encoder_input import PreparedClip
from .preparation.recipes import ClipPreparation
from .run import clips_of

SAMPLE = 8


@dataclass(frozen=True)
class Measured:
    """Seconds a clip, on a sample."""

    clips: int
    """Clips that could be decoded."""
    refused: int
    """Clips that could not."""
    decoding: float
    """One clip in one decoding process."""
    encoding: float
    """One clip on the device, in a batch."""

    def clips_per_second(self, pace: Pace, *, beside_encoders: bool, processors: int) -> float:
        """What a whole run should reach.

        Beside a GPU, decoding and encoding overlap and the slower one counts. Where both share the
        processors, their work adds up.
        """
        if beside_encoders:
            return 1 / (self.encoding + self.decoding / processors)
        return 1 / max(self.encoding, self.decoding / min(pace.workers, processors))


def measure(encoders: Encoders, preparation: ClipPreparation, pace: Pace, sample: Sequence[Job]) -> Measured:
    """Decode the sample one by one in one worker process, then encode it twice, the second time by the clock."""
    seconds = 0.0
    clips: list[PreparedClip] = []
    with DecodingPool(preparation, workers=1, timeout=pace.clip_timeout, memory=pace.clip_memory) as pool:
        list(pool.read_all(sample[:1], ahead=1))  # starts the process
        for job in sample:
            started = time.perf_counter()
            [outcome] = pool.read_all([job], ahead=1)
            seconds += time.perf_counter() - started
            if outcome.clip is not None:
                clips.append(outcome.clip)
    if not clips:
        raise InputError(f"none of {len(sample)} sample clips can be decoded; the last one: {outcome.words}")
    batch = (clips * math.ceil(pace.batch_size / len(clips)))[: pace.batch_size]
    encode = BatchEncoder(encoders)
    encode(batch)[2]()
    before = encode.seconds()
    encode(batch)[2]()
    encoding = (encode.seconds() - before) / len(batch)
    return Measured(len(clips), len(sample) - len(clips), seconds / len(sample), encoding)


def plan(config: ExtractionConfig, console: Console) -> list[str]:
    """Find the clips, measure a sample, and return the lines to print.

    Raises:
        InputError: as `run.run` does, for what it would refuse.
    """
    if config.ray is not None:
        raise InputError("a plan is measured on this machine alone: leave --ray out, on each kind of machine in turn")
    lines: list[str] = []
    setup = assemble(config, lines.append)
    encoders, pace = setup.encoders, setup.pace
    have, quarantined = held(config.cache, setup.fingerprint)
    plans = setup.shards(have, quarantined)
    jobs = [job for shard in plans for job in shard.jobs]
    if have or quarantined:
        lines.append(f"in the cache: {len(have)}, quarantined before: {len(quarantined)}")
    if not jobs:
        return [*lines, "nothing to do"]
    shapes = encoders.visual.feature_shape, encoders.audio.feature_shape
    clip_bytes = bytes_per_clip(config.store, *shapes)
    lines.append(
        f"to do: {number_of(clips_of(plans), 'clip')} in {number_of(len(plans), 'shard')}, "
        f"{size(clip_bytes * len(jobs))} as {config.store} "
        f"({size(clip_bytes)} a clip: {' x '.join(map(str, shapes[0]))} and {shapes[1][0]})"
    )
    if config.cache is not None:
        place = next(path for path in (config.cache.resolve(), *config.cache.resolve().parents) if path.exists())
        lines.append(f"free at {config.cache}: {size(shutil.disk_usage(place).free)}")
    chosen = [jobs[i * len(jobs) // min(SAMPLE, len(jobs))] for i in range(min(SAMPLE, len(jobs)))]
    with console.status(f"measuring {number_of(len(chosen), 'clip')}"):
        measured = measure(encoders, setup.preparation, pace, chosen)
    rate = measured.clips_per_second(pace, beside_encoders=encoders.device.type == "cpu", processors=usable_cores())
    lines.append(
        f"measured on {number_of(len(chosen), 'clip')}: "
        f"{measured.decoding:.3g} s a clip to decode ({pace.workers} at once), "
        f"{measured.encoding:.3g} s to encode (batches of {pace.batch_size})"
    )
    if measured.refused:
        lines.append(f"of these {measured.refused} would be quarantined")
    lines.append(f"in all about {duration(len(jobs) / rate)}, {rate:.3g} clips/s")
    return lines


def held(cache: Path | None, fingerprint: Fingerprint) -> tuple[frozenset[str], frozenset[str]]:
    """Ids in the cache and in its quarantine, if there is one; `InputError` where it was made in another way."""
    if cache is None or not (cache / "cache.json").exists():
        return frozenset(), frozenset()
    contents = scan(cache)
    difference = fingerprint.difference(contents.description.fingerprint)
    if difference:
        raise InputError(f"{cache} was made in another way ({difference}): give another directory")
    have = frozenset(clip for record in contents.shards for clip in record.ids)
    return have, frozenset(read_quarantine(cache))
