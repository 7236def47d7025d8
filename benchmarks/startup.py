"""Processor time that commands of stage 2 take before they do what they are for; a run, before its first step.

    python benchmarks/startup.py --runs build/demo/runs --cache build/demo/cache --manifest build/demo/data/manifest.csv

Processor time, of all threads, since it is what imports cost on a busy machine too.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

UNTIL_THE_FIRST_STEP = """
import importlib.abc, importlib.util, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "avcil.incremental.learning.gradient":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_watch(module):
            execute(module)
            module.GradientLearning._step = lambda *args, **named: os._exit(0)

        spec.loader.exec_module = execute_and_watch
        return spec

sys.meta_path.insert(0, Watch())
"""
"""Ends the process at the first step, without importing anything that a run would not have imported by then."""

COMMAND = """
import sys
from avcil.incremental.cli import main
main(sys.argv[1:])
"""


def processor_seconds(program: str, words: list[str]) -> float:
    """User and system time of a process that runs `program` with these words."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, *words]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@click.command()
@click.option("--runs", type=click.Path(exists=True, path_type=Path), required=True, help="Folder of finished runs.")
@click.option("--cache", type=click.Path(exists=True), required=True)
@click.option("--manifest", type=click.Path(exists=True), required=True)
@click.option("--repeats", default=3, show_default=True)
def main(runs: Path, cache: str, manifest: str, repeats: int) -> None:
    """Measure the start of table, show and run."""
    one = next(path.parent for path in sorted(runs.rglob("metrics.json")))
    table = Table(title="Processor time")
    table.add_column("command")
    table.add_column("seconds", justify="right")
    with tempfile.TemporaryDirectory() as folder:
        learn = ["run", "--method", "av-cil", "--manifest", manifest, "--cache", cache, "--classes-per-task", "4"]
        cases = {
            "--help": (COMMAND, [["--help"]] * repeats),
            "table": (COMMAND, [["table", str(runs)]] * repeats),
            "show": (COMMAND, [["show", str(one)]] * repeats),
            "run, until its first step": (
                UNTIL_THE_FIRST_STEP + COMMAND,
                [[*learn, "--out", f"{folder}/{number}"] for number in range(repeats)],
            ),
        }
        for name, (program, calls) in cases.items():
            seconds = statistics.median(processor_seconds(program, words) for words in calls)
            table.add_row(name, f"{seconds:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
