"""What a user chooses for an extraction, checked in one place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import InputError, unknown
from .preparation.recipes import RECIPE_NAMES

# encoders.DEFAULT_VIDEO_ENCODER and DEFAULT_AUDIO_ENCODER, which are not imported for their weight (a test compares).
VIDEO_ENCODER = "MCG-NJU/videomae-base"
AUDIO_ENCODER = "gaunernst/vit_base_patch16_1024_128.audiomae_as2m"

Storage = Literal["float16", "bfloat16", "float32", "int8"]
Precision = Literal["float32", "bfloat16"]
MissingAudio = Literal["quarantine", "silence"]
NAMES = {
    "recipe": RECIPE_NAMES,
    "store": get_args(Storage),
    "precision": get_args(Precision),
    "missing_audio": get_args(MissingAudio),
}
"""The valid words of each choice that has a fixed number of them."""

Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ExtractionConfig:
    """All choices of `avcil-extract run` and `plan`."""

    videos: Path
    """Folder with the video files, searched with all folders below it."""
    cache: Path | None = None
    """Folder of the feature cache; None only for a plan."""
    dataset: str | None = None
    """Name of a published list of clips; this or `manifest`."""
    manifest: Path | None = None
    """CSV of clips: video_id,label,split and perhaps path."""
    classes: Path | None = None
    """CSV of the class order for `manifest`."""
    video_encoder: str = VIDEO_ENCODER
    """Hub id or directory."""
    audio_encoder: str = AUDIO_ENCODER
    """Hub id, directory, or file of weights."""
    random_weights: Annotated[int, Field(ge=0)] | None = None
    """Seed of random weights of the same architectures; None for the real ones."""
    recipe: Literal["audiomae", "released"] = "audiomae"
    """How clips are prepared; see `recipes`."""
    device: str = "auto"
    """Where the encoders compute: "auto", "cpu", "cuda:0"."""
    precision: Precision | None = None
    """Of the encoders; None: as the cache was begun, else bfloat16 where the device is fast at it."""
    store: Storage = "float16"
    """How features are stored."""
    workers: Positive | None = None
    """Decoding processes; None: by the number of processors."""
    batch_size: Positive | None = None
    """Clips encoded at once; None: 32 on a GPU, 2 on a CPU."""
    shard_size: Positive = 256
    """Places in the manifest that one shard covers; a run that is broken off loses at most one shard."""
    clip_timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that one decoder may take for one clip."""
    missing_audio: MissingAudio = "quarantine"
    """What becomes of clips without sound."""
    limit: Positive | None = None
    """Only the first clips that have a file; None for all."""
    retry_quarantined: bool = False
    """Try quarantined clips again."""


def checked(values: Mapping[str, Any]) -> ExtractionConfig:
    """The configuration of these values; `InputError` in one line for a bad one."""
    for name, valid in NAMES.items():
        given = values.get(name)
        if given is not None and given not in valid:
            raise unknown(f"value for --{name.replace('_', '-')}", str(given), valid)
    try:
        return TypeAdapter(ExtractionConfig).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise InputError(f"--{option}: {first['msg']} (given {first['input']!r})") from error
