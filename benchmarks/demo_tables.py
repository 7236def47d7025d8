"""Every row of the paper on the demo's features, over three seeds: methods, modalities, AV-CIL's parts.

    make demo && python benchmarks/demo_tables.py --demo build/demo --out build/tables

Prints three Markdown tables; docs/demo-tables.md shows them. The demo's encoders have random weights.
"""

import sys
from pathlib import Path

import click
from avcil.incremental.cli import main as avcil_incr

COMMON = (
    *("--classes-per-task", "4", "--batch-size", "20", "--model-choice", "last"),
    *("--memory-size", "36", "--memory-batch-size", "12"),
)
METHODS = ("fine-tuning", "lwf", "icarl-nme", "icarl-fc", "ss-il", "afc-nme", "afc-lsc", "av-cil", "oracle")
PARTS = {
    "none": ("lambda_instance=0", "lambda_class=0", "attention_distillation=none"),
    "I": ("lambda_class=0", "attention_distillation=none"),
    "C": ("lambda_instance=0", "attention_distillation=none"),
    "VAD": ("lambda_instance=0", "lambda_class=0"),
    "I+C": ("attention_distillation=none",),
    "I+VAD": ("lambda_class=0",),
    "C+VAD": ("lambda_instance=0",),
    "I+C+GradCAM": ("attention_distillation=grad-cam",),
}
"""Rows of Tables 3 and 8 beside the whole of AV-CIL."""


def run_words(demo: Path, cache: Path, seeds: int, epochs: int, learning_rate: float) -> list[str]:
    """`avcil-incr run` on the demo's clips, but for the method and where the results go."""
    data = demo / "data"
    words = ["run", *COMMON, "--manifest", data / "manifest.csv", "--classes", data / "classes.csv", "--cache", cache]
    words += ["--seeds", seeds, "--epochs", epochs, "--set", f"learning_rate={learning_rate}"]
    return [str(word) for word in words]


@click.command()
@click.option("--demo", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("build/demo"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("build/tables"))
@click.option("--seeds", default=3, show_default=True)
@click.option("--epochs", default=50, show_default=True)
@click.option("--learning-rate", default=0.003, show_default=True)
def main(demo: Path, out: Path, seeds: int, epochs: int, learning_rate: float) -> None:
    """Run what is not there yet, then print the tables."""
    data = run_words(demo, demo / "cache", seeds, epochs, learning_rate)

    def run(folder: Path, *words: str) -> None:
        if not all((folder / f"seed-{seed}" / "metrics.json").is_file() for seed in range(seeds)):
            avcil_incr([*data, "--out", str(folder), *words], standalone_mode=False)

    for method in METHODS:
        run(out / "audio-visual" / method, "--method", method)
        if method != "av-cil":
            for modality in ("audio", "visual"):
                run(out / modality / method, "--method", method, "--modality", modality)
    for name, settings in PARTS.items():
        words = [word for setting in settings for word in ("--set", setting)]
        run(out / "parts" / name, "--method", "av-cil", *words)
    for title, folders in {
        "Methods (audio-visual)": [out / "audio-visual" / method for method in METHODS],
        "One modality": [
            out / kind / method for kind in ("audio", "visual") for method in METHODS if method != "av-cil"
        ],
        "Parts of AV-CIL": [*(out / "parts" / name for name in PARTS), out / "audio-visual" / "av-cil"],
    }.items():
        click.echo(f"\n## {title}\n")
        avcil_incr(["table", "--markdown", *map(str, folders)], standalone_mode=False)


if __name__ == "__main__":
    sys.exit(main())
