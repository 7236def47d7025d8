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
