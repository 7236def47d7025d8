"""The list of clips of an extraction that was given a folder and no list: kept beside the features, for stage 2.

CACHE/clips.csv                  the list; the same folder gives the same one
CACHE/clips.before-01234567.csv  an earlier one, where the folder has changed or it was edited; by its hash
"""

import shlex
from collections.abc import Collection
from pathlib import Path

from ..errors import InputError
from ..files import rename_durably, sha256_of
from ..manifests import Manifest, counted, read_manifest, write_manifest
from ..wording import number_of

LIST = "clips.csv"


def keep_list(manifest: Manifest, path: Path) -> list[str]:
    """Write the list; an earlier one that says something else is set aside, and a line tells what changed."""
    if not path.exists():
        write_manifest(manifest, path)
        return []
    try:
        before = read_manifest(path)
    except InputError as error:
        words = f"the list that was there could not be read ({error})"
    else:
        if before.clips == manifest.clips:
            return []
        words = f"the folder is not as it was when the list was written: {_changes(before, manifest)}"
    kept = path.with_name(f"{path.stem}.before-{sha256_of(path)[:8]}{path.suffix}")
    rename_durably(path, kept)
    write_manifest(manifest, path)
    return [f"{words}; the former list is {kept}"]


def _changes(before: Manifest, after: Manifest) -> str:
    old, new = ({clip.id: clip for clip in manifest.clips} for manifest in (before, after))
    both = old.keys() & new.keys()
    counts = {
        "new": len(new.keys() - both),
        "gone": len(old.keys() - both),
        "in another split": sum(old[clip].split != new[clip].split for clip in both),
        "of another label or file": sum((old[c].label, old[c].path) != (new[c].label, new[c].path) for c in both),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "another order"


def trainable(manifest: Manifest, have: Collection[str]) -> bool:
    """Whether clips of every class are there to learn from and to test with."""
    return all(
        {clip.label for clip in manifest.of_split(split) if clip.id in have}.issuperset(manifest.class_order)
        for split in ("train", "test")
    )


def next_step(manifest: Manifest, cache: Path) -> list[str]:
    """Lines that say where the list is, and which command takes it; without validation clips no epoch can be chosen."""
    path = cache / LIST
    tasks = max(1, len(manifest.class_order) // 5)
    folder, table = shlex.quote(str(cache)), shlex.quote(str(path))
    validated = {clip.label for clip in manifest.of_split("val")}
    choice = "" if validated.issuperset(manifest.class_order) else "--model-choice last "
    return [
        f"list: {path} ({number_of(len(manifest.class_order), 'class', 'classes')}, clips: {counted(manifest.clips)})",
        f"next: avcil-incr run --method av-cil --manifest {table} --cache {folder} --classes-per-task {tasks} "
        f"{choice}--out runs/av-cil",
    ]
