"""AV-CIL on the demo's clips with features stored and computed in different types, over several seeds.

    make demo && python benchmarks/precision.py --demo build/demo --out build/precision --seeds 10

The clips are encoded once, into a float32 cache; the others are copies of it. Prints a Markdown table: mean accuracy
and forgetting, and what they differ by from float32 throughout, seed by seed. The demo's encoders have random weights.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from avcil.benchmarks.demo_tables import run_words
from avcil.cache import CacheWriter, FeatureCache, Fingerprint
from avcil.extract.cli import main as avcil_extract
from avcil.incremental.cli import main as avcil_incr
from avcil.incremental.results.collect import load_runs, rows_of
from avcil.incremental.results.spreads import spread

STORED = ("float32", "bfloat16", "float16", "int8")
COMPUTED = ("float32", "bfloat16")
FIGURES = {"mean_accuracy": "Mean Accuracy", "average_forgetting": "Average Forgetting"}


def encode(demo: Path, cache: Path) -> None:
    """The demo's clips, as float32."""
    data, encoders = demo / "data", demo / "encoders"
    words = ["run", "--manifest", data / "manifest.csv", "--classes", data / "classes.csv", "--videos", data / "videos"]
    words += ["--video-encoder", encoders / "video", "--audio-encoder", encoders / "audio", "--random-weights"]
    avcil_extract([*map(str, words), "--cache", str(cache), "--store", "float32"], standalone_mode=False)


def copy_as(stored: str, source: FeatureCache, cache: Path) -> None:
    """The same features in another storage type; what is there already stays."""
    facts: Mapping[str, Any] = {**source.fingerprint.facts, "storage": stored}
    with CacheWriter(cache, Fingerprint(facts)) as writer:
        for begin in range(0, len(source.ids), 100):
            ids = source.ids[begin : begin + 100]
            if not writer.have.issuperset(ids):
                features = source.read(ids)
                writer.write_shard(f"shard-{begin // 100:05d}", ids, features.visual, features.audio)


@click.command()
@click.option("--demo", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("build/demo"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("build/precision"))
@click.option("--seeds", default=5, show_default=True)
@click.option("--epochs", default=50, show_default=True)
@click.option("--learning-rate", default=0.003, show_default=True)
def main(demo: Path, out: Path, seeds: int, epochs: int, learning_rate: float) -> None:
    """Run what is not there yet, then print the table."""
    caches = {stored: out / "caches" / stored for stored in STORED}
    encode(demo, caches["float32"])
    for stored in STORED[1:]:
        copy_as(stored, FeatureCache(caches["float32"]), caches[stored])
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for stored in STORED:
        for computed in COMPUTED:
            folder = out / "runs" / f"{stored}-{computed}"
            words = run_words(demo, caches[stored], seeds, epochs, learning_rate)
            words += ["--method", "av-cil", "--precision", computed, "--out", str(folder)]
            avcil_incr(words, standalone_mode=False)
            (row,) = rows_of(load_runs([folder]))
            found[stored, computed] = [run.metrics for run in row.runs]
    reference = found["float32", "float32"]
    click.echo(f"\n{seeds} seeds; mean ± sample standard deviation (95% interval of the mean), percent\n")
    heads = [head for name in FIGURES.values() for head in (name, "less float32 throughout")]
    click.echo(f"| Stored | Computed | {' | '.join(heads)} |\n|---|---|{'---:|' * len(heads)}")
    for (stored, computed), runs in found.items():
        cells = []
        for figure in FIGURES:
            values = [run[figure] for run in runs]
            apart = [value - run[figure] for value, run in zip(values, reference, strict=True)]
            cells += [str(spread(values)), "" if runs is reference else str(spread(apart))]
        click.echo(f"| {stored} | {computed} | {' | '.join(cells)} |")


if __name__ == "__main__":
    sys.exit(main())
