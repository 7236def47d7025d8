"""Runs in a notebook: run one, read results. Reading needs no PyTorch."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..incremental.results.collect import FinishedRun, frame, load_runs, rows_of
from ..incremental.results.records import row_records
from ..wording import number_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..incremental.runs.listeners import Listener


class Results:
    """Finished runs: `len`, iteration, a line each as `frame`, a line a row as `table`, and figures by `draw`."""

    def __init__(self, runs: Sequence[FinishedRun]) -> None:
        self.runs = tuple(runs)
        """Each with its `path`, config.json as `content`, and metrics.json as `metrics`."""

    def __len__(self) -> int:
        return len(self.runs)

    def __iter__(self) -> Iterator[FinishedRun]:
        return iter(self.runs)

    def __getitem__(self, number: int) -> FinishedRun:
        return self.runs[number]

    def frame(self) -> "pd.DataFrame":
        """A line a run: path, row, every setting that decides the result, facts of its cause, every figure."""
        return frame(self.runs)

    def table(self) -> "pd.DataFrame":
        """A line a row, as `avcil-incr table` groups runs: of every figure the mean, the sample standard deviation
        (`..._deviation`) and half the 95% interval of the mean (`..._interval95`), in percent."""
        import pandas as pd

        return pd.DataFrame(row_records(rows_of(self.runs)))

    def draw(self, kind: str = "curves", width: float = 3.3) -> "Figure":
        """A figure of the runs, as `avcil-incr plot` draws it.

        Args:
            kind: "curves", "matrix", "forgetting", "memory", "confusion", "class-confusion" or "training".
            width: in inches.

        Raises:
            InputError: no such kind, a width that none can have, or runs that such a figure cannot be drawn of.
        """
        from ..incremental.results.figures.kinds import draw

        return draw(kind, rows_of(self.runs), width)

    def __repr__(self) -> str:
        rows = [
            f"{row.name}: {number_of(len(row.runs), 'run')}, Mean Accuracy {row.figure('mean_accuracy') or '-'}"
            for row in rows_of(self.runs)
        ]
        return f"<{'; '.join(rows)}>"


def results(paths: Path | str | Sequence[Path | str]) -> Results:
    """The finished runs at or below a path, or several. InputError where there is none."""
    return Results(load_runs(paths))


def run(
    method: str | None = None,
    *,
    out: Path | str,
    seeds: int | None = None,
    class_orders: int | None = None,
    listeners: "Sequence[Listener]" = (),
    plugins: Iterable[Path | str] = (),
    config_file: Path | str | None = None,
    **settings: Any,
) -> Results:
    """Learn the tasks one after another and write the results to `out`; what was stopped is resumed.

    Args:
        method: its name, as `avcil-incr methods` lists it.
        out: folder of the results.
        seeds: run this many seeds, in OUT/seed-N.
        class_orders: run this many class orders, the given one and drawn ones in OUT/order-K/seed-N.
        listeners: told of the course of every run.
        plugins: Python files with methods of your own. They are run.
        config_file: a run's config.json to repeat; what else is given wins over it.
        settings: `cache`, `manifest` or `dataset`, and any other setting by name, as --set has them.

    Raises:
        InputError: in one line, whatever is wrong, before anything is written where possible.
    """
    from ..incremental.runs.call import configure
    from ..incremental.runs.call import run as run_configured

    configured = configure(method, config_file=config_file, plugins=plugins, **settings)
    run_configured(configured, out, seeds=seeds, class_orders=class_orders, listeners=listeners)
    return results(out)
