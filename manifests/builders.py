"""Manifests from the data sets' own annotation files, for people who hold those.

    AVE           trainSet.txt, valSet.txt, testSet.txt and Annotations.txt, rows of
                  Category&VideoID&Quality&StartTime&EndTime, with or without that header
    Kinetics-400  CSV files with the header label,youtube_id,time_start,time_end,split
    VGGSound      vggsound.csv without a header: youtube id, start in seconds, label, split

A clip has one label and one split here. Where the files give a clip two, it is left out, and said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, unknown
from .clips import Clip, Manifest, Split, is_plain_name
from .reading import split_named
from .tables import read_rows, read_table, refuse_hidden

AVE_LISTS: Mapping[Split, str] = {"train": "trainSet.txt", "val": "valSet.txt", "test": "testSet.txt"}
AVE_HEADER = ("Category", "VideoID", "Quality", "StartTime", "EndTime")
KINETICS_COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")


@dataclass(frozen=True)
class Built:
    """A manifest made from annotation files."""

    manifest: Manifest
    remarks: tuple[str, ...]
    """One line for each video that was left out, and why."""


def build_ave(directory: Path, classes: Sequence[str] | None = None, name: str = "ave") -> Built:
    """From the folder that holds AVE's trainSet.txt, valSet.txt and testSet.txt.

    The three lists say which split a video is in and, in the same columns as Annotations.txt, its category.
    Where Annotations.txt is there, videos it does not know under that category are left out. A clip's id is
    the VideoID.

    Args:
        directory: AVE's folder.
        classes: the categories to keep, in the order in which they are to be learnt; None for all, sorted.
        name: of the manifest.

    Raises:
        InputError: a list is missing or a row is not of this kind; naming file and row.
    """
    directory = Path(directory)
    rows = [row for split, file in AVE_LISTS.items() for row in _ave_rows(directory / file, split)]
    annotations = directory / "Annotations.txt"
    if not annotations.exists():
        return _build(name, rows, classes)
    annotated = {(row.clip, row.label) for row in _ave_rows(annotations, "train")}
    strays = [row for row in rows if (row.clip, row.label) not in annotated]
    built = _build(name, [row for row in rows if (row.clip, row.label) in annotated], classes)
    remarks = (f"'{row.clip}' left out: {annotations.name} does not have it as {row.label}" for row in strays)
    return Built(built.manifest, built.remarks + tuple(remarks))


def build_kinetics(files: Iterable[Path], classes: Sequence[str] | None = None, name: str = "kinetics") -> Built:
    """From Kinetics-400's CSV files, one for each split or one for all; a clip's id is the youtube_id.

    Args:
        files: CSV files with the columns label,youtube_id,time_start,time_end,split (and is_cc, if there).
        classes: the labels to keep, in the order in which they are to be learnt; None for all, sorted.
        name: of the manifest.

    Raises:
        InputError: as `build_ave`.
    """
    rows = []
    for file in files:
        for number, cells in read_table(Path(file), KINETICS_COLUMNS, ("is_cc",)):
            split = split_named(cells["split"], Path(file), number)
            rows.append(_Row(f"{file} row {number}", cells["youtube_id"], cells["label"], split))
    return _build(name, rows, classes)


def build_vggsound(file: Path, classes: Sequence[str] | None = None, name: str = "vggsound") -> Built:
    """From vggsound.csv; a clip's id is `<youtube id>_<start, six digits>`, as the data set's mirrors name
    files.

    VGGSound has training and test clips only.

    Args:
        file: vggsound.csv.
        classes: the labels to keep, in the order in which they are to be learnt; None for all, sorted.
        name: of the manifest.

    Raises:
        InputError: as `build_ave`.
    """
    file = Path(file)
    rows = []
    for number, cells in read_rows(file):
        if len(cells) != 4:
            raise InputError(f"{file} row {number} has {len(cells)} cells, not 4: youtube id, start, label, split")
        ytid, start, label, split = cells
        if not start.isdecimal():
            raise InputError(f"{file} row {number}: the start '{start}' is not a whole number of seconds")
        row = _Row(f"{file} row {number}", f"{ytid}_{int(start):06d}", label, split_named(split, file, number))
        rows.append(row)
    return _build(name, rows, classes)


@dataclass(frozen=True)
class _Row:
    where: str
    clip: str
    label: str
    split: Split


def _ave_rows(path: Path, split: Split) -> list[_Row]:
    """Rows of one of AVE's files, of which none is quoted and the first may be a header."""
    rows = []
    for number, cells in read_rows(path, delimiter="&", quoted=False):
        if tuple(cells) == AVE_HEADER:
            continue
        if len(cells) != len(AVE_HEADER):
            raise InputError(f"{path} row {number} has {len(cells)} cells, not {'&'.join(AVE_HEADER)}")
        rows.append(_Row(f"{path} row {number}", cells[1], cells[0], split))
    return rows


def _build(name: str, rows: Sequence[_Row], classes: Sequence[str] | None) -> Built:
    labels = sorted({row.label for row in rows})
    for label in classes or ():
        if label not in labels:
            raise unknown("label", label, labels)
    order = tuple(classes or labels)
    kept = frozenset(order)
    uses: dict[str, dict[tuple[str, Split], None]] = {}  # an ordered set a clip
    for row in rows:
        if not row.label:
            raise InputError(f"{row.where} has no label")
        refuse_hidden(row.where, "id", row.clip)
        refuse_hidden(row.where, "label", row.label)
        if not is_plain_name(row.clip):
            raise InputError(f"{row.where}: '{row.clip}' is not a plain name")
        uses.setdefault(row.clip, {})[row.label, row.split] = None
    clips, remarks = [], []
    for clip, choices in uses.items():
        if len(choices) > 1:
            among = ", ".join(f"{label} ({split})" for label, split in choices)
            remarks.append(f"'{clip}' left out: it is listed as {among}")
            continue
        ((label, split),) = choices
        if label in kept:
            clips.append(Clip(clip, label, split))
    if not clips:
        raise InputError(f"no clips for {name} in these files")
    return Built(Manifest(name, tuple(clips), order), tuple(remarks))
