"""The demo's four steps: clips, features, runs, results. Each but the last is the command that a user would type."""

import importlib.util
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ..errors import InputError, shown
from ..wording import RANDOM_WEIGHTS
from .clips import CLASSES, CLASSES_PER_TASK, DataSet, PlannedClip, is_complete, write_data_set
from .encoders import AUDIO, VIDEO, write_encoders

if TYPE_CHECKING:
    from ..incremental.results.collect import Row
    from ..incremental.results.spreads import Spread

MEMORY = 36
BATCH = 20
MEMORY_BATCH = 12
# The published 1e-3 takes hundreds of epochs; here some fifty have to do. The last epoch's weights are used because
# a validation set this small is soon answered without a fault, by weights that have hardly learnt.
LEARNING_RATE = 0.003

PICTURE, PICTURE_WIDTH = "accuracy.svg", 4.2
"""File of the picture of the results, and its inches."""


@dataclass(frozen=True)
class Learning:
    """One row of the demo's table."""

    name: str
    """The folder of its results."""
    title: str
    """What it is, for the table."""
    options: tuple[str, ...]
    """Its own options of `avcil-incr run`."""


LEARNINGS = (
    Learning("fine-tuning", "Fine-tuning", ("--method", "fine-tuning")),
    Learning(
        "av-cil",
        "AV-CIL",
        ("--method", "av-cil", "--memory-size", str(MEMORY), "--memory-batch-size", str(MEMORY_BATCH)),
    ),
    Learning("oracle", "Oracle", ("--method", "oracle")),
    Learning("oracle-audio", "Oracle, sound only", ("--method", "oracle", "--modality", "audio")),
    Learning("oracle-visual", "Oracle, pictures only", ("--method", "oracle", "--modality", "visual")),
)


