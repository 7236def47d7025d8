"""AV-CIL on derived caches: what fewer tokens and int8 change of its accuracy, the disk and the time.

    make demo && python benchmarks/derived.py --demo build/demo --out build/derived --seeds 10

The demo's 7x7 tokens only have their mean; its encoders have random weights. Features of AVE's clip counts and true
shape (8 x 196 x 768, 10 GB as float16) are drawn with

    python benchmarks/derived.py --ave --out build/derived-ave --seeds 3 --epochs 5

Prints a Markdown table: accuracy and forgetting over seeds, what they differ by from all tokens as float16, seed by
seed, the caches' bytes, and the seconds of a run. Another call takes what is there.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from avcil.benchmarks.demo_tables import run_words
from avcil.cache import CacheWriter, Fingerprint, scan
from avcil.extract.cli import main as avcil_extract
from avcil.incremental.cli import main as avcil_incr
from avcil.incremental.results.collect import load_runs, rows_of
from avcil.incremental.results.spreads import spread
from avcil.manifests import published
from avcil.wording import size
from torch import Tensor

STORED = ("float16", "int8")
FIGURES = {"mean_accuracy": "Mean Accuracy", "average_forgetting": "Average Forgetting"}
SLICES, SIDE, CHANNELS = 8, 14, 768
SHARD = 64  # clips


class Drawn:
    """Clips that show three classes at three places, and let one of them be heard.

    A class has a direction (D,) in the pictures and one in the sound. A clip shows its own class and two others, each
    in a blob of tokens around a place drawn for it, and has its own class in the sound; noise is drawn anew for every
    token and every sound. So the pictures leave three classes open, and where they are is lost in the mean.

    Args:
        classes: how many there are.
        shown: standard deviation of a direction in the pictures, where the noise has 1.
        heard: likewise in the sound.
        blob: standard deviation of a blob, in tokens.
    """

    def __init__(self, classes: int, *, shown: float = 0.3, heard: float = 0.1, blob: float = 2.0) -> None:
        draw = torch.Generator().manual_seed(0)
        self.shown = shown * torch.randn(classes, CHANNELS, generator=draw)
        self.heard = heard * torch.randn(classes, CHANNELS, generator=draw)
        self.blob = blob

    def clip(self, label: int, number: int) -> tuple[Tensor, Tensor]:
        """Visual (L, S, D) and audio (D,), float32, of the clip with this number; the same whenever it is asked."""
        draw = torch.Generator().manual_seed(number + 1)
        others = torch.randperm(len(self.shown) - 1, generator=draw)[:2]
        visual = torch.randn(SLICES, SIDE * SIDE, CHANNELS, generator=draw)
        for seen in (label, *(others + (others >= label)).tolist()):
            places = SIDE * torch.rand(2, generator=draw)
            rows, columns = ((torch.arange(SIDE) + 0.5 - middle) ** 2 for middle in places)
            strength = torch.exp(-(rows[:, None] + columns) / (2 * self.blob**2)).reshape(SIDE * SIDE, 1)
            visual += strength * self.shown[seen]
        return visual, self.heard[label] + torch.randn(CHANNELS, generator=draw)


def draw_ave(cache: Path, every: int) -> None:
    """A float16 cache of drawn features for every so-manieth clip of AVE's list; what is there already stays."""
    manifest = published("ave").manifest
    labels = {label: number for number, label in enumerate(manifest.class_order)}
    drawn, chosen = Drawn(len(labels)), manifest.clips[::every]
    facts = {"visual_encoder": {"encoder": "drawn", "random_weights": True}, "every": every, "storage": "float16"}
    with CacheWriter(cache, Fingerprint(facts)) as writer:
        for begin in range(0, len(chosen), SHARD):
            clips = chosen[begin : begin + SHARD]
            if not writer.have.issuperset(clip.id for clip in clips):
                shapes = (SLICES, SIDE * SIDE, CHANNELS), (CHANNELS,)
                with writer.shard(f"shard-{begin // SHARD:05d}", [clip.id for clip in clips], *shapes) as shard:
                    for row, clip in enumerate(clips):
                        shard.put(row, *drawn.clip(labels[clip.label], begin + row))


