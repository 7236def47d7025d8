"""Draws who imports whom: docs/imports/*.svg, for docs/architecture.md. `python docs/import_graph.py`.

A box is a file or a folder of the package, an arrow an import of anything in it, in type annotations too. Every arrow
points down. Left out are arrows that others already imply: where a imports b and b imports c, a's own import of c.
"""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import grimp

ROOT = Path(__file__).parents[1]
PICTURES = {"avcil": "rooms", "avcil.extract": "extract", "avcil.incremental": "incremental"}
"""Packages whose inside is drawn -> the picture's name."""
NO_PART_OF_THE_PACKAGE = ("setup",)

Arrows = Mapping[str, frozenset[str]]
"""Importer -> imported."""

BOX_HEIGHT, ROW_HEIGHT, GAP, MARGIN = 28, 66, 24, 12
SWEEPS = 4
CHARACTER = 7.6
"""Width of a letter at this size, in a font of constant width."""


def arrows_inside(package: str) -> Arrows:
    """Who imports whom among the files and folders that lie directly in `package`; all have an entry."""
    graph = grimp.build_graph("avcil", cache_dir=None)
    inside = sorted(
        child for child in graph.find_children(package) if child.rpartition(".")[2] not in NO_PART_OF_THE_PACKAGE
    )
    parts = {one: child for child in inside for one in (child, *graph.find_descendants(child))}
    found: dict[str, set[str]] = {child: set() for child in inside}
    for module, part in parts.items():
        for imported in graph.find_modules_directly_imported_by(module):
            other = parts.get(imported, part)
            if other != part:
                found[part].add(other)
    return {part: frozenset(others) for part, others in found.items()}


def rows_of(arrows: Arrows) -> dict[str, int]:
    """The row of each box, counted from the bottom: one above the highest that it imports. ValueError in a circle."""
    rows: dict[str, int] = {}
    while len(rows) < len(arrows):
        free = sorted(part for part in arrows if part not in rows and all(other in rows for other in arrows[part]))
        if not free:
            raise ValueError(f"imports run in a circle among {', '.join(sorted(set(arrows) - set(rows)))}")
        for part in free:
            rows[part] = max((rows[other] + 1 for other in arrows[part]), default=0)
    return rows


def reached(arrows: Arrows, start: str) -> set[str]:
    """All that `start` imports, directly or through others."""
    found: set[str] = set()
    todo = set(arrows[start])
    while todo:
        part = todo.pop()
        found.add(part)
        todo |= arrows[part] - found
    return found


def without_implied(arrows: Arrows) -> Arrows:
    """The arrows that no chain of others implies."""
    return {
        part: frozenset(other for other in others if not any(other in reached(arrows, via) for via in others - {other}))
        for part, others in arrows.items()
    }


def label(part: str) -> str:
    """What stands in a box: `runs/` for a folder, `cli.py` for a file."""
    name = part.rpartition(".")[2]
    folder = ROOT.joinpath(*part.split(".")[1:])
    return f"{name}/" if folder.is_dir() else f"{name}.py"


def routes(arrows: Arrows, rows: Mapping[str, int]) -> dict[tuple[str, str], list[str]]:
    """The stations of each arrow: both boxes, and a bend of its own in every row between them."""
    return {
        (part, other): [
            part,
            *(f"{part}>{other}@{row}" for row in range(rows[part] - 1, rows[other], -1)),
            other,
        ]
        for part in sorted(arrows)
        for other in sorted(arrows[part])
    }


def in_order(rows: Mapping[str, int], stations: Sequence[Sequence[str]]) -> list[list[str]]:
    """The boxes and bends of each row from left to right, the top row first, so that few arrows cross.

    Each row is sorted by the mean place of what its members are joined to in the row before, downwards and upwards in
    turn.
    """
    top = max(rows.values())
    order = [sorted(part for part in rows if rows[part] == row) for row in range(top, -1, -1)]
    joined: dict[str, list[str]] = {}
    for line in stations:
        for upper, lower in pairwise(line):
            joined.setdefault(upper, []).append(lower)
            joined.setdefault(lower, []).append(upper)
        for number, bend in enumerate(line[1:-1], start=top - rows[line[0]] + 1):
            order[number].append(bend)
    for _ in range(SWEEPS):
        for before, row in (*pairwise(order), *pairwise(reversed(order))):
            place = {name: number / len(before) for number, name in enumerate(before)}
            here = {name: number / len(row) for number, name in enumerate(row)}
            seen = {name: [place[other] for other in joined.get(name, ()) if other in place] for name in row}
            means = {name: fmean(seen[name] or [here[name]]) for name in row}
            row.sort(key=means.__getitem__)
    return order


def picture(package: str) -> str:
    """The inside of `package` as SVG, the same for the same imports."""
    arrows = arrows_inside(package)
    rows = rows_of(arrows)
    through = routes(without_implied(arrows), rows)
    order = in_order(rows, list(through.values()))
    widths = {name: CHARACTER * len(label(name)) + 20 if name in arrows else 0 for row in order for name in row}
    width = max(sum(widths[name] + GAP for name in row) for row in order) + GAP
    points: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(order):
        gap = (width - sum(widths[name] for name in row)) / (len(row) + 1)
        left = gap
        for name in row:
            points[name] = left + widths[name] / 2, MARGIN + number * ROW_HEIGHT + BOX_HEIGHT / 2
            left += widths[name] + gap
    height = 2 * MARGIN + (len(order) - 1) * ROW_HEIGHT + BOX_HEIGHT
    count = sum(map(len, arrows.values()))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}">',
            f"<title>{package}: {len(arrows)} parts, {count} imports between them</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 0 8 4 0 8z" fill="#456"/></marker></defs>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            *(line_through([points[name] for name in line]) for line in through.values()),
            *(box(label(part), *points[part], widths[part]) for part in sorted(arrows)),
            "</svg>",
            "",
        ]
    )


def line_through(points: Sequence[tuple[float, float]]) -> str:
    """An arrow from the lower edge of the first box to the upper edge of the last, by way of the bends."""
    (first_x, first_y), (last_x, last_y) = points[0], points[-1]
    bends = [point for x, y in points[1:-1] for point in ((x, y - BOX_HEIGHT / 2), (x, y + BOX_HEIGHT / 2))]
    stops = [(first_x, first_y + BOX_HEIGHT / 2), *bends, (last_x, last_y - BOX_HEIGHT / 2)]
    path = f"M{stops[0][0]:.0f} {stops[0][1]:.0f}"
    for (x, y), (to_x, to_y) in pairwise(stops):
        half = (y + to_y) / 2
        path += f" C{x:.0f} {half:.0f} {to_x:.0f} {half:.0f} {to_x:.0f} {to_y:.0f}"
    return f'<path d="{path}" fill="none" stroke="#456" marker-end="url(#tip)"/>'


def box(words: str, x: float, y: float, width: float) -> str:
    """A box with its middle at (x, y)."""
    return (
        f'<rect x="{x - width / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{width:.0f}" height="{BOX_HEIGHT}" rx="4" '
        f'fill="#e8eef4" stroke="#456"/><text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" '
        f'font-family="monospace" font-size="12.5" fill="#123">{escape(words)}</text>'
    )


def path_of(package: str) -> Path:
    """The file of a package's picture."""
    return ROOT / "docs" / "imports" / f"{PICTURES[package]}.svg"


if __name__ == "__main__":
    for drawn_package in PICTURES:
        path_of(drawn_package).write_text(picture(drawn_package), encoding="utf-8")
