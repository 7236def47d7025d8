"""The paper's tables: every row can be configured, and figures agree wherever two tables hold the same run."""

import json
from collections import defaultdict
from typing import Any

import pytest
from avcil.incremental.methods import find_method
from avcil.incremental.reproduce.paper import METHODS, TABLES
from avcil.incremental.runs.configure import as_plain, configure
from avcil.manifests import published, published_names

ROWS = [(table.number, row) for table in TABLES.values() for row in table.rows]


def test_the_tables_have_as_many_rows_as_the_paper():
    assert {number: len(table.rows) for number, table in TABLES.items()} == {
        1: 9, 2: 16, 3: 8, 4: 9, 5: 9, 6: 9, 7: 18, 8: 3
    }  # fmt: skip


def test_every_published_figure_of_the_first_two_tables_belongs_to_a_row():
    listed = {
        (row.given["method"], row.given.get("modality", "audio-visual"), name): figure
        for number in (1, 2)
        for row in TABLES[number].rows
        for name, figure in row.figures.items()
    }
    in_files = {
        (method, modality, name): figures[0]
        for name in published_names()
        for method, by_modality in published(name).published.items()
        for modality, figures in by_modality.items()
    }
    assert listed == in_files
    assert len(listed) == 3 * (9 + 16)


@pytest.mark.parametrize(("number", "row"), ROWS, ids=lambda value: getattr(value, "name", str(value)))
def test_every_row_is_a_run_that_can_be_configured(number: int, row: Any):
    assert row.figures
    for dataset in row.figures:
        benchmark = published(dataset)
        given = {"cache": "", "dataset": dataset, **row.given}
        config, _ = configure(find_method(row.given["method"]), benchmark.protocol, given)
        assert config.method in METHODS.values()


def test_tables_agree_where_they_hold_the_same_run():
    figures: dict[str, set[float]] = defaultdict(set)
    for _, row in ROWS:
        for dataset, figure in row.figures.items():
            given = {"cache": "", "dataset": dataset, **row.given}
            run = as_plain(*configure(find_method(row.given["method"]), published(dataset).protocol, given))
            figures[json.dumps(run, sort_keys=True)].add(figure)
    assert {run: found for run, found in figures.items() if len(found) > 1} == {}
    shared = sum(len(found) == 1 for found in figures.values())
    assert shared < len([figure for _, row in ROWS for figure in row.figures])  # some rows do stand in two tables


def figure_of(number: int, name: str, dataset: str) -> float:
    (row,) = [row for row in TABLES[number].rows if row.name == name]
    return row.figures[dataset]


@pytest.mark.parametrize(
    ("figure", "dataset", "places"),
    [
        (74.04, "ave", {1: "AV-CIL", 3: "I + C + VAD", 4: "lambda_I = 0.5, lambda_C = 1", 8: "VAD"}),
        (69.01, "ave", {3: "I + C", 8: "D-AVSC only"}),
        (73.06, "kinetics-sounds", {1: "AV-CIL", 5: "lambda_I = 0.1, lambda_C = 1"}),
        (72.80, "vggsound100", {1: "AV-CIL", 6: "lambda_I = 0.1, lambda_C = 1"}),
    ],
)
def test_where_the_paper_prints_one_run_in_several_tables(figure: float, dataset: str, places: dict[int, str]):
    assert {number: figure_of(number, name, dataset) for number, name in places.items()} == dict.fromkeys(
        places, figure
    )


def test_where_the_paper_disagrees_with_itself():
    contested = {
        (row.name, dataset): (row.figures[dataset], words)
        for _, row in ROWS
        for dataset, words in row.contested.items()
    }
    assert {place: figure for place, (figure, _) in contested.items()} == {
        ("iCaRL-FC", "kinetics-sounds"): 65.54,
        ("iCaRL-NME", "vggsound100"): 56.19,
        ("AFC-NME", "vggsound100"): 61.41,
        ("AFC-LSC", "vggsound100"): 57.76,
    }
    _, words = contested["iCaRL-FC", "kinetics-sounds"]
    assert "65.05 and 65.54" in words
    # The figure in Table 1 is LwF's of the same column, too.
    assert figure_of(1, "LwF", "kinetics-sounds") == 65.54
    assert {row.name for number, row in ROWS if row.contested and number != 1} == set()


def test_a_run_that_the_paper_made_twice():
    """SS-IL is AV-CIL without its three parts; the paper has a figure of each."""
    assert (figure_of(1, "SS-IL", "ave"), figure_of(3, "none", "ave")) == (61.94, 62.15)
