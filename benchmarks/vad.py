"""Why VAD lowers AV-CIL's accuracy on the demo's clips: runs with one thing changed at a time, over several seeds.

    make demo && python benchmarks/vad.py --demo build/demo --out build/vad

Prints Markdown tables; docs/demo-tables.md shows them. Finished runs are not repeated. The demo's encoders have random
weights.
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from avcil.benchmarks.demo_tables import run_words
from avcil.errors import InputError, OneLineCommand
from avcil.incremental.cli import main as avcil_incr
from avcil.incremental.results.collect import FinishedRun, load_runs
from avcil.incremental.results.spreads import spread

PLUGIN = Path(__file__).parent / "held_attention.py"
OPTIONS = ("method", "batch_size", "memory_size", "memory_batch_size", "class_order_seed")
"""What is changed by an option of `run`; everything else by --set."""
WITHOUT, WITH = ("attention_distillation=none",), ("attention_distillation=vad",)
BOTH = {"without VAD": WITHOUT, "with VAD": WITH}

CHANGED: dict[str, dict[str, tuple[str, ...]]] = {
    "The learning rate": {
        "0.0003": ("learning_rate=0.0003",),
        "0.001": ("learning_rate=0.001",),
        "0.001, 150 epochs": ("learning_rate=0.001", "epochs=150"),
        "0.01": ("learning_rate=0.01",),
    },
    "The batch": {
        "10 and 6": ("batch_size=10", "memory_batch_size=6"),
        "60 and 36": ("batch_size=60", "memory_batch_size=36"),
    },
    "The memory": {
        "12 clips": ("memory_size=12",),
        "72 clips": ("memory_size=72",),
        "120 clips": ("memory_size=120",),
    },
    "The class order": {f"drawn from {seed}": (f"class_order_seed={seed}",) for seed in (1, 2, 3)},
}

EXPERIMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "The parts of the loss": {
        "none of the three terms": (*WITHOUT, "lambda_instance=0", "lambda_class=0"),
        "VAD alone": (*WITH, "lambda_instance=0", "lambda_class=0"),
        "without VAD": WITHOUT,
        "with VAD": WITH,
        "VAD, spatial alone": (*WITH, "lambda_spatial=1"),
        "VAD, temporal alone": (*WITH, "lambda_spatial=0"),
    },
    "The weight of VAD": {f"VAD x {weight}": (*WITH, f"vad_weight={weight}") for weight in ("0.01", "0.1", "10")},
    "Where the attention comes from": {
        "never trained, without VAD": (*WITHOUT, "attention=never"),
        "trained in task 1, then frozen, without VAD": (*WITHOUT, "attention=first-task"),
        "begins with the oracle's, without VAD": (*WITHOUT, "attention_from={oracle}"),
        "begins with the oracle's, with VAD": (*WITH, "attention_from={oracle}"),
        "the oracle's, frozen": (*WITHOUT, "attention_from={oracle}", "attention=never"),
    },
    **{
        title: {f"{case}, {vad}": (*changed, *given) for case, changed in cases.items() for vad, given in BOTH.items()}
        for title, cases in CHANGED.items()
    },
    "Other methods": {
        f"{method}, {case}": (f"method={method}", *changed)
        for case, changed in {"36 clips": (), "12 clips": ("memory_size=12",)}.items()
        for method in ("ss-il", "icarl-fc", "icarl-nme", "afc-nme")
    },
}


def oracle_of(demo: Path, seed: int) -> Path:
    """The weights of the demo's oracle after its last task."""
    return demo / "runs" / "oracle" / f"seed-{seed}" / "weights" / "task-03.safetensors"


def words_of(given: Sequence[str], demo: Path, out: Path, seed: int) -> list[str]:
    """The command line of one run, its results in OUT/seed-N; what comes later in it wins."""
    changed = {"method": "av-cil-held"} | dict(word.split("=", 1) for word in given)
    epochs, learning_rate = int(changed.pop("epochs", 50)), float(changed.pop("learning_rate", 0.003))
    words = run_words(demo, demo / "cache", 1, epochs, learning_rate)
    words += ["--plugin", str(PLUGIN), "--seed", str(seed), "--out", str(out)]
    for name, value in changed.items():
        if name in OPTIONS:
            words += [f"--{name.replace('_', '-')}", value]
        else:
            words += ["--set", f"{name}={value.format(oracle=oracle_of(demo, seed))}"]
    return words


def figures_of(run: FinishedRun) -> tuple[float | None, ...]:
    """Mean Accuracy, Average Forgetting, and from the second task on the mean accuracy on new and on old classes."""
    later = run.metrics["accuracy_matrix"][1:]
    new = spread([after[-1] for after in later])
    old = spread([value for after in later for value in after[:-1]])
    return (
        *(run.metrics[name] for name in ("mean_accuracy", "average_forgetting")),
        *(found and found.mean for found in (new, old)),
    )


def row(name: str, runs: Sequence[FinishedRun]) -> str:
    """A line of a table: mean ± sample standard deviation over seeds."""
    cells = [spread(values) for values in zip(*map(figures_of, runs), strict=True)]
    return (
        f"| {' | '.join([name, *('-' if cell is None else cell.words(digits=1, interval=False) for cell in cells)])} |"
    )


def tables(out: Path, seeds: int) -> Iterator[str]:
    """The lines of all tables."""
    for title, rows in EXPERIMENTS.items():
        yield f"\n### {title}\n"
        yield "| Runs | Mean Accuracy | Average Forgetting | New classes | Old classes |"
        yield "|------|--------------:|-------------------:|------------:|------------:|"
        for name, given in rows.items():
            yield row(name, load_runs([out / " ".join(given) / f"seed-{seed}" for seed in range(seeds)]))


@click.command(cls=OneLineCommand)
@click.option("--demo", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("build/demo"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("build/vad"))
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="As many as the demo has run.")
def main(demo: Path, out: Path, seeds: int) -> None:
    """Run what is not there yet, then print the tables."""
    for seed in range(seeds):
        if not oracle_of(demo, seed).is_file():
            raise InputError(f"{oracle_of(demo, seed)}: not there: run the demo with --seeds {seeds}, or ask for fewer")
    cases = itertools.chain.from_iterable(rows.values() for rows in EXPERIMENTS.values())
    for given, seed in itertools.product(cases, range(seeds)):
        folder = out / " ".join(given)
        if not (folder / f"seed-{seed}" / "metrics.json").is_file():
            avcil_incr(words_of(given, demo, folder, seed), standalone_mode=False)
    for line in tables(out, seeds):
        click.echo(line)


if __name__ == "__main__":
    sys.exit(main())
