"""How fast extraction is: `python benchmarks/extraction.py [--device cuda] [--videos DIR]`.

In one process, on one device, with the same clips, in turns for some rounds, of which the best counts:

  the encoders alone, on batches prepared beforehand;
  the whole pipeline, from files to a finished cache, starting its decoding processes included;
  one clip after the other, as a plain script would: decode, encode, write, next.

The clips are made here (H.264 and AAC, 10 s, 340 x 256, 30 frames a second), unless a folder of videos is given. The
encoders are full-size, with random weights: what they compute costs the same.
"""

import itertools
import platform
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import click
import numpy as np
import torch
from avcil.cache import CacheWriter
from avcil.devices import Precision, describe_device
from avcil.extract import assembly
from avcil.extract.config import AUDIO_ENCODER, VIDEO_ENCODER, ExtractionConfig
from avcil.extract.decoding.decode import read_clip
from avcil.extract.decoding.frames import decoders_for
from avcil.extract.decoding.workers import DecodingPool, Job
from avcil.extract.pipeline import BatchEncoder, Encoders, Pace, extract
from avcil.extract.preparation.encoder_input import PreparedClip
from avcil.extract.preparation.recipes import ClipPreparation, recipe
from avcil.extract.selection import shard_plans
from avcil.manifests import Clip
from avcil.threads import usable_cores
from rich.console import Console
from rich.table import Table

OF_ENCODERS_AIM = 0.9
ALONE, WHOLE, PLAIN = "encoders alone", "whole pipeline", "one after the other"
SECONDS, FRAME_RATE, SAMPLE_RATE, HEIGHT, WIDTH = 10, 30, 44_100, 256, 340


def make_clip(path: Path, seed: int) -> None:
    """A texture that drifts, with some noise, and a tone that glides."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3)).astype(np.uint8)
    texture = np.kron(coarse, np.ones((32, 32, 1), np.uint8))
    noise = random.integers(0, 12, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FRAME_RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE)
        audio.layout = "stereo"
        for number in range(SECONDS * FRAME_RATE):
            down, right = number % (HEIGHT - 32), 2 * number % (WIDTH - 36)
            image = texture[down : down + HEIGHT, right : right + WIDTH] // 2 + np.roll(noise, number, 0)
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(video.encode())
        moment = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
        tone = 0.3 * np.sin(2 * np.pi * (200 + 40 * (seed + 1) * moment) * moment)
        sound = np.stack([tone, tone + random.normal(0, 0.02, len(tone))]).astype(np.float32)
        for start in range(0, sound.shape[1], 1024):
            piece = np.ascontiguousarray(sound[:, start : start + 1024])
            block = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            block.sample_rate, block.pts, block.time_base = SAMPLE_RATE, start, Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(block))
        container.mux(audio.encode())


def jobs_from(directory: Path | None, made: Path, count: int) -> list[Job]:
    """`count` jobs: the videos of a folder, or clips made here, over and over."""
    if directory is None:
        files = [made / f"{seed}.mp4" for seed in range(min(count, 16))]
        for seed, path in enumerate(files):
            make_clip(path, seed)
    else:
        files = sorted(path for path in directory.rglob("*") if path.is_file())
    if not files:
        raise click.UsageError(f"no files in {directory}")
    return [Job(str(i), path) for i, path in enumerate(itertools.islice(itertools.cycle(files), count))]


def encoders_alone(encoders: Encoders, batches: list[list[PreparedClip]]) -> float:
    """Clips a second from prepared batches to features in host memory, two batches under way as in the pipeline."""
    encode = BatchEncoder(encoders)
    encode(batches[0])[2]()  # warm up
    started = time.perf_counter()
    waits = []
    for batch in batches:
        waits.append(encode(batch)[2])
        if len(waits) > 2:
            waits.pop(0)()
    for wait in waits:
        wait()
    return sum(map(len, batches)) / (time.perf_counter() - started)


def whole_pipeline(
    encoders: Encoders, preparation: ClipPreparation, pace: Pace, jobs: list[Job], cache: Path
) -> tuple[float, float]:
    """Clips a second from files to a finished cache, and the share of the time with the encoders at work."""
    fingerprint = assembly.fingerprint(encoders, preparation.recipe, "float16")
    clips = [Clip(job.id, "x", "train") for job in jobs]
    found = {job.id: job.path for job in jobs}
    with CacheWriter(cache, fingerprint) as writer:
        plans = shard_plans(clips, found, have=(), quarantined=(), shard_size=256)
        tally = extract(plans, writer, encoders, preparation, pace)
    return tally.encoded / tally.seconds, tally.encoder_seconds / tally.seconds


def one_after_the_other(
    encoders: Encoders, preparation: ClipPreparation, jobs: list[Job], cache: Path, decoder: str
) -> float:
    """Clips a second of a plain script: each clip decoded here, encoded alone, written, before the next."""
    encode = BatchEncoder(encoders)
    shapes = encoders.visual.feature_shape, encoders.audio.feature_shape
    fingerprint = assembly.fingerprint(encoders, preparation.recipe, "float16")
    encode([read_clip(jobs[0].path, preparation, decoder)])[2]()  # warm up
    started = time.perf_counter()
    with (
        CacheWriter(cache, fingerprint) as writer,
        writer.shard("one-by-one", [job.id for job in jobs], *shapes) as shard,
    ):
        for row, job in enumerate(jobs):
            visual, audio, wait = encode([read_clip(job.path, preparation, decoder)])
            wait()
            shard.put(row, visual[0], audio[0])
    return len(jobs) / (time.perf_counter() - started)


def processor() -> str:
    """The processor's name, and how many of it may be used."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {usable_cores()} usable"


