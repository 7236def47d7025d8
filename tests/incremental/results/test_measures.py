"""Costs in cells of a table, from metrics.json to words."""

from pathlib import Path

from avcil.incremental.results.collect import load_runs, rows_of
from avcil.incremental.results.figures.series import byte_lines
from avcil.incremental.results.measures import MEASURES
from avcil.incremental.results.spreads import Spread
from avcil.incremental.results.tables import notes, results_grid

from .finished import write


def test_words():
    assert MEASURES["kept_bytes"].words(1.5e6, 2) == "1.5 MB"
    assert MEASURES["peak_memory_bytes"].words(3 * 2**20, 2) == "3"
    assert MEASURES["seconds"].words(1.26, 2) == "1.3"
    assert MEASURES["expected_calibration_error"].words(None, 2) == "-"
    over = Spread(2.0 * 2**20, 2.0**20, None)
    assert MEASURES["peak_memory_bytes"].spread_words(over, 2, interval=True) == "2 ± 1"
    assert MEASURES["kept_bytes"].spread_words(Spread(2e6, 1e6, None), 2, interval=True) == "2 MB"


def test_what_runs_kept_is_in_tables_and_older_ones_have_a_dash(tmp_path: Path):
    write(tmp_path / "old", "old")
    for memory, kept in ((10, 2e6), (40, 8e6)):
        write(tmp_path / str(memory), "x", memory_size=memory, kept_bytes=kept, mean_accuracy_noise=2.5)
    rows = rows_of(load_runs(tmp_path))
    cells = {column.heading: column.cells for column in results_grid(rows).columns}
    assert cells["Bytes kept"] == ("2 MB", "8 MB", "-")
    assert cells["Clips ±"] == ("2.50", "2.50", "-")
    assert any(line.startswith("Clips ±: Half the 95% interval") for line in notes(rows))
    (line,) = byte_lines(rows)
    assert (line.name, line.places) == ("x", (2e6, 8e6))
