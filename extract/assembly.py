"""Put a run together: clips, encoders, recipe, pace, and what the cache is told about them."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..cache import Fingerprint, Lost, origin_of
from ..devices import PRECISIONS, Precision, choose_device, fastest_precision
from ..errors import InputError
from ..manifests import Choice, Located, Manifest
from ..threads import usable_cores
from ..wording import RANDOM_WEIGHTS, number_of
from .choices import settled
from .clips import from_folder, in_words, list_of, locate
from .config import ExtractionConfig
from .decoding.frames import READING
from .encoders import load_audio_encoder, load_visual_encoder
from .listing import LIST
from .notes import noted
from .pipeline import Encoders, Pace
from .preparation.recipes import ClipPreparation, Recipe, recipe
from .selection import ShardPlan, plans_again, shard_plans

LIBRARIES = ("torch", "transformers", "numpy", "pillow", "av", "decord", "soxr", "h5py")
"""Those that touch a clip."""


@dataclass(frozen=True)
class Setup:
    """Everything that `run` and `plan` have to know before the first clip."""

    config: ExtractionConfig
    manifest: Manifest
    located: Located
    found: Mapping[str, Path]
    """Files of the clips of this run, by id: of those that have one, the first `limit`."""
    several: Mapping[str, Choice]
    """Of these, the clips that have several files, by id."""
    encoders: Encoders
    precision: Precision
    preparation: ClipPreparation
    pace: Pace
    fingerprint: Fingerprint

    def shards(self, have: Collection[str], quarantined: Collection[str], lost: Sequence[Lost] = ()) -> list[ShardPlan]:
        """What is left to do for a cache that holds the clips `have`, keeps others in its quarantine, and lost some."""
        rest = shard_plans(
            self.manifest.clips,
            self.found,
            have=have,
            quarantined=() if self.config.retry_quarantined else quarantined,
            shard_size=self.config.shard_size,
            several=self.several,
            lost=lost,
        )
        return [*self.again(lost), *rest]

    def again(self, lost: Sequence[Lost]) -> list[ShardPlan]:
        """The shards to be made again, `limit` or no; of disputed files only where it has been settled which it is."""
        several = {**self.located.several, **self.several}
        disputed = {clip for clip, choice in several.items() if choice.disputed}
        found = {clip: path for clip, path in self.located.found.items() if clip not in disputed}
        return plans_again(lost, found, several)

    def notes(self) -> dict[str, Any]:
        """What a new cache keeps for readers, beside its fingerprint."""
        return {
            "device": str(self.encoders.device),
            "batch_size": self.pace.batch_size,
            "choices": noted(
                self.config, precision=self.precision, batch_size=self.pace.batch_size, **self._own_list()
            ),
            "missing_audio": self.preparation.missing_audio,
            "audio_preparation": dataclasses.asdict(self.preparation.audio),
            "visual_preparation": dataclasses.asdict(self.preparation.visual),
        }

    def _own_list(self) -> dict[str, Any]:
        """Where the list is that was made from the folder of videos, if it was."""
        cache = self.config.cache
        return {} if cache is None or not from_folder(self.config) else {"manifest": cache / LIST}


def assemble(
    config: ExtractionConfig, say: Callable[[str], object], *, workers_on: torch.device | None = None
) -> Setup:
    """Find the clips and load the encoders; `say` gets a line about each.

    Args:
        config: the choices.
        say: called with each line.
        workers_on: the kind of device on which other processes encode, where this one only has to know what with.

    Raises:
        InputError: something is wrong with the list of clips, or not one has a file; a clip has two different files;
            no such device or encoder, or weights that do not fit.
    """
    benchmark, lines = list_of(config)
    located = locate(benchmark, config.videos)
    for line in (*lines, in_words(benchmark.manifest, located)):
        say(line)
    encoders, precision = load_encoders(config)
    if workers_on is not None:
        encoders = dataclasses.replace(encoders, device=workers_on)
    for line in describe(encoders, precision):
        say(line)
    how = recipe(config.recipe, benchmark.released_frame_rate)
    preparation = ClipPreparation.of(how, encoders.visual.preparation, encoders.audio.preparation, config.missing_audio)
    pace = pace_of(config, encoders.device)
    found = dict(list(located.found.items())[: config.limit])
    several = {clip: choice for clip, choice in located.several.items() if clip in found}
    disputed = sum(choice.disputed for choice in several.values())
    if disputed:
        say(f"{number_of(disputed, 'clip')} with different files of one name: looking which of these can be decoded")
    return Setup(
        config=config,
        manifest=benchmark.manifest,
        located=located,
        found=found,
        several=settled(several, benchmark.manifest, preparation, pace),
        encoders=encoders,
        precision=precision,
        preparation=preparation,
        pace=pace,
        fingerprint=fingerprint(encoders, how, config.store),
    )


def load_encoders(config: ExtractionConfig) -> tuple[Encoders, Precision]:
    """Load both encoders; returns them and the precision chosen.

    Raises:
        InputError: no such device or encoder, or weights that do not fit.
    """
    _refuse_trained_weights_for_random_ones(config)
    device = choose_device(config.device)
    precision = config.precision or begun_with(config.cache) or fastest_precision(device)
    how: Any = {
        "device": device,
        "precision": precision,
        "random_weights": config.random_weights,
        "plugins": config.plugin,
    }
    visual = load_visual_encoder(config.video_encoder, **how)
    audio = load_audio_encoder(config.audio_encoder, **how)
    return Encoders(visual, audio, device), precision


def _refuse_trained_weights_for_random_ones(config: ExtractionConfig) -> None:
    """InputError where a cache was begun with random weights and they are not asked for: nothing else would fit it."""
    origin = None if config.cache is None or config.random_weights is not None else origin_of(config.cache)
    if origin is None:
        return
    for modality in ("visual", "audio"):
        seed = origin.fingerprint.facts.get(f"{modality}_encoder", {}).get("seed")
        if seed is not None:
            raise InputError(f"{config.cache} was begun with --random-weights {seed}: give that, or another --cache")


def begun_with(cache: Path | None) -> Precision | None:
    """The precision of the encoders that a cache was begun with, if there is one and it says so."""
    origin = None if cache is None else origin_of(cache)
    if origin is None:
        return None
    said = origin.fingerprint.facts.get("visual_encoder", {}).get("precision")
    return next((precision for precision in PRECISIONS if precision == said), None)


def batches_of(cache: Path | None, device: torch.device) -> int | None:
    """The size of the batches that a cache was begun with, on such a device: another size may round differently."""
    origin = None if cache is None else origin_of(cache)
    said = {} if origin is None else origin.notes
    size = said.get("batch_size")
    same = str(said.get("device")).partition(":")[0] == device.type
    return size if same and isinstance(size, int) and size > 0 else None


def fingerprint(encoders: Encoders, recipe: Recipe, storage: str) -> Fingerprint:
    """Everything that decides the features of a clip."""
    facts: Mapping[str, Any] = {
        "visual_encoder": encoders.visual.identity,
        "audio_encoder": encoders.audio.identity,
        "recipe": recipe.facts(),
        "reading": READING,
        "storage": storage,
    }
    return Fingerprint(facts)


def pace_of(config: ExtractionConfig, device: torch.device) -> Pace:
    """How the work is cut up, with defaults that suit the machine.

    Beside a GPU one worker process a core decodes; beside encoders on the CPU a quarter of them suffices. A batch of
    32 fills a GPU; on a CPU more than two clips bring nothing. A cache goes on with the size that it was begun with.
    """
    on_gpu = device.type == "cuda"
    cores = usable_cores()
    return Pace(
        workers=config.workers or (cores if on_gpu else max(1, cores // 4)),
        batch_size=config.batch_size or batches_of(config.cache, device) or (32 if on_gpu else 2),
        clip_timeout=config.clip_timeout,
        clip_memory=config.clip_memory,
    )


def describe(encoders: Encoders, precision: str) -> list[str]:
    """Lines for people: the encoders, with a warning where their weights are random."""
    lines = [f"video: {encoders.visual.title}", f"audio: {encoders.audio.title}"]
    if any(e.identity.get("random_weights") is not None for e in (encoders.visual, encoders.audio)):
        lines.append(RANDOM_WEIGHTS)
    return [*lines, f"device: {encoders.device}, {precision}"]
