"""Which rows of a table have not been given the same problem, or the same means to solve it."""

import json
from collections.abc import Sequence
from typing import Any

from .cause import FACTS
from .collect import Row
from .naming import differs, follows, shortened, value_of

ORDERS = "class orders"
"""Of a row's runs, which are no part of its cause."""

ASPECTS = (
    *("clips_sha256", "labels_sha256", "tasks", "cache_fingerprint", "features_sha256"),
    *("modality", "memory_size", "epochs"),
)
"""Settings and facts in which rows have to agree for a difference of figures to be one of methods."""


def not_comparable(rows: Sequence[Row]) -> list[str]:
    """A line for each way in which the rows fall apart: what differs, each value, and the methods of rows that have it.

    The memory counts among rows whose method keeps exemplars, epochs among those that are learnt in epochs; not where
    each of them has exactly the settings it was published with, epochs of its own included.
    """
    parts: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    causes = [row.cause for row in rows]
    for name in (*ASPECTS, ORDERS):
        if name == ORDERS:
            if len({row.orders for row in rows}) == 1:
                continue
        elif not differs(causes, name) or follows(causes, name) or (name == "epochs" and _as_published(rows)):
            continue
        by_value: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            value = _value(row, name)
            if value is not None:
                by_value.setdefault(json.dumps(value, sort_keys=True), []).append(number)
        parts.setdefault(tuple(map(tuple, by_value.values())), []).append(name)
    lines = []
    for part, names in parts.items():
        methods = [", ".join(dict.fromkeys(rows[number].words["method"] for number in group)) for group in part]
        groups = [f"{_values(rows[group[0]], names)} ({found})" for group, found in zip(part, methods, strict=True)]
        lines.append(f"not comparable: {'; '.join(groups)}")
    return lines


def _as_published(rows: Sequence[Row]) -> bool:
    return all(row.published for row in rows if "epochs" in row.cause["settings"])


def _value(row: Row, name: str) -> Any:
    if name == ORDERS:
        return ["given" if order is None else str(order) for order in row.orders]
    return value_of(row.cause, name)


def _values(row: Row, names: Sequence[str]) -> str:
    words = []
    for name in names:
        value = _value(row, name)
        title = FACTS[name][0] if name in FACTS else name
        if name == "tasks" and isinstance(value, list):
            classes = sum(len(task) for task in value)
            words.append(f"{len(value)} tasks of {classes} classes, {shortened(value)}")
        elif name == ORDERS:
            words.append(f"{name if len(value) > 1 else 'class order'} {', '.join(value)}")
        else:
            words.append(f"{title} {shortened(value)}")
    return ", ".join(words)