def caches_of(source: Path, out: Path, grids: Sequence[str], stored_as: Sequence[str]) -> dict[tuple[str, str], Path]:
    """The source and every cache derived from it, by (tokens, storage)."""
    caches = {}
    for tokens in grids:
        for stored in stored_as:
            caches[tokens, stored] = source
            if (tokens, stored) != (grids[0], STORED[0]):
                caches[tokens, stored] = out / "caches" / f"{tokens}-{stored}"
                words = ["--out", str(caches[tokens, stored]), "--tokens", tokens, "--store", stored]
                avcil_extract(["derive", "--cache", str(source), *words], standalone_mode=False)
    return caches


def table(found: Mapping[tuple[str, str], tuple[Path, Sequence[Any]]]) -> list[str]:
    """The lines of the Markdown table; the first row is what the others are compared with."""
    heads = [head for name in FIGURES.values() for head in (name, "less the first row")]
    lines = [f"| Tokens | Stored | {' | '.join(heads)} | Cache | Seconds a run |", f"|---|---|{'---:|' * 6}"]
    reference = next(iter(found.values()))[1]
    for (tokens, stored), (cache, runs) in found.items():
        cells = []
        for figure in FIGURES:
            values = [run.metrics[figure] for run in runs]
            apart = [value - run.metrics[figure] for value, run in zip(values, reference, strict=True)]
            cells += [str(spread(values)), "" if runs is reference else str(spread(apart))]
        taken = size(sum(record.bytes for record in scan(cache).shards))
        seconds = spread([run.metrics["seconds"] for run in runs])
        lines.append(f"| {tokens} | {stored} | {' | '.join(cells)} | {taken} | {seconds} |")
    return lines


@click.command()
@click.option("--demo", type=click.Path(path_type=Path, exists=True, file_okay=False), help="The finished demo.")
@click.option("--ave", is_flag=True, help="Drawn features for AVE's clips in place of the demo's.")
@click.option("--every", default=1, show_default=True, help="With --ave: only one clip in so many.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("build/derived"))
@click.option("--seeds", default=10, show_default=True)
@click.option("--epochs", default=50, show_default=True)
@click.option("--learning-rate", default=0.003, show_default=True, help="On the demo; for AVE the published one.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="As `avcil-incr run` takes it.")
@click.option("--stored", multiple=True, type=click.Choice(STORED), default=STORED, show_default=True)
def main(
    demo: Path | None,
    ave: bool,
    every: int,
    out: Path,
    seeds: int,
    epochs: int,
    learning_rate: float,
    given: tuple[str, ...],
    stored: tuple[str, ...],
) -> None:
    """Derive and run what is not there yet, then print the table."""
    if ave == (demo is not None):
        raise click.UsageError("give --demo DIR or --ave")
    source, grids = (out / "source", ("14x14", "7x7", "mean")) if demo is None else (demo / "cache", ("7x7", "mean"))
    if demo is None:
        draw_ave(source, every)
    found = {}
    for (tokens, kind), cache in caches_of(source, out, grids, stored).items():
        folder = out / "runs" / f"{tokens}-{kind}"
        if demo is None:
            words = ["run", "--dataset", "ave", "--cache", str(cache), "--seeds", str(seeds), "--epochs", str(epochs)]
        else:
            words = run_words(demo, cache, seeds, epochs, learning_rate)
        words += [word for setting in given for word in ("--set", setting)]
        avcil_incr([*words, "--method", "av-cil", "--out", str(folder)], standalone_mode=False)
        (row,) = rows_of(load_runs([folder]))
        found[tokens, kind] = cache, row.runs
    click.echo(f"\n{seeds} seeds, {epochs} epochs a task; mean ± sample standard deviation (95% interval), percent\n")
    for line in table(found):
        click.echo(line)


if __name__ == "__main__":
    sys.exit(main())
