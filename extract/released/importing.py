"""Bring the features that the authors of AV-CIL published into a cache, clip by clip.

`avcil-extract import-released --dataset ave --features DIR --cache DIR`. Which files DIR holds is told in
`released_files`. The cache's fingerprint says that these are the authors' features, made by the recipe
"released"; the encoders are named, but the weights' hashes were never published. Memory in use is an index of
the files and one clip, whatever their size.

Shapes: L time slices, S tokens, D channels.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ...cache import CacheWriter, Fingerprint, NotStorable, ShardWriter
from ...errors import InputError, shown
from ...manifests import Located, Manifest
from ...versions import versions
from ...wording import size
from ..decoding.faults import NOT_FINITE, in_one_line
from ..preparation.recipes import Recipe, recipe
from ..progress import ExtractionProgress
from ..selection import plans_again, shard_plans
from .files import FeatureFile, Modality, feature_files, usual_shape

# VideoMAE-B at 16 frames in tubelets of 2; the released arrays do not tell time from space.
TIME_SLICES = 8
MOST_BYTES = 2**30  # of a clip; the published ones take 4.8 MB
OTHER_SHAPE = "features of another shape"
UNREADABLE = "features cannot be read"
MISSING = "missing.csv"
LIBRARIES = ("numpy", "h5py", "torch")


@dataclass(frozen=True)
class ImportReport:
    """What an import did."""

    written: int
    """Clips written now."""
    held: int
    """Clips that the cache had already."""
    skipped: int
    """Clips in the files that the manifest does not name, in either file."""
    missing: Mapping[str, int]
    """Clips of the manifest that a file lacks, by class, most first. They are listed in the cache's missing.csv."""
    missing_by_modality: Mapping[Modality, int]
    """How many of the manifest's clips each file lacks."""
    quarantined: Mapping[str, int]
    """Clips whose features cannot be used, by reason, those of earlier imports included."""

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"written: {self.written}", f"in the cache before: {self.held}"]
        if self.missing:
            lacks = ", ".join(f"{modality} features {n}" for modality, n in self.missing_by_modality.items())
            lines.append(f"without features: {sum(self.missing.values())} ({lacks}; listed in the cache's {MISSING})")
        if self.skipped:
            lines.append(f"in the files but not in the manifest: {self.skipped}")
        lines += [f"quarantined, {reason}: {count}" for reason, count in self.quarantined.items()]
        return lines


