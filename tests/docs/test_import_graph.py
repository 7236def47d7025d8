"""The pictures of imports: as the package is now, in rows without circles."""

from collections.abc import Iterable, Mapping

import pytest
from avcil.docs import import_graph


def arrows(of: Mapping[str, Iterable[str]]) -> import_graph.Arrows:
    return {part: frozenset(others) for part, others in of.items()}


DIAMOND = arrows({"top": ["left", "right", "bottom"], "left": ["bottom"], "right": ["bottom"], "bottom": []})


@pytest.mark.parametrize("package", import_graph.PICTURES)
def test_a_picture_shows_the_imports_of_now(package: str):
    path = import_graph.path_of(package)
    assert path.read_text(encoding="utf-8") == import_graph.picture(package), (
        "draw it anew: python docs/import_graph.py"
    )


def test_arrows_are_the_imports_between_the_parts_of_a_package():
    found = import_graph.arrows_inside("avcil.manifests")
    assert found["avcil.manifests.sources"] == {"avcil.manifests.clips"}
    assert found["avcil.manifests.clips"] == frozenset()
    assert "avcil.setup" not in import_graph.arrows_inside("avcil")


def test_a_box_is_one_row_above_the_highest_that_it_imports():
    assert import_graph.rows_of(DIAMOND) == {"bottom": 0, "left": 1, "right": 1, "top": 2}


def test_a_circle_is_named():
    circle = arrows({"a": ["b"], "b": ["c"], "c": ["b"], "d": []})
    with pytest.raises(ValueError, match="in a circle among a, b, c"):
        import_graph.rows_of(circle)


def test_an_arrow_that_others_imply_is_left_out():
    assert import_graph.without_implied(DIAMOND) == arrows(
        {"top": ["left", "right"], "left": ["bottom"], "right": ["bottom"], "bottom": []}
    )


def test_a_long_arrow_bends_in_every_row_between():
    rows = {"a": 3, "b": 0, "c": 2}
    through = import_graph.routes(arrows({"a": ["b", "c"], "b": [], "c": []}), rows)
    assert through == {("a", "b"): ["a", "a>b@2", "a>b@1", "b"], ("a", "c"): ["a", "c"]}


def test_rows_are_ordered_so_that_arrows_do_not_cross():
    crossing = arrows({"a": ["z"], "b": ["y"], "y": [], "z": []})
    rows = import_graph.rows_of(crossing)
    upper, lower = import_graph.in_order(rows, list(import_graph.routes(crossing, rows).values()))
    assert (upper, lower) in ((["a", "b"], ["z", "y"]), (["b", "a"], ["y", "z"]))
