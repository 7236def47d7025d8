"""What made a result: runs of the same cause are the same experiment, wherever their files lie.

A cause is what a run had to learn (clips, labels, splits, tasks, features: what was read, not where it was) and the
settings that decide its result. How the work was carried out does not belong to it.
"""

from collections.abc import Mapping
from typing import Any

from ...manifests import given_class_order
from ..config import OFF, GradientSettings, TrainingSettings, names_of

SEED = "seed"
"""The one setting of `TrainingSettings` in which runs of a row may differ."""

ORDER = "class_order_seed"
"""The one setting of what is learnt in which runs of a row may differ; None: the published or given class order."""

NO_TOKENS = "no visual tokens needed"
"""What a run's provenance says of its residence where only means or sound were used."""

WITHOUT_MEMORY = ("fine-tuning", "lwf", "oracle")
"""Methods whose results do not depend on the exemplar memory, for runs that did not record whether theirs do."""

FACTS = {
    "cache_fingerprint": ("features", "features made in another way"),
    "clips_sha256": ("clips", "another list of clips (the manifest or the cache has changed)"),
    "labels_sha256": ("labels", "other labels or splits of the same clips"),
    "features_sha256": ("feature values", "other features, though made in the same way: the cache was made again"),
    "tasks": ("tasks", "other tasks"),
    "computed_in": ("computed_in", "arithmetic in another precision"),
    "plugins": ("plugins", "another version of a plugin"),
}
"""Entries of the provenance that belong to a cause: what a row calls them, and what to say where they differ.

The versions of this package and of the libraries are recorded beside them and are no cause. This package's own methods
give the same bits from version to version, which tests hold against recorded values, and a run whose libraries were
brought up to date has to be resumable; PyTorch's own rounding is no other experiment, no more than another processor's.
"""


def settings_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide a result, the seed too, flat, from the content of a config.json; none that is off."""
    run, provenance = content["run"], content.get("provenance", {})
    names = names_of(TrainingSettings)
    gradient = provenance.get("way", "gradient") == "gradient"
    if gradient:
        names += names_of(GradientSettings)
    if not provenance.get("memory", gradient and run.get("method") not in WITHOUT_MEMORY):
        names = tuple(name for name in names if name != "memory_size")
    said = {name: run[name] for name in names if name in run and not (name in OFF and run[name] == OFF[name])}
    return said | dict(run.get("settings", {}))


def facts_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """What was learnt from and with, by the names in FACTS; an older run's file may lack some."""
    provenance = content["provenance"]
    facts = {name: provenance[name] for name in FACTS if name in provenance}
    if isinstance(facts.get("plugins"), dict):  # by path, which is no cause
        facts["plugins"] = sorted(facts["plugins"].values())
    if provenance.get("residence") == NO_TOKENS:  # whose precision is the only one there is to choose
        facts.pop("computed_in", None)
    return facts


def order_of(content: Mapping[str, Any]) -> int | None:
    """The seed that a run's class order was drawn from, from the content of a config.json; None: the given order."""
    found: int | None = content["run"].get(ORDER)
    return found


def given_tasks(content: Mapping[str, Any]) -> list[list[str]]:
    """A run's tasks as they are in the class order that its own was drawn from: the same for every order of a list."""
    tasks: list[list[str]] = content["provenance"].get("tasks", [])
    seed = order_of(content)
    if seed is None:
        return tasks
    names = iter(given_class_order([name for task in tasks for name in task], seed))
    return [[next(names) for _ in task] for task in tasks]


def other_settings(here: Mapping[str, Any], there: Mapping[str, Any], *, resumed: bool = False) -> str | None:
    """The first setting in which the run `there` differs from the one `here`, in words; None where all are the same.

    What an older version did not record is not known to be the same, here as in a table's rows. Where the run is only
    `resumed` it is passed over: from then on it is recorded.
    """
    mine, theirs = settings_of(here), {**OFF, **settings_of(there)}
    mine |= {name: off for name, off in OFF.items() if name in here["run"] and name not in mine}
    for name in mine:
        if name in theirs and mine[name] != theirs[name]:
            return f"{name} = {theirs[name]!r}, not {mine[name]!r}"
        if name not in theirs and not resumed:
            return f"no record of its {name}, as an older version made it"
    return None


def other_facts(here: Mapping[str, Any], there: Mapping[str, Any], *, resumed: bool = False) -> str | None:
    """What the run `there` learnt from or with that the one `here` does not, in words; None where all is the same.

    `resumed` as in `other_settings`.
    """
    mine, theirs = facts_of(here), facts_of(there)
    for name, (title, words) in FACTS.items():
        if name in mine and name in theirs and mine[name] != theirs[name]:
            return words
        if name in mine and name not in theirs and not resumed:
            return f"no record of its {title}, as an older version made it"
    return None