@click.command()
@click.option("--videos", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Use these, not our own.")
@click.option("--clips", type=click.IntRange(min=1), help="How many; default 32 on a CPU, 1024 on a GPU.")
@click.option("--plain-clips", type=click.IntRange(min=1), help="Of these one after the other; default a quarter.")
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--precision", help="float32 or bfloat16; default: what the device is fast at.")
@click.option("--workers", type=click.IntRange(min=1), help="Decoding processes; default as avcil-extract run.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Default as avcil-extract run.")
@click.option("--video-encoder", default=VIDEO_ENCODER, show_default=True)
@click.option("--audio-encoder", default=AUDIO_ENCODER, show_default=True)
@click.option("--real-weights", is_flag=True, help="Load the encoders' weights instead of random ones.")
def main(
    videos: Path | None,
    clips: int | None,
    plain_clips: int | None,
    rounds: int,
    device: str,
    precision: Precision | None,
    workers: int | None,
    batch_size: int | None,
    video_encoder: str,
    audio_encoder: str,
    real_weights: bool,
) -> None:
    """Compare the pipeline with the encoders alone, and with one clip after the other."""
    console = Console()
    config = ExtractionConfig(
        videos=Path(),
        video_encoder=video_encoder,
        audio_encoder=audio_encoder,
        random_weights=None if real_weights else 0,
        device=device,
        precision=precision,
        workers=workers,
        batch_size=batch_size,
    )
    encoders, chosen = assembly.load_encoders(config)
    preparation = ClipPreparation.of(recipe("audiomae"), encoders.visual.preparation, encoders.audio.preparation)
    pace = assembly.pace_of(config, encoders.device)
    count = clips or (1024 if encoders.device.type == "cuda" else 32)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        jobs = jobs_from(videos, place, count)
        prepared_count = min(count, max(2 * pace.batch_size, 64))
        with DecodingPool(
            preparation, workers=pace.workers, timeout=pace.clip_timeout, memory=pace.clip_memory
        ) as pool:
            outcomes = list(pool.read_all(jobs[:prepared_count], ahead=pace.ahead))
        prepared = [outcome.clip for outcome in outcomes if outcome.clip is not None]
        if not prepared:
            raise click.UsageError(f"no clip can be decoded: {outcomes[0].words}")
        batches = [
            list(itertools.islice(itertools.cycle(prepared), start, min(start + pace.batch_size, count)))
            for start in range(0, count, pace.batch_size)
        ]
        plain_jobs = jobs[: plain_clips or max(1, count // 4)]
        decoder = decoders_for(preparation.recipe)[0]
        speeds: dict[str, list[float]] = {ALONE: [], WHOLE: [], PLAIN: []}
        shares = []
        for number in range(rounds):
            speeds[ALONE].append(encoders_alone(encoders, batches))
            whole, share = whole_pipeline(encoders, preparation, pace, jobs, place / f"cache-{number}")
            speeds[WHOLE].append(whole)
            shares.append(share)
            speeds[PLAIN].append(
                one_after_the_other(encoders, preparation, plain_jobs, place / f"plain-{number}", decoder)
            )
    best = {way: max(measured) for way, measured in speeds.items()}
    console.print(
        f"{describe_device(encoders.device)}; {processor()}; torch {torch.__version__}; {chosen}, "
        f"{count} clips, batches of {pace.batch_size}, {pace.workers} decoding",
        highlight=False,
    )
    table = Table("way", "clips/s, best", "each round", "of the encoders alone", "of one after the other")
    for way, speed in best.items():
        each = ", ".join(f"{measured:.3g}" for measured in speeds[way])
        table.add_row(way, f"{speed:.3g}", each, f"{speed / best[ALONE]:.2f}", f"{speed / best[PLAIN]:.2f}")
    console.print(table)
    reached = "reached" if best[WHOLE] / best[ALONE] >= OF_ENCODERS_AIM else "not reached"
    console.print(
        f"the encoders were at work {max(shares):.0%} of the pipeline's time; aim: {OF_ENCODERS_AIM} of the encoders "
        f"alone ({reached}), and clearly faster than one after the other",
        highlight=False,
    )


if __name__ == "__main__":
    main()
