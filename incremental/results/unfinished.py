"""Runs that have not come to their end: how far each is, told by the files in its folder, without PyTorch."""

import csv
from pathlib import Path

from ...errors import InputError
from .files import CONFIG, HISTORY, METRICS, config_of

RESUMES = "the same avcil-incr run resumes it"


def unfinished_below(path: Path) -> list[tuple[Path, str]]:
    """Folders of unfinished runs at or below a path, each with how far it is and what to do.

    A config.json of something else is passed over.
    """
    folders = sorted(file.parent for file in path.rglob(CONFIG) if not (file.parent / METRICS).is_file())
    found = []
    for folder in folders:
        try:
            content = config_of(folder)
        except InputError:
            if folder != path:
                continue
            content = {"run": {}, "provenance": {}}
        found.append((folder, f"the run is not finished ({_how_far(folder, content)}); {RESUMES}"))
    return found


def _how_far(folder: Path, content: dict[str, object]) -> str:
    """The task and epoch that were done last, by history.csv; a run killed there resumes somewhat before."""
    run, provenance = content["run"], content["provenance"]
    assert isinstance(run, dict) and isinstance(provenance, dict)
    tasks = provenance.get("tasks")
    of_tasks = f" of {len(tasks)}" if isinstance(tasks, list) and tasks else ""
    gradient = provenance.get("way", "gradient") == "gradient"
    of_epochs = f" of {run['epochs']}" if isinstance(run.get("epochs"), int) else ""
    done = len(list((folder / "weights").glob("task-*.safetensors")))
    last = _last_line(folder / HISTORY)
    if last is not None and last[0] > done and gradient:
        return f"task {last[0]}{of_tasks}, epoch {last[1]}{of_epochs}"
    return f"{done}{of_tasks} tasks learnt" if done else "no epoch done yet" if gradient else "no task learnt yet"


def _last_line(path: Path) -> tuple[int, int] | None:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            last = None
            for line in csv.DictReader(stream):
                last = line
            return None if last is None else (int(last["task"]), int(last["epoch"]))
    except (OSError, KeyError, ValueError, TypeError, csv.Error):
        return None
