"""The files of a run's folder that results are read from.

config.json     the whole configuration and where it came from; repeats the run (--config)
metrics.json    written last: its presence says that the run is finished
"""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from ...errors import InputError
from ...files import PART_SUFFIX, locked, read_json
from .measures import MEASURES
from .metrics import FIGURES

METRICS = "metrics.json"
CONFIG = "config.json"
LOCK = ".lock"
HISTORY = "history.csv"


class _Shape(BaseModel):
    """Entries that readers rely on, of a JSON object that may have others."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


def _of_a_file(text: str) -> str:
    try:
        usable = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise ValueError("no file can have this name")
    return text


FileName = Annotated[str, AfterValidator(_of_a_file)]


class _Run(_Shape):
    """What may be in config.json's entry `run`; `checked` looks closer where it is run again."""

    method: str = ""
    seed: int = 0
    class_order_seed: int | None = None
    modality: str = ""
    dataset: FileName | None = None
    manifest: FileName | None = None
    classes: FileName | None = None
    tasks: FileName | None = None
    cache: FileName | None = None
    plugins: list[FileName] = []
    settings: dict[str, Any] = {}


class _Provenance(_Shape):
    """What may be in config.json's entry `provenance`: the facts of a cause (`cause.FACTS`)."""

    way: str = ""
    memory: bool = True
    cache_fingerprint: str | None = None
    features_sha256: str | None = None
    clips_sha256: str | None = None
    labels_sha256: str | None = None
    computed_in: str | None = None
    plugins: dict[str, str] | None = None
    tasks: list[list[str]] = []


class _Config(_Shape):
    run: _Run
    provenance: _Provenance


class _FinishedRun(_Run):
    method: str
    seed: int


class _FinishedConfig(_Config):
    run: _FinishedRun


class _Summary(_Shape):
    """metrics.json but for the figures, of which an older run may lack some."""

    method: str
    modality: str
    seed: int
    model_choice: str
    random_encoder_weights: bool
    accuracy_by_task: Annotated[list[float], Field(min_length=1)]
    accuracy_matrix: list[list[float]]
    chosen_epochs: list[int | None]
    epochs_by_task: list[int] | None = None
    seconds: float
    peak_memory_bytes: float
    test_noise: dict[str, Any] = {}
    published: Annotated[list[float], Field(min_length=1, max_length=2)] | None = None
    leak_free: dict[str, Any] = {}

    @model_validator(mode="after")
    def _matrix_grows_by_task(self) -> "_Summary":
        if [len(row) for row in self.accuracy_matrix] != [*range(1, len(self.accuracy_by_task) + 1)]:
            raise ValueError("accuracy_matrix has to have a row a task, and as many entries as tasks have been learnt")
        return self


_Metrics: type[_Summary] = create_model(
    "_Metrics",
    __base__=_Summary,
    **{name: (float | None, None) for name in (*FIGURES, *MEASURES) if name not in _Summary.model_fields},
)  # type: ignore[call-overload]


def check_free(folder: Path) -> None:
    """InputError where a folder cannot become a run's: it holds something else, or is none."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file, and results need a folder; choose another --out")
    if all(file.name == LOCK or file.name.endswith(PART_SUFFIX) for file in folder.iterdir()):
        return
    if any((seed / CONFIG).is_file() for seed in folder.glob("seed-*")):
        raise InputError(f"{folder} holds runs of several seeds: give --seeds to go on, or choose another --out")
    if any(folder.glob(f"order-*/seed-*/{CONFIG}")):
        raise InputError(f"{folder} holds runs of several class orders: give --class-orders, or choose another --out")
    raise InputError(f"{folder} is not empty and holds no run; choose another --out")


def repeat_folder(out: Path, order: int | None, seed: int) -> Path:
    """Where one of several runs is that differ in their seed and in the order of their classes (None: as given)."""
    return (out if order is None else out / f"order-{order}") / f"seed-{seed}"


def holds_single_run(folder: Path) -> InputError:
    """The error for a folder that is to hold several runs and holds one (returned, not raised)."""
    return InputError(f"{folder} holds a single run; choose another --out for several seeds or class orders")


def busy_words(folder: Path) -> str:
    """What is said where another process is at work in a run's folder."""
    return f"another process runs in {folder}; wait for it or choose another --out"


def check_idle(folder: Path) -> None:
    """BusyError where another process is at work in a run's folder."""
    if (folder / LOCK).is_file():
        with locked(folder / LOCK, busy_words(folder)):
            pass


def config_of(folder: Path) -> dict[str, Any]:
    """The content of a run's config.json. InputError where it is none."""
    return _read(folder / CONFIG, _FinishedConfig, CONFIG)


def content_of(path: Path) -> dict[str, Any]:
    """The content of a file as config.json, which may leave out what else is given. InputError where it is none."""
    return _read(path, _Config, CONFIG)


def metrics_of(folder: Path) -> dict[str, Any]:
    """The content of a finished run's metrics.json. InputError where it is none."""
    return _read(folder / METRICS, _Metrics, METRICS)


def _read(path: Path, shape: type[BaseModel], what: str) -> dict[str, Any]:
    content = read_json(path)
    try:
        shape.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(map(str, first["loc"]))
        words = first["msg"].removeprefix("Value error, ")
        if first["type"] == "model_type":  # pydantic names a class of ours
            words = "it has to be an object"
        raise InputError(f"{path}: not a run's {what}: {f'{entry}: ' if entry else ''}{words}") from None
    return dict(content)
