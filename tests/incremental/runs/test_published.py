"""Which runs have the published settings."""

from typing import Any

import pytest
from avcil.incremental.methods import find_method
from avcil.incremental.runs.configure import as_plain, configure
from avcil.incremental.runs.published import published_figures
from avcil.manifests import published, split_into_tasks


def published_tasks(dataset: str) -> list[list[str]]:
    benchmark = published(dataset)
    tasks = split_into_tasks(benchmark.manifest.class_order, benchmark.protocol["classes_per_task"])
    return [list(task) for task in tasks]


def config_of(method: str, dataset: str, **given: Any) -> dict[str, Any]:
    return as_plain(*configure(find_method(method), published(dataset).protocol, {"dataset": dataset, **given}))


@pytest.mark.parametrize(
    ("method", "dataset", "given", "figures"),
    [
        ("av-cil", "ave", {}, [74.04, 7.63]),
        ("icarl-nme", "kinetics-sounds", {}, [64.51, 18.70]),
        ("afc-lsc", "vggsound100", {}, [57.76, 29.64]),
        ("oracle", "vggsound100", {}, [78.63]),
        ("lwf", "ave", {"modality": "audio"}, [51.88]),
        ("ss-il", "kinetics-sounds", {"modality": "visual"}, [64.55]),
        ("av-cil", "ave", {"seed": 3, "device": "cuda:0", "precision": "bfloat16"}, [74.04, 7.63]),
    ],
)
def test_published_figures_stand_beside_runs_with_the_published_settings(
    method: str, dataset: str, given: dict[str, Any], figures: list[float]
):
    kind = find_method(method)
    config = config_of(method, dataset, cache="", **given)
    assert published_figures(kind, config, published_tasks(dataset)) == figures


@pytest.mark.parametrize("given", [{"epochs": 3}, {"lambda_class": 0.9}, {"model_choice": "last"}, {"memory_size": 1}])
def test_and_beside_no_other(given: dict[str, Any]):
    kind, tasks = find_method("av-cil"), published_tasks("ave")
    assert published_figures(kind, config_of("av-cil", "ave", cache="", **given), tasks) is None


def test_nor_beside_another_problem():
    """A list of one's own, another class order, other tasks."""
    kind, tasks, config = find_method("av-cil"), published_tasks("ave"), config_of("av-cil", "ave", cache="")
    assert published_figures(kind, config, tasks) == [74.04, 7.63]
    assert published_figures(kind, config | {"dataset": None}, tasks) is None
    assert published_figures(kind, {"method": "av-cil", "dataset": "ave"}, tasks) is None
    assert published_figures(kind, config, tasks[::-1]) is None
    assert published_figures(kind, config, [*tasks[:-1], tasks[-1][::-1]]) is None
