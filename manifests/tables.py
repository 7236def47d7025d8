"""CSV tables that a user may have written: read with row numbers, cells stripped, columns checked."""

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import InputError, unknown


def read_text(path: Path) -> str:
    """A text file's content as UTF-8, with or without a byte order mark; `InputError` if there is none."""
    if not path.exists():
        raise InputError(f"there is no file {path}")
    try:
        return path.read_text(encoding="utf-8-sig")
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
    text = io.StringIO(read_text(path), newline="")
    reader = csv.reader(
        text,
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


def read_table(path: Path, required: Sequence[str], optional: Collection[str] = ()) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a header, as (line number in the file, {column: cell}).

    Raises:
        InputError: the file is missing, empty or not UTF-8, a column is missing, unknown or there twice, a
            row has too many or too few cells, or there are no rows.
    """
    rows = read_rows(path)
    _, header = next(rows, (0, []))
    if not header:
        raise InputError(f"{path} is empty: its first row has to name the columns {','.join(required)}")
    for column in header:
        if column not in required and column not in optional:
            raise InputError(f"{path} row 1: {unknown('column', column, [*required, *optional])}")
        if header.count(column) > 1:
            raise InputError(f"{path} row 1: column '{column}' is there twice")
    for column in required:
        if column not in header:
            raise InputError(f"{path} row 1: there is no column '{column}' (needed: {','.join(required)})")
    table = []
    for number, cells in rows:
        if len(cells) != len(header):
            raise InputError(
                f"{path} row {number} has {len(cells)} cells where the header has {len(header)}: "
                "a label with a comma in it needs quotes around it"
            )
        table.append((number, dict(zip(header, cells, strict=True))))
    if not table:
        raise InputError(f"{path} has a header but no rows")
    return table


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a CSV file with a header; the file appears only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(path.name + ".part")
    with aside.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    aside.replace(path)
