"""What a user chooses for an extraction. Options, their help and their checks are made from these classes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from ..devices import Precision
from ..manifests import published_names
from ..options import FILE, File, Folder, Option
from .preparation.recipes import MissingAudio, RecipeName

VIDEO_ENCODER = "MCG-NJU/videomae-base"
CLIP_MEMORY = 4.0  # 8K video of 10 bits took 1.2 GB, MJPEG of 15360 x 8640 1.5
AUDIO_ENCODER = "gaunernst/vit_base_patch16_1024_128.audiomae_as2m"

Storage = Literal[
    "float16", "bfloat16", "float32", "int8"
]  # cache.STORAGE_TYPES, which takes PyTorch (a test compares)
FileOrFolder = Annotated[Path, Option(metavar="FILE|DIR")]
Positive = Annotated[int, Field(ge=1)]
STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ClipList:
    """Which clips: those of a data set, or of a table."""

    dataset: Annotated[str, Option(metavar="NAME|FILE.toml", known=published_names)] | None = None
    """Published data set by name, or one of your own by its TOML file; this or `manifest`."""
    manifest: File | None = None
    """Table of your own clips instead: CSV with video_id,label,split[,path]."""
    classes: File | None = None
    """Class order for `manifest`: CSV with class_index,label."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExtractionConfig(ClipList):
    """All choices of `avcil-extract run` and `plan`."""

    videos: Folder
    """Folder with the video files, at any depth; without a list of clips as LABEL/FILE or train|val|test/LABEL/FILE."""
    split: Annotated[str, Option(metavar="TRAIN/VAL/TEST")] | None = None
    """Of `videos` without a list, in folders named as their labels: which part of each class is for what, by default
    0.8/0.1/0.1. Folders train, val and test are the splits."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that division."""
    cache: Folder | None = None
    """Folder of the feature cache; an unfinished one is resumed. Only a plan can do without."""
    video_encoder: Annotated[str, Option(metavar="HUB_ID|DIR|NAME[:SOURCE]")] = VIDEO_ENCODER
    """A checkpoint of one of the families of encoders, or NAME[:SOURCE] of an encoder of your own."""
    audio_encoder: Annotated[str, Option(metavar="HUB_ID|DIR|FILE|NAME[:SOURCE]")] = AUDIO_ENCODER
    """Likewise; an AudioMAE may also be the authors' .pth."""
    plugin: Annotated[tuple[Path, ...], Option(metavar="FILE.py", type=FILE)] = ()
    """Python file with encoders of your own, which `video_encoder` and `audio_encoder` can then name. It is run."""
    random_weights: Annotated[int, Field(ge=0, lt=2**63), Option(metavar="[SEED]", alone=0)] | None = None
    """The same architectures with random weights, drawn from this seed (0 where none is said): to try things out where
    no weights can be had."""
    recipe: RecipeName = "audiomae"
    """How clips are prepared: as the encoders were trained, or as for the published features."""
    device: str = "auto"
    """Where the encoders compute: auto (a GPU where there is one), cpu, cuda:0."""
    precision: Precision | None = None
    """Of the encoders; by default as the cache was begun, else bfloat16 where the device is fast at it."""
    store: Storage = "float16"
    """How features are stored: 2.4 MB a clip at 16 bits, 4.8 as float32, 1.2 as int8."""
    workers: Positive | None = None
    """Decoding worker processes; by default as many as the device and the processor's cores ask for."""
    batch_size: Positive | None = None
    """Clips encoded at once; by default as the cache was begun, else 32 on a GPU, 2 on a CPU."""
    shard_size: Positive = 256
    """Places of the list that a shard covers; keep it the same when you resume. A killed run loses one at
    most."""
    clip_timeout: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """Seconds a decoder may take for a clip."""
    clip_memory: Annotated[float, Field(ge=0.5, le=1e6)] = CLIP_MEMORY
    """Gigabytes a decoding worker process may use (on Linux)."""
    missing_audio: MissingAudio = "quarantine"
    """Clips without sound: leave them out, or encode silence."""
    limit: Annotated[Positive, Option(metavar="N")] | None = None
    """Only the first N clips that have a file."""
    retry_quarantined: bool = False
    """Try clips again that an earlier run quarantined."""
    skip_verify: bool = False
    """Do not check every byte that the cache holds before the run, only what a glance at each shard shows."""
    ray: Annotated[str, Option(metavar="[ADDRESS]", alone="local")] | None = None
    """Have many processes encode, by Ray: on all GPUs and cores of this machine or, with an address (auto: the one that
    runs here), of a cluster."""
    ray_workers: Positive | None = None
    """Encoding processes with `ray`, each with `workers` decoding ones; by default as many as there is room for."""
    ray_gpu_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of a GPU, for each encoding process with `ray`."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ImportConfig(ClipList):
    """All choices of `avcil-extract import-released`."""

    features: Folder
    """Folder with the authors' feature files."""
    cache: Folder
    """Folder of the feature cache to make."""
    store: Storage = "float32"
    """How features are stored."""
    shard_size: Positive = 256
    """Clips a shard."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FeaturesConfig(ClipList):
    """All choices of `avcil-extract import`."""

    visual: FileOrFolder | None = None
    """Visual features: .npy with `ids`, .npz, .safetensors, .pt, .h5, or a folder of ID.npy or ID.pt. A clip has shape
    (D,), (T, D) or (L, S, D)."""
    audio: FileOrFolder | None = None
    """Audio features, likewise; only their mean over time is kept. One of the two may be left out."""
    ids: File | None = None
    """Clip ids of the rows of .npy files, one a row; by default clips.csv beside them, as `export` writes it."""
    name: str
    """What made the features, such as my-clip-b16."""
    cache: Folder
    """Folder of the feature cache to make."""
    store: Storage | None = None
    """How features are stored; by default as they were before an export, else float16."""
    partial: bool = False
    """Leave out clips that have no features or unusable ones, and features of clips that are not in the list."""
    shard_size: Positive = 256
    """Clips a shard."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DerivationConfig:
    """All choices of `avcil-extract derive`."""

    cache: Folder
    """Folder of the feature cache to start from; it is only read."""
    out: Folder
    """Folder of the cache to make; an unfinished one is resumed."""
    tokens: Annotated[str, Option(metavar="HxW|mean")]
    """Tokens a time slice, as rows and columns that divide those of the source, such as 7x7 of 14x14; or their mean.
    The source's own grid changes the storage only."""
    store: Storage | None = None
    """How features are stored; by default as the source does."""
