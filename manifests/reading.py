"""Read a manifest from CSV files and check everything that can be checked without a video; write one."""

import re
from pathlib import Path

from ..errors import InputError, unknown
from .clips import (
    PLAIN_NAME_IN_WORDS,
    SPLIT_NAMES,
    SPLITS,
    Clip,
    Manifest,
    Split,
    as_id,
    is_plain_name,
    without_container,
)
from .tables import read_columns, read_table, refuse_hidden, write_table

CLIP_COLUMNS = ("video_id", "label", "split")
PATH_COLUMN = "path"
OTHER_NAMES = {"filename": "video_id"}
"""What else lists call a column."""
UNNAMED = re.compile(r"(Unnamed: \d+)?")  # as pandas writes and reads its index
CLASS_COLUMNS = ("class_index", "label")


def read_manifest(
    clips: Path, classes: Path | None = None, name: str | None = None, *, trained: bool = True
) -> Manifest:
    """Read a manifest.

    Args:
        clips: CSV with the columns video_id,label,split and, if wanted, path; others are passed over. Paths and
            names of files in the first column become ids (`as_id`).
        classes: CSV with the columns class_index,label, the class order; without it the classes come in the
            order in which the table of clips first names them.
        name: what to call the manifest; by default the file's name without its suffix.
        trained: whether every class needs training clips, as a list does that is learnt from.

    Raises:
        InputError: naming file and row: a table that is missing, empty or has wrong columns; an id that is
            not a plain name, is listed twice or is in two splits; two paths that become one id; an empty or
            unknown label; an id or a label with hidden characters; a wrong split name; a class without training clips.
    """
    clips = Path(clips)
    order = None if classes is None else read_class_order(Path(classes))
    table: dict[str, tuple[int, Clip]] = {}
    rows, others = read_columns(clips, CLIP_COLUMNS, (PATH_COLUMN,), OTHER_NAMES)
    became: dict[str, str] = {}
    for row, cells in rows:
        clip = _clip(clips, row, cells, order, classes)
        given = cells["video_id"]
        if clip.id in table:
            first, twin = table[clip.id]
            before = became.get(clip.id, clip.id)
            if before != given:
                raise InputError(
                    f"{clips} row {row}: '{given}' and '{before}' (row {first}) both become the id '{clip.id}': "
                    "rename one, or give ids of your own and the files in a column path"
                )
            if twin.split != clip.split:
                raise InputError(
                    f"{clips} row {row}: clip '{clip.id}' is in two splits, {twin.split} (row {first}) and {clip.split}"
                )
            raise InputError(f"{clips} row {row}: clip '{clip.id}' is listed twice, first in row {first}")
        table[clip.id] = row, clip
        if clip.id != given:
            became[clip.id] = given
    listed = tuple(clip for _, clip in table.values())
    order = order or tuple(dict.fromkeys(clip.label for clip in listed))
    manifest = Manifest(name or clips.stem, listed, order, table=clips, notes=_notes(clips, others, became))
    if trained:
        refuse_classes_without_training_clips(manifest, clips, classes)
    return manifest


def _notes(clips: Path, others: tuple[str, ...], became: dict[str, str]) -> tuple[str, ...]:
    """One line about columns that were passed over, and one about paths that became ids."""
    notes = []
    if others:
        named = ", ".join("the index without a name" if UNNAMED.fullmatch(name) else f"'{name}'" for name in others)
        notes.append(f"{clips}: columns passed over: {named}")
    if became:
        clip, given = next(iter(became.items()))
        notes.append(f"{clips}: paths became ids, {len(became)} in all, the first '{given}' the id '{clip}'")
    return tuple(notes)


def _named(text: str, path: str | None, where: str) -> tuple[str, str | None]:
    """The id and the path of a clip that a list calls `text`, which may be a path itself, or a file's name."""
    parts = text.replace("\\", "/").split("/")
    file_name = path is None and without_container(text) != text
    if len(parts) == 1 and not file_name:
        return text, path
    if ".." in parts:
        raise InputError(f"{where}: the path '{text}' leads out of the folder of videos: give paths from there")
    return as_id(text), path or (None if len(parts) == 1 else "/".join(parts))


