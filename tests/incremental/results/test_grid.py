"""Columns of words for terminals, Markdown and LaTeX."""

from avcil.incremental.results.grid import Column, Grid
from rich.console import Console


def test_latex_by_hand():
    grid = Grid(
        (
            Column("Method & more", ("a_b=50% †", "c"), names=True),
            Column("MA", ("76.00 ± 4.58", "-"), names=False),
            Column("Model", ("best epoch", "-8.0")),
        )
    )
    assert grid.latex(["a note"]) == [
        "% a note",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"Method \& more & MA & Model \\",
        r"\midrule",
        r"a\_b=50\% $^\dagger$ & $76.00 \pm 4.58$ & best epoch \\",
        r"c & - & $-8.0$ \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_spare_columns_give_way_from_the_last_on():
    columns = (
        Column("Name", ("a" * 40,), names=True),
        Column("Figure", ("1" * 10,)),
        Column("b", ("2" * 10,), spare=True),
        Column("c", ("3" * 10,), spare=True),
    )
    grid = Grid(columns)  # names of 22 at least, and 3 characters between columns
    assert grid.fitted(22 + 30 + 12) == grid
    assert grid.fitted(22 + 30 + 11).columns == columns[:3]
    assert grid.fitted(22 + 20 + 8).columns == columns[:2]
    assert grid.fitted(5).columns == columns[:2]


def test_a_bar_in_a_name_does_not_end_a_cell_of_markdown():
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(Grid((Column("Name", ("a|b",), names=True),)).table(markdown=True))
    assert "a\\|b" in capture.get()
