"""Which runs a table needs, where each lies, and which of them are there already.

A run's folder is OUT/runs/METHOD-HASH/seed-N, HASH being over the settings that decide a result and the tasks, so that
tables that need the same run share it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..config import OFF, RunConfig, names_of
from ..learning.method import BaseMethod
from ..methods import all_methods
from ..results.cause import SEED, settings_of
from ..results.files import METRICS
from ..runs.call import ConfiguredRun, configure
from ..runs.experiment import place_for
from ..runs.problem import tasks_of
from ..runs.provenance import ways_of
from .paper import PaperRow
from .targets import Target


@dataclass(frozen=True)
class PlannedRun:
    """One run."""

    configured: ConfiguredRun
    folder: Path
    row: str
    """The first row that needs it."""

    @property
    def finished(self) -> bool:
        """Whether it has been run."""
        return (self.folder / METRICS).is_file()

    @property
    def name(self) -> str:
        """What it is called on the screen."""
        of_order = self.folder.parent.name.startswith("order-")
        return "/".join(self.folder.parts[-3 if of_order else -2 :])


@dataclass(frozen=True)
class PlannedRow:
    """One row of a table, and its runs, one a seed."""

    name: str
    runs: tuple[PlannedRun, ...]
    accuracy: float | None
    """Published Mean Accuracy, in percent."""
    forgetting: float | None
    """Published Average Forgetting, in percent."""
    departs: str | None
    """The first setting in which the runs are not as published, in words."""
    contested: str | None
    """What else the paper prints in place of `accuracy`, in words; None where it agrees with itself."""


@dataclass(frozen=True)
class Plan:
    """A target's rows and runs."""

    target: Target
    label: str
    """The data set's name, for titles and file names."""
    rows: tuple[PlannedRow, ...]
    left_out: tuple[str, ...]
    """Lines on rows that are left out, and why."""

    @property
    def runs(self) -> tuple[PlannedRun, ...]:
        """All runs, each once."""
        found: dict[Path, PlannedRun] = {}
        for row in self.rows:
            for run in row.runs:
                found.setdefault(run.folder, run)
        return tuple(found.values())


def make_plan(target: Target, given: Mapping[str, Any], out: Path, seeds: int = 1) -> Plan:
    """The runs of a target.

    Args:
        target: the table or figure.
        given: settings as `avcil-incr run` takes them, but for the method; those that only some methods have are
            passed to these.
        out: folder under which runs lie.
        seeds: runs a row, from the given seed on.

    Raises:
        InputError: a setting that no run has, one that the rows differ in, or values with which no row can be run.
    """
    for row in target.rows:
        for name in given:
            if name in row.given:
                raise InputError(f"{name} is what the rows of {target.name} differ in: leave it out")
    dataset = given.get("dataset")
    rows, left_out, errors = [], [], []
    for row in target.rows:
        try:
            rows.append(_planned(row, given, out, seeds))
        except InputError as error:
            errors.append(error)
            left_out.append(f"left out: {row.name}: {error}")
    if not rows:
        raise errors[0]
    label = str(dataset or given.get("manifest"))
    return Plan(target, Path(label).stem if dataset is None or "." in label else label, tuple(rows), tuple(left_out))


def _planned(row: PaperRow, given: Mapping[str, Any], out: Path, seeds: int) -> PlannedRow:
    wanted = {**understood(row.given["method"], given, all_methods()), **row.given}
    configured = configure(**wanted)
    classes = configured.problem.manifest.class_order
    if row.given.get("classes_per_task", 0) >= len(classes):
        raise InputError(f"{len(classes)} classes make no two tasks of {row.given['classes_per_task']}")
    first = configured.config.seed
    runs = []
    for seed in range(first, first + seeds):
        one = replace(configured, config=replace(configured.config, seed=seed))
        run = PlannedRun(one, out / "runs" / folder_name(one) / f"seed-{seed}", row.name)
        place_for(one.config, one.settings, run.folder)  # which refuses a folder that holds something else
        runs.append(run)
    dataset = str(given.get("dataset"))
    accuracy, forgetting = row.figures.get(dataset), row.forgetting.get(dataset)
    departs = None
    if accuracy is not None:
        as_published = configure(cache="", dataset=dataset, **row.given)
        departs = _departure(configured, as_published)
    return PlannedRow(row.name, tuple(runs), accuracy, forgetting, departs, row.contested.get(dataset))


def understood(method: str, given: Mapping[str, Any], methods: Mapping[str, type[BaseMethod]]) -> dict[str, Any]:
    """`given` without the settings that others of the methods have and this one has not."""
    of_others = {name for kind in methods.values() for name in names_of(kind.Settings)}
    own = names_of(methods[method].Settings) if method in methods else ()
    foreign = of_others - {*names_of(RunConfig), *own}
    return {name: value for name, value in given.items() if name not in foreign}


def cause_of(configured: ConfiguredRun) -> dict[str, Any]:
    """The settings that decide the result, but for the seed, and the tasks."""
    settings = settings_of({"run": configured.plain(), "provenance": ways_of(configured.kind)})
    settings.pop(SEED, None)
    return {"settings": settings, "tasks": tasks_of(configured.config, configured.problem.manifest)}


def folder_name(configured: ConfiguredRun) -> str:
    """Method, modality where it is not both, and eight letters of the cause's hash."""
    words = [configured.config.method]
    if configured.config.modality != "audio-visual":
        words.append(configured.config.modality)
    digest = hashlib.sha256(json.dumps(cause_of(configured), sort_keys=True).encode()).hexdigest()
    return "-".join([*words, digest[:8]])


def _departure(ours: ConfiguredRun, published: ConfiguredRun) -> str | None:
    mine, theirs = cause_of(ours), cause_of(published)
    for name in {**theirs["settings"], **mine["settings"]}:  # one that is off is missing
        value, published_value = (cause["settings"].get(name, OFF.get(name)) for cause in (mine, theirs))
        if value != published_value:
            return f"{name} = {value}, published {published_value}"
    return None if mine["tasks"] == theirs["tasks"] else "other tasks than published"
