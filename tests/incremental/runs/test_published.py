"""Which runs have the published settings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from avcil.incremental.methods import find_method
from avcil.incremental.runs.configure import as_plain, configure
from avcil.incremental.runs.problem import protocol_of
from avcil.incremental.runs.published import published_figures
from avcil.manifests import published, shuffled_class_order, split_into_tasks


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


@pytest.mark.parametrize(
    ("protocol", "order"),
    [
        ("classes_per_task = 1\nclass_order_seed = 3\n", shuffled_class_order(("a", "b", "c", "d"), 3)),
        ('tasks = "tasks.csv"\n', ("d", "b", "a", "c")),
    ],
)
def test_the_published_order_may_be_a_protocols_own(tmp_path: Path, protocol: str, order: Sequence[str]):
    rows = [f"{name}{split},{name},{split}" for name in "abcd" for split in ("train", "test")]
    (tmp_path / "mine.toml").write_text(f'title = "Mine"\n[protocol]\n{protocol}[published]\nlwf.audio = [50.0]\n')
    (tmp_path / "mine.csv").write_text("\n".join(["video_id,label,split", *rows, ""]))
    (tmp_path / "mine.classes.csv").write_text("class_index,label\n0,a\n1,b\n2,c\n3,d\n")
    (tmp_path / "tasks.csv").write_text("task,label\n1,d\n2,b\n3,a\n4,c\n")
    kind, dataset = find_method("lwf"), str(tmp_path / "mine.toml")
    what = protocol_of(published(dataset), dataset)
    config = as_plain(*configure(kind, what, {"dataset": dataset, "cache": "", "modality": "audio"}))
    tasks = [[name] for name in order]
    assert tasks != [["a"], ["b"], ["c"], ["d"]]
    assert published_figures(kind, config, tasks) == [50.0]
    assert published_figures(kind, config, [["a"], ["b"], ["c"], ["d"]]) is None
