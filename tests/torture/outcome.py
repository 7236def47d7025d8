"""What a part of the torture yields, and the table of it all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

SHOWN = 600
"""Characters of what was lost that a line shows."""
NO_TIME = "no time was left"
HEADINGS = ("Part", "What was tried", "Times", "Lost or not met", "Note")


@dataclass(frozen=True)
class Outcome:
    """One line of the table."""

    what: str
    tries: int
    """How often it was tried; 0 where it could not be tried here, and the note says why."""
    lost: int = 0
    """How often something was lost, or not as it was promised."""
    note: str = ""


@dataclass(frozen=True)
class Row:
    """An outcome with its part."""

    part: str
    outcome: Outcome

    def cells(self) -> tuple[str, ...]:
        """For the table."""
        outcome = self.outcome
        if not outcome.tries:
            return self.part, outcome.what, "-", "not tried here", outcome.note
        lost = f"{outcome.lost} NOT MET" if outcome.lost else "0"
        return self.part, outcome.what, str(outcome.tries), lost, outcome.note


def table_of(rows: Sequence[Row], caption: str) -> Table:
    """For the screen."""
    table = Table(*HEADINGS, box=box.SIMPLE_HEAD, caption=caption, caption_justify="left")
    for row in rows:
        table.add_row(*row.cells(), style="red" if row.outcome.lost else None)
    return table


def markdown_of(rows: Iterable[Row]) -> str:
    """For docs/reliability.md."""
    lines = [" | ".join(HEADINGS), "---|---|---:|---:|---"]
    lines += [" | ".join(cell.replace("|", "\\|") for cell in row.cells()) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)


def tally(what: str, results: Iterable[tuple[int, Sequence[str]]], note: str = "") -> Outcome:
    """The outcome of (how often it was tried, what was lost) of each of several attempts."""
    every = list(results)
    lost = [words for _, losses in every for words in losses]
    tries = sum(times for times, _ in every)
    hurt = sum(bool(losses) for _, losses in every)
    if not lost:
        return Outcome(what, tries, 0, note if tries else NO_TIME)
    shown = "; ".join(dict.fromkeys(lost))
    return Outcome(what, max(tries, hurt), hurt, shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}...")
