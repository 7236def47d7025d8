"""Runs and rows as records: for files that programs read, and for columns of a table chosen by name."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import unknown
from ...files import written_aside
from .cause import FACTS, ORDER, SEED, facts_of, settings_of
from .collect import FinishedRun, Row, run_records
from .comparable import not_comparable
from .measures import MEASURES
from .metrics import FIGURES
from .naming import value_of

MEASURED = (*FIGURES, *MEASURES)
"""What a run has a number of, and a row a mean of."""

ALIASES = {"fingerprint": "cache_fingerprint"}
"""Shorter words for names of columns."""


def column_names(runs: Sequence[FinishedRun], *, per_run: bool) -> list[str]:
    """Every name that `chosen` knows for these runs."""
    settings = dict.fromkeys(name for run in runs for name in settings_of(run.content))
    facts = dict.fromkeys(name for name in FACTS for run in runs if name in facts_of(run.content))
    others = [ORDER, SEED, "path"] if per_run else []
    names = [name for name in settings if name not in (SEED, "method")]
    return [*MEASURED, "published", *names, *facts, *others]


def chosen(words: str, runs: Sequence[FinishedRun], *, per_run: bool) -> list[str]:
    """The columns named in `words`, parted by commas. InputError for one that is none, with the nearest."""
    known = column_names(runs, per_run=per_run)
    found = []
    for word in filter(None, (part.strip() for part in words.split(","))):
        name = word.replace("-", "_").lower().replace(" ", "_")
        name = ALIASES.get(name, name)
        if name not in known:
            raise unknown("column", word, [*known, *ALIASES])
        found.append(name)
    return found


def row_records(rows: Sequence[Row], columns: Sequence[str] = ()) -> list[dict[str, Any]]:
    """A record a row: its name, how many runs and class orders, and of every figure the mean, the sample standard
    deviation and half the 95% interval of the mean (None with one run), and where a row has several class orders the
    pooled deviation over the seeds within them; of `columns` alone where they are given, settings and facts too.

    Figures are in percent, measures (`measures.MEASURES`) in seconds, bytes, percent or nats.
    """
    found = []
    for row in rows:
        record: dict[str, Any] = {"row": row.name, "runs": len(row.runs), "class_orders": len(row.orders)}
        for name in columns or MEASURED:
            if name not in MEASURED:
                record[name] = row.published or None if name == "published" else value_of(row.cause, name)
                continue
            figure = row.figure(name)
            record[name] = figure.mean if figure else None
            record[f"{name}_deviation"] = figure.deviation if figure else None
            record[f"{name}_interval95"] = figure.interval if figure else None
            if len(row.orders) > 1:
                record[f"{name}_deviation_within_orders"] = figure.within if figure else None
        found.append(record)
    return found


def runs_only(runs: Sequence[FinishedRun], columns: Sequence[str] = ()) -> list[dict[str, Any]]:
    """`collect.run_records`, of `columns` alone where they are given, beside the path and the row."""
    found = run_records(runs)
    if not columns:
        return found
    for record, run in zip(found, runs, strict=True):
        facts = facts_of(run.content)
        record |= {name: facts.get(name) for name in columns if name in FACTS}
        record["published"] = run.metrics.get("published")
    return [{name: record.get(name) for name in dict.fromkeys(("path", "row", *columns))} for record in found]


def document(rows: Sequence[Row]) -> dict[str, Any]:
    """A table as one JSON object: `rows`, each with its cause, its runs and its figures, and `not_comparable`."""
    lines = []
    for row in rows:
        figures = {name: row.figure(name) for name in MEASURED}
        lines.append(
            {
                "row": row.name,
                "seeds": [run.seed for run in row.runs],
                "class_order_seeds": [run.order for run in row.runs],
                "paths": [str(run.path) for run in row.runs],
                "random_encoder_weights": row.random_weights,
                **row.cause,
                "figures": {
                    name: one
                    and {
                        "mean": one.mean,
                        "deviation": one.deviation,
                        "interval95": one.interval,
                        "deviation_within_orders": one.within,
                    }
                    for name, one in figures.items()
                },
                "published": row.published or None,
            }
        )
    return {"rows": lines, "not_comparable": not_comparable(rows)}


def write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Replace `path` by these records, a line each, with a column for every name that one of them has."""
    names = list(dict.fromkeys(name for record in records for name in record))
    with written_aside(path) as stream:
        table = csv.DictWriter(stream, names, lineterminator="\n")
        table.writeheader()
        table.writerows(records)