def import_released(
    manifest: Manifest,
    features: Path,
    cache: Path,
    *,
    storage: str = "float32",
    shard_size: int = 256,
    time_slices: int = TIME_SLICES,
    jpeg_rate: int | None = None,
    choices: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> ImportReport:
    """Write the manifest's clips into `cache` from the authors' files below `features`.

    Args:
        manifest: which clips are wanted; others in the files are counted and passed over.
        features: a directory with the files of one data set.
        cache: a new cache, or one that an import of the same files has begun.
        storage: storage type; float32 keeps the values as they were published.
        shard_size: clips a shard.
        time_slices: L, into which the tokens of arrays (L * S, D) are divided.
        jpeg_rate: frames a second that the features were made of, as `recipe` takes it.
        choices: what the cache is to note of where all this came from, so that it can be repaired.
        console: where to show progress; None for nowhere.

    Returns:
        Counts of what was written, missing, skipped and quarantined.

    Raises:
        InputError: the files are not there, are damaged, name anything but arrays, or hold no clip of the
            manifest, or of absurd size; the cache is of another origin. Nothing has been written then. Or no
            clip's features can be used.
    """
    with feature_files(Path(features)) as files:
        work = _Import(manifest, files["visual"], files["audio"], time_slices)
        made_by = recipe("released", jpeg_rate)
        return work.into(Path(cache), made_by, storage, shard_size, choices or {}, console or Console(quiet=True))


def released_fingerprint(visual: FeatureFile, audio: FeatureFile, made_by: Recipe, storage: str) -> Fingerprint:
    """What is known about the origin of released features. The files are told by their sizes."""
    unknown_weights = "as the authors of AV-CIL had them; no hash known"
    return Fingerprint(
        {
            "origin": "features released by the authors of AV-CIL (ICCV 2023)",
            "visual_encoder": {
                "encoder": "videomae",
                "source": "MCG-NJU/videomae-base",
                "features": "last_hidden_state",
                "weights": unknown_weights,
                "file_bytes": visual.path.stat().st_size,
            },
            "audio_encoder": {
                "encoder": "audiomae",
                "source": "the authors' pretrained.pth",
                "features": "mean of the patch tokens before the final norm, then LayerNorm",
                "weights": unknown_weights,
                "file_bytes": audio.path.stat().st_size,
            },
            "recipe": made_by.facts(),
            "storage": storage,
        }
    )


class _Import:
    """One import: which clips there are, and their way from the files to the shards."""

    def __init__(self, manifest: Manifest, visual: FeatureFile, audio: FeatureFile, time_slices: int) -> None:
        self.manifest, self.visual, self.audio, self.time_slices = manifest, visual, audio, time_slices
        both = visual.ids & audio.ids
        complete = [clip for clip in manifest.clips if clip.id in both]
        if not complete:
            raise InputError(
                f"none of the {len(manifest.clips)} clips of {manifest.name} is in both {visual.path} and "
                f"{audio.path}: are they of another data set?"
            )
        self.located = Located(
            found={clip.id: visual.path for clip in complete},
            missing=tuple(clip for clip in manifest.clips if clip.id not in both),
        )
        complete_ids = [clip.id for clip in complete]
        self.audio_shape = usual_shape(audio, complete_ids)
        self.visual_shape = self._arranged(usual_shape(visual, complete_ids))

    def _arranged(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(L, S, D) of visual features stored as (L * S, D) or as (L, S, D); () for any other shape."""
        if len(shape) == 2 and shape[0] % self.time_slices == 0:
            return self.time_slices, shape[0] // self.time_slices, shape[1]
        return shape if len(shape) == 3 else ()

    def into(
        self,
        cache: Path,
        made_by: Recipe,
        storage: str,
        shard_size: int,
        choices: Mapping[str, Any],
        console: Console,
    ) -> ImportReport:
        """Write all that the cache lacks."""
        if not all(self.visual_shape) or not self.visual_shape or not all(self.audio_shape):
            raise InputError(f"{self.visual.path}: its arrays are no tokens of {self.time_slices} time slices")
        for file, shape in ((self.visual, self.visual_shape), (self.audio, self.audio_shape)):
            if (asked := 4 * math.prod(shape)) > MOST_BYTES:
                raise InputError(
                    f"{file.path}: its arrays {' x '.join(map(str, shape))} take {size(asked)} a clip, which no "
                    "features do: is it damaged?"
                )
        notes = {
            "data_set": self.manifest.name,
            "visual_file": self.visual.path.name,
            "audio_file": self.audio.path.name,
            "choices": dict(choices),
        }
        fingerprint = released_fingerprint(self.visual, self.audio, made_by, storage)
        with CacheWriter(cache, fingerprint, versions=versions(LIBRARIES), notes=notes) as writer:
            ids = {clip.id for clip in self.manifest.clips}
            held = len(writer.have & ids)
            for line in writer.lines:
                console.print(Text(shown(line)), soft_wrap=True)
            rest = shard_plans(
                self.manifest.clips,
                self.located.found,
                have=writer.have,
                quarantined=writer.quarantined,
                shard_size=shard_size,
                lost=writer.lost,
            )
            plans = [*plans_again(writer.lost, self.located.found), *rest]
            self.located.write_missing(writer.beside(MISSING))
            with ExtractionProgress(sum(len(plan.jobs) for plan in plans), console) as progress:
                for plan in plans:
                    shard_ids = [job.id for job in plan.jobs]
                    with writer.shard(plan.name, shard_ids, self.visual_shape, self.audio_shape) as shard:
                        for index in range(len(shard_ids)):
                            usable = self._put(shard, index, writer)
                            progress.step(encoded=int(usable), quarantined=int(not usable))
            quarantined = Counter(entry["reason"] for entry in writer.quarantined.values())
            if not writer.have:
                why = ", ".join(f"{reason} {count}" for reason, count in quarantined.most_common())
                raise InputError(f"no clip's features can be used ({why}): see {cache / 'quarantine.json'}")
            return ImportReport(
                written=len(writer.have & ids) - held,
                held=held,
                skipped=len((self.visual.ids | self.audio.ids) - ids),
                missing=self.located.missing_by_class,
                missing_by_modality={
                    "visual": len(ids - self.visual.ids),
                    "audio": len(ids - self.audio.ids),
                },
                quarantined=dict(quarantined),
            )

    def _put(self, shard: ShardWriter, index: int, writer: CacheWriter) -> bool:
        """One clip from the files to its row; or to the quarantine, which gives False."""
        id = shard.ids[index]
        shapes = self._arranged(self.visual.shape(id)), self.audio.shape(id)
        if shapes != (self.visual_shape, self.audio_shape):
            words = f"visual {self.visual.shape(id)} and audio {self.audio.shape(id)}"
            writer.quarantine(id, OTHER_SHAPE, words)
            return False
        try:
            visual = self.visual.read(id).reshape(self.visual_shape)  # (L, S, D)
            shard.put(index, visual, self.audio.read(id))
            return True
        except OSError as error:
            writer.quarantine(id, UNREADABLE, in_one_line(error))
        except NotStorable as error:
            writer.quarantine(id, NOT_FINITE, str(error))
        return False
