"""Whether a run has exactly the published settings, and the figures published for them."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...manifests import published
from ..learning.method import BaseMethod
from ..results.cause import settings_of
from .configure import as_plain, configure
from .problem import protocol_of, tasks_of
from .provenance import ways_of


def published_figures(
    kind: type[BaseMethod], config: Mapping[str, Any], tasks: Sequence[Sequence[str]]
) -> list[float] | None:
    """Mean Accuracy and Average Forgetting (which may be missing) as published for a run's problem and settings, in
    percent; None where its tasks or a setting that decides results are not the published ones.

    `config` is the entry "run" of config.json, `tasks` the class names of each task.
    """
    names = ("dataset", "cache", "modality", "seed")
    if any(config.get(name) is None for name in names):
        return None
    benchmark = published(config["dataset"])
    figures = benchmark.published.get(config["method"], {}).get(config["modality"])
    protocol = protocol_of(benchmark, config["dataset"])
    if figures is None or not {"classes_per_task", "tasks"} & protocol.keys():
        return None
    chosen = {name: config[name] for name in names}
    settled, settings = configure(kind, protocol, chosen)
    preset = as_plain(settled, settings)
    provenance = ways_of(kind)
    if settings_of({"run": config, "provenance": provenance}) != settings_of({"run": preset, "provenance": provenance}):
        return None
    order = tasks_of(settled, benchmark.manifest)
    return list(figures) if [list(task) for task in tasks] == [list(task) for task in order] else None
