"""`avcil-extract import`: features from elsewhere into a cache.

All is read and checked before anything is written. One of the two modalities may be missing: its place is filled with a
single zero, the fingerprint says that there is none, and stage 2 trains on the other only.

Shapes: L time slices, S tokens, D channels, T any count along time.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.text import Text
from torch import Tensor

from ...cache import EXPORTED, CacheWriter, Fingerprint, dtype_stored
from ...errors import InputError, shown
from ...files import read_json
from ...manifests import Located
from ...versions import versions
from ...wording import number_of
from ..clips import benchmark_of
from ..config import FeaturesConfig
from ..decoding.faults import NOT_FINITE
from ..notes import noted
from ..progress import ExtractionProgress
from ..selection import plans_again, shard_plans
from .sources import FeatureSource, open_features

LIBRARIES = ("numpy", "h5py", "torch", "safetensors")
MISSING = "missing.csv"
PLACEHOLDER = {"visual": torch.zeros(1, 1, 1), "audio": torch.zeros(1)}
DEFAULT = "float16"
FITTING = "--partial takes what fits and leaves the rest out"


def as_visual(features: Tensor) -> Tensor:
    """(D,), (T, D) or (L, S, D) as (L, S, D): one token; one token a time slice; as it is. InputError for others."""
    if features.dim() == 1:
        return features[None, None]
    if features.dim() == 2:
        return features[:, None]
    if features.dim() == 3:
        return features
    raise InputError(f"has shape {tuple(features.shape)}, none of (D,), (T, D), (L, S, D)")


def as_audio(features: Tensor) -> Tensor:
    """(D,) as it is; (T, D) and (L, S, D) as the mean over all but D, in float32. InputError for others."""
    if features.dim() == 1:
        return features
    if features.dim() in (2, 3):
        return features.float().flatten(0, -2).mean(dim=0)
    raise InputError(f"has shape {tuple(features.shape)}, none of (D,), (T, D), (L, S, D)")


ARRANGED = {"visual": as_visual, "audio": as_audio}


@dataclass
class Modality:
    """The features of one modality, and what became of their shapes."""

    name: str
    source: FeatureSource
    arrange: Callable[[Tensor], Tensor]
    given: tuple[int, ...] = ()
    """Shape of a clip as the file has it."""
    shape: tuple[int, ...] = ()
    """As the cache has it."""

    def of(self, clip: str) -> Tensor:
        """A clip's features as the cache has them; InputError where they have another shape than the first clip's."""
        found = self.source.read(clip)
        given = tuple(found.shape)
        try:
            arranged = self.arrange(found)
        except InputError as error:
            raise InputError(f"{self.source.path}: clip '{clip}' {error}") from None
        if not arranged.numel():
            raise InputError(f"{self.source.path}: clip '{clip}' has shape {given}, which holds no number")
        if self.shape and tuple(arranged.shape) != self.shape:
            raise InputError(f"{self.source.path}: clip '{clip}' has shape {given}, the ones before it {self.given}")
        self.given, self.shape = self.given or given, tuple(arranged.shape)
        return arranged

    def in_words(self) -> str:
        """How the shape was taken."""
        taken = "as they are" if self.given == self.shape else f"taken as {self.shape}"
        if self.name == "audio" and len(self.given) > 1:
            taken += ", the mean over all but the last axis"
        return f"{self.name}: {self.source.path}, {len(self.source.ids)} clips of shape {self.given}, {taken}"


def import_features(config: FeaturesConfig, console: Console) -> Iterator[str]:
    """Write the clips of a list from files of features; gives lines for people.

    Raises:
        InputError: files or lists that cannot be used, or (without `partial`) anything that training could not use:
            values that are not finite, clips of other shapes, ids that are not in the list, clips without features.
            Nothing has been written then.
    """
    if config.visual is None and config.audio is None:
        raise InputError("say which features: --visual FILE, --audio FILE, or both")
    manifest = benchmark_of(config).manifest
    given = {name: path for name, path in (("visual", config.visual), ("audio", config.audio)) if path is not None}
    made_by = _exported_facts(given.values())
    for absent in () if made_by is None else made_by.absent:
        given.pop(absent, None)  # the export of a cache that had one modality holds the other's placeholder
    modalities = {name: Modality(name, open_features(path, config.ids), ARRANGED[name]) for name, path in given.items()}
    there = set.intersection(*(set(modality.source.ids) for modality in modalities.values()))
    wanted = {clip.id for clip in manifest.clips}
    if not there & wanted:
        source = next(iter(modalities.values())).source
        raise InputError(
            f"none of the {len(wanted)} clips of {manifest.name} has features: its first id is "
            f"'{manifest.clips[0].id}', and the first of {source.path} is '{source.ids[0]}'"
        )
    located = Located(
        found={clip.id: next(iter(given.values())) for clip in manifest.clips if clip.id in there},
        missing=tuple(clip for clip in manifest.clips if clip.id not in there),
    )
    strange = sorted({clip for modality in modalities.values() for clip in modality.source.ids} - wanted)
    if strange and not config.partial:
        count = number_of(len(strange), "clip")
        words = f"features of {count} that {manifest.name} does not name, the first '{strange[0]}'"
        raise InputError(f"{words}: {FITTING}")
    if located.missing and not config.partial:
        count = number_of(len(located.missing), "clip")
        words = f"no features of {count} of {manifest.name}, the first '{located.missing[0].id}'"
        raise InputError(f"{words}: {FITTING}")
    store = config.store or (DEFAULT if made_by is None else str(made_by.facts.get("storage", DEFAULT)))
    unusable = _unusable(modalities, list(located.found), store)
    if unusable and (not config.partial or len(unusable) == len(located.found)):
        raise InputError(f"{next(iter(unusable.values()))} ({len(unusable)} such clips): {FITTING}")
    yield from (modality.in_words() for modality in modalities.values())
    fingerprint = _fingerprint(config.name, modalities, store, made_by)
    notes: dict[str, object] = {"data_set": manifest.name, "choices": noted(config)}
    shapes = [modalities[name].shape if name in modalities else tuple(PLACEHOLDER[name].shape) for name in PLACEHOLDER]
    with CacheWriter(config.cache, fingerprint, versions=versions(LIBRARIES), notes=notes) as writer:
        for line in writer.lines:
            console.print(Text(shown(line)), soft_wrap=True)
        held = len(writer.have & wanted)
        for clip, words in unusable.items():
            if clip not in writer.quarantined:
                writer.quarantine(clip, NOT_FINITE, words)
        rest = shard_plans(
            manifest.clips,
            located.found,
            have=writer.have,
            quarantined=writer.quarantined,
            shard_size=config.shard_size,
            lost=writer.lost,
        )
        plans = [*plans_again(writer.lost, located.found), *rest]
        located.write_missing(writer.beside(MISSING))
        with ExtractionProgress(sum(len(plan.jobs) for plan in plans), console) as progress:
            for plan in plans:
                ids = [job.id for job in plan.jobs]
                with writer.shard(plan.name, ids, *shapes) as shard:
                    for index, clip in enumerate(ids):
                        features = {name: modality.of(clip) for name, modality in modalities.items()}
                        shard.put(index, **{**PLACEHOLDER, **features})
                        progress.step(encoded=1)
        yield f"written: {len(writer.have & wanted) - held}"
    if held:
        yield f"in the cache before: {held}"
    if located.missing:
        yield f"without features: {len(located.missing)} (listed in the cache's {MISSING})"
    if strange:
        yield f"not in the list and passed over: {len(strange)}"
    if unusable:
        yield f"quarantined, {NOT_FINITE}: {len(unusable)}"
    for name in PLACEHOLDER:
        if name not in modalities:
            other = next(iter(modalities))
            yield f"no {name} features: train with --modality {other}"
    yield f"cache: {config.cache}"


def _unusable(modalities: Mapping[str, Modality], clips: list[str], store: str) -> dict[str, str]:
    """Read every clip once: those whose values the storage cannot hold, with words. InputError for shapes."""
    limit = torch.finfo(dtype_stored(store)).max
    unusable: dict[str, str] = {}
    for clip in clips:
        for modality in modalities.values():
            largest = modality.of(clip).abs().max().double().item()
            if not math.isfinite(largest):
                unusable[clip] = f"{modality.source.path}: clip '{clip}' holds NaN or infinity"
            elif largest > limit:
                unusable[clip] = (
                    f"{modality.source.path}: clip '{clip}' reaches {largest:.6g}, beyond {store}; "
                    "--store bfloat16 or float32 keeps it"
                )
    return unusable


def _exported_facts(paths: Iterable[Path]) -> Fingerprint | None:
    """What made the features, where `avcil-extract export` wrote all of them and says so."""
    files = {path.parent / EXPORTED for path in paths}
    if len(files) != 1 or not (path := files.pop()).is_file():
        return None
    content = read_json(path)
    facts = content.get("facts") if isinstance(content, dict) else None
    if not isinstance(facts, dict):
        raise InputError(f"{path} is damaged: export again, or take the features out of that folder")
    return Fingerprint(facts)


def _fingerprint(name: str, modalities: Mapping[str, Modality], store: str, made_by: Fingerprint | None) -> Fingerprint:
    encoders = {
        f"{each}_encoder": {
            "encoder": name,
            "source_sha256": modalities[each].source.sha256,
            "source_shape": list(modalities[each].given),
        }
        if each in modalities
        else {"encoder": "none"}
        for each in PLACEHOLDER
    }
    more = {} if made_by is None else {"made_by": made_by.facts}
    return Fingerprint({"origin": "imported", **encoders, "recipe": {"name": "imported"}, "storage": store, **more})
