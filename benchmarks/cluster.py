"""What `--ray` costs, and what a second worker brings: `python benchmarks/cluster.py [--clips 64] [--rounds 2]`.

On this machine's processor, with the same clips, in turns for some rounds, of which the best counts:

  one process, as `avcil-extract run` without `--ray`;
  one worker on Ray, with all cores;
  two workers on Ray, with half of the cores each.

Rates count from the first shard that was begun to the last one that was committed: the start of Ray and of its workers
is given beside them. The clips are those of `benchmarks/extraction.py`. The encoders are full-size, with random
weights, unless others are given.
"""

import tempfile
import time
from pathlib import Path

import click
from avcil.benchmarks.extraction import make_clip, processor
from avcil.cache import CacheWriter
from avcil.devices import choose_device, fastest_precision
from avcil.extract.assembly import assemble
from avcil.extract.cluster.schedule import Schedule, Task
from avcil.extract.config import AUDIO_ENCODER, VIDEO_ENCODER, ExtractionConfig
from avcil.extract.pipeline import extract
from rich.console import Console
from rich.table import Table

OVERHEAD_AIM = 0.1
ALONE, ONE, TWO = "one process", "one worker on Ray", "two workers on Ray"


class Timed(Schedule):
    """Knows when the first shard was begun and the last one finished."""

    began: float | None = None
    ended = 0.0

    def note(self, task: Task, now: float, clips: tuple[str, ...] = ()) -> None:
        """As its base."""
        self.began = now if self.began is None else self.began
        super().note(task, now, clips)

    def finish(self, task: Task, now: float) -> None:
        """As its base."""
        self.ended = now
        super().finish(task, now)


def silent(line: object) -> None:
    """Instead of the screen."""


def alone(config: ExtractionConfig, cache: Path) -> float:
    """Clips a second of one process."""
    setup = assemble(config, silent)
    with CacheWriter(cache, setup.fingerprint) as writer:
        plans = setup.shards((), ())
        tally = extract(plans, writer, setup.encoders, setup.preparation, setup.pace)
    return tally.encoded / tally.seconds


def on_ray(config: ExtractionConfig, cache: Path, workers: int) -> tuple[float, float]:
    """Clips a second of some workers, and the seconds before their first shard."""
    # They import Ray, which not everyone has installed.
    from avcil.extract.cluster.crew import Crew
    from avcil.extract.cluster.driving import Driver
    from avcil.extract.cluster.nodes import places, shares
    from avcil.extract.cluster.run import OnRay
    from avcil.extract.cluster.session import HERE, session

    started = time.monotonic()
    with session(HERE, gpus=False):
        found = {place.node: place for place in places()}
        assert config.precision is not None
        cluster = OnRay(config, "cpu", found, config.precision, silent)
        setup = cluster.assemble(silent)
        plans = setup.shards((), ())
        schedule = Timed(plans, len(plans))
        spread = shares(list(found.values()), "cpu", gpu_share=1, most=workers)
        with CacheWriter(cache, setup.fingerprint) as writer:
            driver = Driver(
                writer=writer,
                crew=Crew(found, spread, cluster.orders(setup), config.workers),
                schedule=schedule,
                shapes=(setup.encoders.visual.feature_shape, setup.encoders.audio.feature_shape),
                say=silent,
                on_done=lambda encoded, quarantined: None,
                on_read=lambda files: None,
            )
            tally = driver.drive()
    assert schedule.began is not None
    return tally.encoded / (schedule.ended - schedule.began), schedule.began - started


@click.command()
@click.option("--clips", type=click.IntRange(min=4), default=64, show_default=True)
@click.option("--shard-size", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--video-encoder", default=VIDEO_ENCODER, show_default=True)
@click.option("--audio-encoder", default=AUDIO_ENCODER, show_default=True)
def main(clips: int, shard_size: int, rounds: int, video_encoder: str, audio_encoder: str) -> None:
    """Compare one process with one and with two workers on Ray."""
    console = Console()
    speeds: dict[str, list[float]] = {ALONE: [], ONE: [], TWO: []}
    starts = []
    precision = fastest_precision(choose_device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        videos = place / "videos" / "x"
        videos.mkdir(parents=True)
        for seed in range(min(clips, 8)):
            make_clip(videos / f"clip{seed}.mp4", seed)
        for number in range(8, clips):
            (videos / f"clip{number}.mp4").hardlink_to(videos / f"clip{number % 8}.mp4")
        (place / "clips.csv").write_text(
            "video_id,label,split\n" + "".join(f"clip{number},x,train\n" for number in range(clips))
        )
        config = ExtractionConfig(
            videos=videos,
            manifest=place / "clips.csv",
            video_encoder=video_encoder,
            audio_encoder=audio_encoder,
            random_weights=0,
            device="cpu",
            precision=precision,
            shard_size=shard_size,
        )
        for number in range(rounds):
            speeds[ALONE].append(alone(config, place / f"alone-{number}"))
            for way, workers in ((ONE, 1), (TWO, 2)):
                rate, start = on_ray(config, place / f"{workers}-{number}", workers)
                speeds[way].append(rate)
                starts.append(start)
    best = {way: max(measured) for way, measured in speeds.items()}
    console.print(f"{processor()}; {precision}, {clips} clips, shards of {shard_size}", highlight=False)
    table = Table("way", "clips/s, best", "each round", "of one process")
    for way, speed in best.items():
        table.add_row(
            way, f"{speed:.3g}", ", ".join(f"{rate:.3g}" for rate in speeds[way]), f"{speed / best[ALONE]:.2f}"
        )
    console.print(table)
    overhead = best[ALONE] / best[ONE] - 1
    reached = "reached" if overhead <= OVERHEAD_AIM else "not reached"
    console.print(
        f"one worker takes {overhead:+.0%} of one process's time; aim: at most {OVERHEAD_AIM:.0%} ({reached})\n"
        f"two workers do {best[TWO] / best[ONE]:.2f} times as much as one\n"
        f"Ray and its workers took {min(starts):.0f} to {max(starts):.0f} s to start",
        highlight=False,
    )


if __name__ == "__main__":
    main()
