"""Why VAD lowers AV-CIL's accuracy on the demo's clips: runs with one thing changed at a time, over several seeds.

    make demo && python benchmarks/vad.py --demo build/demo --out build/vad

Prints Markdown tables; docs/demo-tables.md shows them. Finished runs are not repeated. The demo's encoders have random
weights.
"""

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from avcil.incremental.cli import main as avcil_incr

PLUGIN = Path(__file__).parent / "held_attention.py"
COMMON = {"batch_size": "20", "memory_size": "36", "memory_batch_size": "12", "epochs": "50", "learning_rate": "0.003"}
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


def words_of(given: Sequence[str], demo: Path, out: Path, seed: int) -> list[str]:
    """The command line of one run of one seed."""
    changed = dict(word.split("=", 1) for word in given)
    settings = {"method": "av-cil-held", **COMMON, **changed}
    order = settings.pop("class_order_seed", None)
    data = demo / "data"
    words = ["run", "--manifest", data / "manifest.csv", "--cache", demo / "cache", "--plugin", PLUGIN]
    words += ["--class-order-seed", order] if order else ["--classes", data / "classes.csv"]
    words += ["--classes-per-task", "4", "--model-choice", "last", "--seed", seed, "--out", out]
    oracle = demo / "runs" / "oracle" / f"seed-{seed}" / "weights" / "task-03.safetensors"
    for name, value in settings.items():
        words += ["--set", f"{name}={value.format(oracle=oracle)}"]
    return [str(word) for word in words]


def row(name: str, folders: Sequence[Path]) -> Iterator[str]:
    """Mean ± sample standard deviation over seeds: all accuracies, and those of new and of old classes apart."""
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in folders]
    new = [[after[-1] for after in each["accuracy_matrix"][1:]] for each in figures]
    old = [[value for after in each["accuracy_matrix"][1:] for value in after[:-1]] for each in figures]
    yield name
    for values in (
        [each["mean_accuracy"] for each in figures],
        [each["average_forgetting"] for each in figures],
        [statistics.mean(each) for each in new],
        [statistics.mean(each) for each in old],
    ):
        yield f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


@click.command()
@click.option("--demo", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("build/demo"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("build/vad"))
@click.option("--seeds", default=3, show_default=True, help="At least 2; the oracle's runs of them must be there.")
def main(demo: Path, out: Path, seeds: int) -> None:
    """Run what is not there yet, then print the tables."""
    for rows in EXPERIMENTS.values():
        for given in rows.values():
            for seed in range(seeds):
                folder = out / (" ".join(given)).replace("/", "-") / f"seed-{seed}"
                if not (folder / "metrics.json").is_file():
                    avcil_incr(words_of(given, demo, folder, seed), standalone_mode=False)
    for title, rows in EXPERIMENTS.items():
        click.echo(f"\n## {title}\n")
        click.echo("| Runs | Mean Accuracy | Average Forgetting | New classes | Old classes |")
        click.echo("|------|--------------:|-------------------:|------------:|------------:|")
        for name, given in rows.items():
            folders = [out / (" ".join(given)).replace("/", "-") / f"seed-{seed}" for seed in range(seeds)]
            click.echo(f"| {' | '.join(row(name, folders))} |")


if __name__ == "__main__":
    sys.exit(main())
