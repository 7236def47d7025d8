"""Figures as they are drawn and written."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from avcil.errors import InputError
from avcil.incremental.results.collect import Row, load_runs, rows_of
from avcil.incremental.results.figures.heat import grid
from avcil.incremental.results.figures.kinds import KINDS, check_suffix, draw, rendered, save
from avcil.incremental.results.figures.style import COLOURS, DASHES, MARKERS, look, wrapped
from avcil.incremental.results.figures.training import POINTS, thinned
from avcil.tests.incremental.results.finished import write
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text

SUFFIXES = (".pdf", ".svg", ".png")


def finished_rows(folder: Path) -> list[Row]:
    """Two methods, the first with two memory sizes and two seeds each, and all files that figures are drawn from."""
    for number, (method, size, seed) in enumerate(
        [("x", 10, 0), ("x", 10, 1), ("x", 90, 0), ("x", 90, 1), ("y", 10, 0)]
    ):
        path = folder / str(number)
        tasks = [["a", "b"], ["c"]]
        write(
            path,
            method,
            seed=seed,
            memory_size=size,
            accuracy_by_task=[70.0 + number, 50.0],
            tasks=tasks,
            kept_bytes=1e6 * size,
        )
        (path / "predictions.csv").write_text(
            "after_task,video_id,label,predicted\n1,v0,a,a\n2,v0,a,a\n2,v1,b,c\n2,v2,c,c\n"
        )
        (path / "history.csv").write_text("task,epoch,loss\n1,1,2.0\n1,2,1.0\n2,1,1.5\n")
    return rows_of(load_runs([folder]))


def words_of(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [2.4, 3.3, 5.0, 6.8])
def test_no_word_leaves_the_figure(tmp_path: Path, kind: str, width: float):
    rows = finished_rows(tmp_path)
    for path in tmp_path.glob("*/history.csv"):
        path.write_text("task,epoch,loss,validation_accuracy\n1,1,2.0,50\n1,2,1.0,60\n2,1,1.5,30\n")
    figure = draw(kind, rows, width)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())  # of all that is drawn, in inches
    across, up = figure.get_size_inches()
    assert box.x0 >= -0.01 and box.y0 >= -0.01
    assert box.x1 <= across + 0.01 and box.y1 <= up + 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_in_every_form_and_the_same_bytes_again(tmp_path: Path, kind: str, suffix: str):
    rows = finished_rows(tmp_path / "runs")
    out = tmp_path / f"figure{suffix}"
    save(draw(kind, rows), out)
    first = out.read_bytes()
    save(draw(kind, rows), out)
    assert out.read_bytes() == first
    assert first.startswith({".pdf": b"%PDF", ".svg": b"<?xml", ".png": b"\x89PNG"}[suffix])
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [out.name]


def test_letters_are_text_in_svg_and_embedded_in_pdf(tmp_path: Path):
    figure = draw("curves", finished_rows(tmp_path))
    root = ElementTree.fromstring(rendered(figure, "svg"))
    texts = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Task" in texts and "y" in " ".join(texts)
    assert b"/FontFile2" in rendered(figure, "pdf")  # TrueType, as fonttype 42 has it


def test_the_width_is_the_one_asked_for(tmp_path: Path):
    rows = finished_rows(tmp_path)
    assert draw("curves", rows).get_size_inches()[0] == pytest.approx(3.3)
    assert draw("matrix", rows, 7.0).get_size_inches()[0] == pytest.approx(7.0)
    with pytest.raises(InputError, match=r"2\.4 to 30 inches wide, not 0\.1$"):
        draw("curves", rows, 0.1)


def test_the_curves_are_the_means(tmp_path: Path):
    figure = draw("curves", finished_rows(tmp_path))
    drawn = [line for line in figure.axes[0].lines if np.size(line.get_xdata()) > 1]
    assert [np.asarray(line.get_ydata()).tolist() for line in drawn] == [[70.5, 50.0], [72.5, 50.0], [74.0, 50.0]]
    assert [np.asarray(line.get_xdata()).tolist() for line in drawn] == [[1, 2]] * 3
    assert len(figure.axes[0].collections) == 2  # bands where there are two seeds
    assert {"x memory_size=10", "x memory_size=90", "y memory_size=10"} <= {
        " ".join(word.split("\n")) for word in words_of(figure)
    }


def test_a_line_keeps_its_look_from_figure_to_figure(tmp_path: Path):
    rows = finished_rows(tmp_path)
    curves, forgetting = (
        [to_hex(line.get_color()) for line in draw(kind, rows).axes[0].lines] for kind in ("curves", "forgetting")
    )
    assert curves == forgetting == list(COLOURS[:3])


def test_nine_methods_are_told_apart_without_colours():
    looks = [look(number) for number in range(9)]
    assert len({how["marker"] for how in looks}) == 9
    assert len({tuple(look(number).values()) for number in range(len(COLOURS) * len(MARKERS) * len(DASHES))}) == 308


def test_cells_have_their_numbers(tmp_path: Path):
    figure = grid([np.array([[70.4, np.nan], [0.0, 100.0]])], ["m"], 3.3, "across", "down", "scale")
    assert {"70", "0", "100", "m", "across", "down", "scale"} <= set(words_of(figure))
    assert "nan" not in words_of(figure)


def test_a_large_matrix_is_a_picture_and_small():
    rng = np.random.default_rng(0)
    figure = grid([rng.uniform(0, 100, (100, 100))], ["m"], 3.3, "across", "down", "scale")
    content = rendered(figure, "svg")
    assert b"<image" in content
    assert len(content) < 100_000


def test_a_name_is_no_formula_and_no_markup(tmp_path: Path):
    name = "$x_$ <b>\\frac</b> \x07"
    write(tmp_path / "0", name)
    for kind in ("curves", "matrix"):
        content = rendered(draw(kind, rows_of(load_runs([tmp_path]))), "svg").decode()
        found = " ".join("".join(text.itertext()) for text in ElementTree.fromstring(content).iter() if text.text)
        assert "$x_$ <b>\\frac</b> \\u0007" in " ".join(found.split())
        assert "<b>" not in content


def test_letters_without_a_glyph_raise_no_warning(tmp_path: Path, recwarn: pytest.WarningsRecorder):
    write(tmp_path / "0", "笛")
    rendered(draw("curves", rows_of(load_runs([tmp_path]))), "png")
    assert not list(recwarn)


def test_a_long_name_is_wrapped_where_words_and_values_end():
    assert wrapped("oracle modality=audio", 0.8) == "oracle\nmodality=\naudio"
    assert wrapped("oracle modality=audio w=1", 1.0) == "oracle\nmodality=audio\nw=1"
    assert wrapped("oracle modality=audio", 3.0) == "oracle modality=audio"


def test_a_long_history_is_thinned_to_means():
    epochs, values = thinned(np.arange(1000.0))
    assert len(values) <= POINTS
    assert (epochs[0], values[0], values[-1]) == (2.0, 1.0, 999.0)
    assert thinned(np.arange(3.0))[1].tolist() == [0, 1, 2]


def test_a_figure_has_one_of_three_suffixes(tmp_path: Path):
    with pytest.raises(InputError, match=re.escape("figure.jpg: a figure is written as .pdf, .svg or .png")):
        check_suffix(tmp_path / "figure.jpg")


def test_an_unknown_kind_is_told_with_the_nearest(tmp_path: Path):
    with pytest.raises(InputError, match="did you mean 'curves'"):
        draw("curvs", finished_rows(tmp_path))
    with pytest.raises(InputError, match="no run"):
        draw("curves", [])