@dataclass
class Demo:
    """A demo under way in one folder. Started again, it does what is missing."""

    out: Path
    """Folder of everything it writes."""
    clips: tuple[PlannedClip, ...]
    """The data set."""
    seeds: int = 3
    """Runs of each kind."""
    epochs: int = 50
    """Epochs a task."""
    console: Console = field(default_factory=Console)
    """Where it speaks."""
    durations: dict[str, float] = field(default_factory=dict)
    """Seconds each step took."""

    def run(self) -> None:
        """All steps. Raises InputError where a command fails, which has then told why in a line of its own."""
        self.say("A small audio-visual data set through both stages, from video files to a table.")
        self.say(f"In this demo {RANDOM_WEIGHTS}.")
        with self.step(f"1/4  Write {len(self.clips)} clips"):
            data = self.write_clips()
        with self.step("2/4  Extract features"):
            cache = self.extract(data)
        with self.step("3/4  Learn the tasks"):
            runs = [self.learn(learning, data, cache) for learning in LEARNINGS]
        self.console.rule("4/4  Results", align="left")
        rows = self.rows(runs)
        self.show_results(rows)
        self.draw_results(rows)
        self.show_summary(data, cache)

    def say(self, line: str) -> None:
        """Print a line that the screen may wrap but that nothing colours."""
        self.console.print(Text(line))

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Head a step and time it."""
        self.console.rule(title, align="left")
        started = time.perf_counter()
        yield
        self.durations[title.split("  ")[1]] = time.perf_counter() - started

    def write_clips(self) -> DataSet:
        """Step 1."""
        folder = self.out / "data"
        if is_complete(folder, self.clips):
            self.say(f"they are there already, in {shown(folder)}")
        columns = (TextColumn("writing"), BarColumn(), MofNCompleteColumn(), TextColumn("clips"))
        with Progress(*columns, console=self.console, transient=True) as progress:
            bar = progress.add_task("", total=len(self.clips))
            data = write_data_set(folder, self.clips, on_clip=lambda: progress.advance(bar))
        megabytes = sum(file.stat().st_size for file in data.videos.iterdir()) / 1e6
        first = next(data.videos.iterdir())
        self.say(f"{data.clips} MP4 files (H.264, AAC) of 2 s, {megabytes:.1f} MB, such as {shown(first)}")
        return data

    def extract(self, data: DataSet) -> Path:
        """Step 2."""
        video, audio = write_encoders(self.out / "encoders")
        cache = self.out / "cache"
        self.call(
            "avcil-extract",
            *("run", "--manifest", data.manifest, "--classes", data.classes, "--videos", data.videos),
            *("--cache", cache, "--video-encoder", video, "--audio-encoder", audio, "--random-weights"),
        )
        return cache

    def learn(self, learning: Learning, data: DataSet, cache: Path) -> Path:
        """One kind of run of step 3, all seeds."""
        out = self.out / "runs" / learning.name
        self.call(
            "avcil-incr",
            "run",
            *learning.options,
            *("--manifest", data.manifest, "--classes", data.classes, "--cache", cache),
            *("--out", out, "--seeds", self.seeds, "--classes-per-task", CLASSES_PER_TASK, "--epochs", self.epochs),
            *("--batch-size", BATCH, "--model-choice", "last", "--set", f"learning_rate={LEARNING_RATE}"),
        )
        return out

    def call(self, *words: str | Path | int) -> None:
        """Print a command as it could be typed, and run it."""
        script = console_script(str(words[0]))
        arguments = [str(word) for word in words[1:]]
        self.console.print(Text(shown(f"$ {shlex.join([shortest(script), *arguments])}"), "bold"), soft_wrap=True)
        self.console.file.flush()
        # Threads that wait for each other by spinning make small runs ten times slower on a busy machine.
        environment = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ
        status = subprocess.run([script, *arguments], check=False, env=environment).returncode
        if status:
            raise InputError(f"the demo stopped: '{words[0]} {words[1]}' ended with status {status}")

    def rows(self, runs: Sequence[Path]) -> "list[Row]":
        """The finished runs, a row a kind, by the kind's title."""
        from ..incremental.results.collect import load_runs, rows_of

        found = []
        for learning, run in zip(LEARNINGS, runs, strict=True):
            (row,) = rows_of(load_runs([run / f"seed-{seed}" for seed in range(self.seeds)]))
            found.append(replace(row, name=learning.title))
        return found

    def show_results(self, rows: "Sequence[Row]") -> None:
        """The table."""
        table = Table(
            box=box.SIMPLE_HEAD, title=f"Percent, mean ± standard deviation, {self.seeds} seeds, random encoders"
        )
        table.add_column("Run", no_wrap=True)
        for heading in ("Mean Accuracy", "Average Forgetting", "Last Accuracy", "Seconds a seed"):
            table.add_column(heading, justify="right")
        for row in rows:
            figures = map(row.figure, ("mean_accuracy", "average_forgetting", "last_accuracy", "seconds"))
            table.add_row(row.name, *map(in_words, figures))
        self.console.print(table)

    def draw_results(self, rows: "Sequence[Row]") -> None:
        """The picture: accuracy after each task, a line a kind of run; without matplotlib, a line says why not."""
        if importlib.util.find_spec("matplotlib") is None:
            self.say("no picture of the accuracies: matplotlib is not installed: pip install 'avcil[report]'\n")
            return
        from ..incremental.results.figures.kinds import draw, save

        picture = self.out / PICTURE
        save(draw("curves", rows, PICTURE_WIDTH), picture)
        self.say(f"accuracy after each task, with 95% intervals, as a picture: {shown(shortest(str(picture)))}\n")

    def show_summary(self, data: DataSet, cache: Path) -> None:
        """What was run, how long it took, where the files lie, and what to type next."""
        per_split = Counter(clip.split for clip in self.clips)
        lines = {
            "Data": f"{len(self.clips)} clips ({', '.join(f'{n} {split}' for split, n in per_split.items())}), "
            f"{len(CLASSES)} classes = motion x sound, in tasks of {CLASSES_PER_TASK}",
            "Modalities": "with all classes seen (last accuracy), one modality alone can expect 33% at most",
            "Encoders": f"VideoMAE, {VIDEO['num_hidden_layers']} blocks of {VIDEO['hidden_size']}, and AudioMAE's ViT, "
            f"{AUDIO['num_hidden_layers']} blocks of {AUDIO['hidden_size']}: RANDOM weights, never trained",
            "Learning": f"{self.epochs} epochs a task, batches of {BATCH}, learning rate {LEARNING_RATE}, "
            f"the last epoch's weights; AV-CIL remembers {MEMORY} clips, fine-tuning none, the oracle all",
            "Time": ", ".join(f"{title.lower()} {seconds:.0f} s" for title, seconds in self.durations.items())
            + f"; {sum(self.durations.values()):.0f} s in all",
            "Videos": str(data.videos),
            "Lists": f"{data.manifest}, {data.classes}",
            "Cache": str(cache),
            "Runs": f"{self.out / 'runs'}/*/seed-*",
        }
        grid = Table.grid(padding=(0, 2))
        for name, text in lines.items():
            grid.add_row(name, Text(shown(text)))
        self.console.print(grid)
        self.say("\nWhat to try next:")
        incremental, extract = (shortest(console_script(name)) for name in ("avcil-incr", "avcil-extract"))
        for command in (
            [incremental, "show", str(self.out / "runs" / "av-cil")],
            [incremental, "report", str(self.out / "runs"), "--out", str(self.out / "report.html")],
            [incremental, "methods"],
            [extract, "verify", "--cache", str(cache)],
        ):
            self.console.print(Text(shown(f"  $ {shlex.join(command)}")), soft_wrap=True)
        self.say(f"\nNote: {RANDOM_WEIGHTS}.")


def in_words(figure: "Spread | None") -> str:
    """A figure of the table; not every figure exists for every run."""
    if figure is None:
        return "-"
    return f"{figure.mean:.1f}" + ("" if figure.deviation is None else f" ± {figure.deviation:.1f}")


def console_script(name: str) -> str:
    """The installed command beside the Python that runs this. InputError where there is none."""
    for file in (Path(sys.executable).parent / name, Path(sys.executable).parent / f"{name}.exe"):
        if file.is_file():
            return str(file)
    raise InputError(f"no {name} beside {sys.executable}: install the package there (make setup)")


def shortest(path: str) -> str:
    """`path` as seen from the working directory where it lies below it."""
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative
