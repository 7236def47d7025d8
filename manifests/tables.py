"""CSV tables that a user may have written: read with row numbers, cells stripped, columns checked.

Cells stand apart by commas; semicolons and tabs are read too, where the header shows that it is them. What is written
has commas, and cells as they are: such a table is for programs, so a label may begin with "=" as it may with "A".
"""

import csv
import difflib
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import InputError, hidden_in, unknown
from ..files import cannot_write, written_aside

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
NO_NAMES: Mapping[str, str] = {}
HEADER = 65536  # characters among which the first row ends


def read_text(path: Path) -> str:
    """A text file's content as UTF-8, with or without a byte order mark; `InputError` if there is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None


def read_rows(path: Path, *, delimiter: str = ",", quoted: bool = True) -> Iterator[tuple[int, list[str]]]:
    """Rows of a table without regard to columns, as (line number in the file, stripped cells); empty ones
    skipped.

    Raises:
        InputError: the file cannot be read as a table.
    """
    return _rows(path, read_text(path), delimiter, quoted)


def _rows(path: Path, text: str, delimiter: str, quoted: bool = True) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        skipinitialspace=True,
        strict=quoted,
    )
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise InputError(f"{path} row {reader.line_num} is not a row of a table: {error}") from None


Rows = list[tuple[int, dict[str, str]]]
"""Of a table: the line number in the file, and the cells by column."""


def read_table(path: Path, required: Sequence[str], optional: Collection[str] = ()) -> Rows:
    """The rows of a CSV file with a header that has these columns and no others.

    Raises:
        InputError: the file is missing, empty or not UTF-8, a column is missing, unknown or there twice, a
            row has too many or too few cells, or there are no rows.
    """
    rows, others = read_columns(path, required, optional)
    if others:
        raise InputError(f"{path} row 1: {unknown('column', others[0], [*required, *optional])}")
    return rows


def read_columns(
    path: Path, required: Sequence[str], optional: Collection[str] = (), other_names: Mapping[str, str] = NO_NAMES
) -> tuple[Rows, tuple[str, ...]]:
    """As `read_table`, but of a table that may have more columns.

    Args:
        path: the file.
        required: columns that have to be there.
        optional: columns that may be there.
        other_names: what else a column may be called, where it is not there by its own name.

    Returns:
        The rows with the columns asked for, and the names of the other columns.
    """
    text = read_text(path)
    separator = _separator(path, text, {*required, *optional, *other_names})
    lines = _rows(path, text, separator)
    _, header = next(lines, (0, []))
    if not header:
        raise InputError(f"{path} is empty: its first row has to name the columns {','.join(required)}")
    if len(header) == 1 < len(required) and header[0] not in required:
        raise InputError(
            f"{path} row 1 is one cell, '{header[0]}': it has to name the columns {','.join(required)}, "
            "with commas, semicolons or tabs between them"
        )
    wanted = [*required, *optional]
    spelt = {name.casefold(): name for name in (*wanted, *other_names)}
    header = [column if column in spelt.values() else spelt.get(column.casefold(), column) for column in header]
    called = [other_names.get(column, column) if other_names.get(column) not in header else column for column in header]
    others = tuple(column for column in called if column not in wanted)
    for column in called:
        if column in wanted and called.count(column) > 1:
            raise InputError(f"{path} row 1: column '{column}' is there twice")
    for column in required:
        if column not in called:
            for other in others:  # a misspelt name is the likely cause
                if difflib.get_close_matches(other, [column], cutoff=0.5):
                    raise InputError(f"{path} row 1: {unknown('column', other, [column])}")
            names = " or ".join(f"'{name}'" for name in (column, *(o for o in other_names if other_names[o] == column)))
            needed = f"needed: {','.join(required)}; there are: {','.join(header)}"
            raise InputError(f"{path} row 1: there is no column {names} ({needed})")
    table = []
    for number, cells in lines:
        if len(cells) != len(header):
            raise InputError(
                f"{path} row {number} has {len(cells)} cells where the header has {len(header)}: "
                f"a label with a {SEPARATORS[separator]} in it needs quotes around it"
            )
        table.append((number, {column: cell for column, cell in zip(called, cells, strict=True) if column in wanted}))
    if not table:
        raise InputError(f"{path} has a header but no rows")
    return table, others


def _separator(path: Path, text: str, columns: Collection[str]) -> str:
    """By which most of the header's cells are columns; the comma where none does better."""
    known = {}
    for separator in SEPARATORS:
        try:
            _, header = next(_rows(path, text[:HEADER], separator), (0, []))
        except InputError:  # quotes that make sense with another one
            header = []
        known[separator] = len(set(header) & set(columns))
    return max(SEPARATORS, key=lambda separator: known[separator])


def refuse_hidden(where: str, what: str, text: str) -> None:
    """InputError for a label or an id with a character in it that a terminal acts on or nobody sees.

    A label may have line breaks, as spreadsheets write cells of several lines.

    Args:
        where: the table and the row, to begin the message with.
        what: which cell.
        text: its content.
    """
    if text.isascii() and text.isprintable():  # as most of ten million rows are
        return
    hidden = hidden_in(text.replace("\n", "")) if what == "label" else hidden_in(text)
    if hidden:
        raise InputError(f"{where}: {what} '{text}' has the hidden character {hidden} in it: take it out")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV file with a header, as `written_aside` does: whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    with written_aside(path) as stream:
        table = csv.DictWriter(stream, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
