"""What each table and figure shows, and names that are none."""

import pytest
from avcil.errors import InputError
from avcil.incremental.reproduce.paper import METHODS
from avcil.incremental.reproduce.targets import MEMORY_SIZES, NAMES, WITH_MEMORY, target_of
from avcil.manifests import published


def test_every_table_and_figure_of_the_paper_has_a_name():
    figures = ("figure1", "figure4", "figure6", "figure7", "figure8", "figure9", "figure10")
    assert (*(f"table{number}" for number in range(1, 9)), *figures, "parity") == NAMES


@pytest.mark.parametrize(("given", "near"), [("tabel1", "table1"), ("figure5", "figure1"), ("parity", "parity")])
def test_other_names_are_refused_with_the_nearest(given: str, near: str):
    with pytest.raises(InputError, match="unknown table or figure"):
        target_of(given, "ave")


def test_a_published_data_set_has_the_rows_that_have_a_figure_for_it():
    rows = target_of("table7", "ave").rows
    assert len(rows) == 9 and all(row.given["classes_per_task"] == 4 for row in rows)
    assert len(target_of("table7", None).rows) == 18
    of_another = target_of("table3", "kinetics-sounds")
    assert of_another.without_paper and len(of_another.rows) == 8
    assert not target_of("table3", None).without_paper


def test_table_1_has_the_published_forgetting():
    (row,) = [row for row in target_of("table1", "ave").rows if row.name == "AV-CIL"]
    assert row.figures["ave"] == 74.04 and row.forgetting["ave"] == 7.63
    (oracle,) = [row for row in target_of("table1", "ave").rows if row.name == "Oracle"]
    assert "ave" not in oracle.forgetting


def test_figures_show_these_runs():
    assert [row.given["modality"] for row in target_of("figure1", None).rows] == ["audio", "visual", "audio-visual"]
    assert len(target_of("figure4", "ave").rows) == len(METHODS)
    assert len(target_of("figure8", "ave").rows) == 3 * 8 + 1
    assert len(target_of("figure6", "ave").rows) == len(WITH_MEMORY) * len(MEMORY_SIZES["ave"])
    sizes = {row.given["memory_size"] for row in target_of("figure6", None, (3, 6)).rows}
    assert sizes == {3, 6}


def test_memory_sizes_take_in_the_one_of_table_1():
    for name, sizes in MEMORY_SIZES.items():
        assert published(name).protocol["memory_size"] in sizes
        assert list(sizes) == sorted(sizes)