def _clip(path: Path, row: int, cells: dict[str, str], order: tuple[str, ...] | None, classes: Path | None) -> Clip:
    clip_id, label, split = (cells[column] for column in CLIP_COLUMNS)
    where = f"{path} row {row}"
    refuse_hidden(where, "id", clip_id)
    refuse_hidden(where, "label", label)
    clip_id, file = _named(clip_id, cells.get(PATH_COLUMN) or None, where)
    if not is_plain_name(clip_id):
        raise InputError(f"{path} row {row}: id '{clip_id}' is not a plain name ({PLAIN_NAME_IN_WORDS})")
    if not label:
        raise InputError(f"{path} row {row}: clip '{clip_id}' has no label")
    if order is not None and label not in order:
        raise InputError(f"{path} row {row}: {unknown('label', label, order)} (the classes are those of {classes})")
    return Clip(clip_id, label, split_named(split, path, row), file, row)


def split_named(text: str, path: Path, row: int) -> Split:
    """The split of that name (`SPLIT_NAMES`); `InputError` naming file and row when there is none."""
    if text not in SPLIT_NAMES:
        raise InputError(f"{path} row {row}: {unknown('split', text, SPLITS)}")
    return SPLIT_NAMES[text]


def read_class_order(path: Path) -> tuple[str, ...]:
    """Read the class order: CSV with the columns class_index,label, the index counting from 0 in steps of 1.

    Raises:
        InputError: naming file and row: wrong columns, an index out of turn, an empty label, one listed
            twice or one with hidden characters.
    """
    order: dict[str, int] = {}
    for expected, (row, cells) in enumerate(read_table(path, CLASS_COLUMNS)):
        index, label = (cells[column] for column in CLASS_COLUMNS)
        refuse_hidden(f"{path} row {row}", "label", label)
        if index != str(expected):
            raise InputError(f"{path} row {row}: class_index is '{index}' where {expected} comes next")
        if not label:
            raise InputError(f"{path} row {row}: class {index} has no label")
        if label in order:
            raise InputError(f"{path} row {row}: label '{label}' is listed twice, first in row {order[label]}")
        order[label] = row
    return tuple(order)


def refuse_classes_without_training_clips(manifest: Manifest, clips: Path, classes: Path | None = None) -> None:
    """InputError naming the first class of `manifest` without training clips, and the files that it was made from."""
    trained = {clip.label for clip in manifest.clips if clip.split == "train"}
    lacking = [label for label in manifest.class_order if label not in trained]
    if lacking:
        more = f" (and {len(lacking) - 1} more classes)" if len(lacking) > 1 else ""
        advice = f"add some, or take it out of {classes}" if classes else "add some, or take its clips out"
        raise InputError(f"{clips}: class '{lacking[0]}'{more} has no training clips: {advice}")


def write_manifest(manifest: Manifest, clips: Path, classes: Path | None = None) -> None:
    """Write a manifest as the CSV files that `read_manifest` reads; each appears only when it is complete."""
    columns = [*CLIP_COLUMNS]
    if any(clip.path is not None for clip in manifest.clips):
        columns.append(PATH_COLUMN)
    if classes is not None:
        rows = ({"class_index": index, "label": label} for index, label in enumerate(manifest.class_order))
        write_table(Path(classes), CLASS_COLUMNS, rows)
    write_table(Path(clips), columns, (_cells(clip, columns) for clip in manifest.clips))


def _cells(clip: Clip, columns: list[str]) -> dict[str, str]:
    cells = {"video_id": clip.id, "label": clip.label, "split": clip.split, PATH_COLUMN: clip.path or ""}
    return {column: cells[column] for column in columns}
