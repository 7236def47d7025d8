"""The configuration of a run: what is learnt, by which method, with which settings. Written beside results."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..errors import InputError

Modality = Literal["audio-visual", "audio", "visual"]


MODALITIES: tuple[Modality, ...] = get_args(Modality)


STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=STRICT)
class RunConfig:
    """Everything a run depends on, apart from the features and the method's own settings."""

    method: str
    """Name of the method, as `avcil-incr methods` lists it."""
    cache: str
    """Folder of the feature cache."""
    classes_per_task: Positive
    """Classes that arrive with each task; >= 1. What is left over makes a smaller last task."""
    dataset: str | None = None
    """Name of a published benchmark, or none where `manifest` is given."""
    manifest: str | None = None
    """CSV of clips (video_id, label, split), or none where `dataset` is given."""
    classes: str | None = None
    """CSV of the class order (class_index, label) that goes with `manifest`; else labels in alphabetical order."""
    class_order_seed: int | None = None
    """Shuffle the class order from this seed; none keeps the published or given order."""
    tasks: str | None = None
    """CSV of tasks (task, label) that replaces class order and classes_per_task; not with class_order_seed."""
    plugins: tuple[str, ...] = ()
    """Python files with methods that are not the package's own."""
    modality: Modality = "audio-visual"
    """Which features are used."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of every random choice but the class order; >= 0."""
    epochs: Positive = 100
    """Epochs a task; >= 1."""
    batch_size: Positive = 256
    """Clips a training batch (new clips where memory clips come beside them); >= 1, lowered to the set's size."""
    memory_size: Annotated[int, Field(ge=0)] = 340
    """|M|, clips in the exemplar memory; >= 0."""
    memory_batch_size: Positive = 128
    """Memory clips that come beside the new ones in a batch; >= 1, lowered to the memory's size."""
    evaluation_batch_size: Positive = 128
    """Clips a batch in evaluation, at most as many as in training; >= 1. Changes no result beyond rounding."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Adam's; > 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Adam's, inside the gradient (not decoupled); >= 0."""
    model_choice: Literal["best", "last"] = "best"
    """"best": the first epoch with the highest accuracy on the validation clips of all seen classes, as
    published (this looks at old classes' validation clips); "last": the last epoch."""
    device: str = "auto"
    """"auto" (a GPU where there is one), "cpu", "cuda:0"."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """Type in which visual tokens are held and multiplied; "auto": bfloat16 where the device is fast at it."""
    teacher: Literal["once", "each-step"] = "once"
    """Ask the teacher once a task and look its answers up, or ask it in every step (same bits, slower)."""
    residence_gigabytes: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """GiB that features may fill, those beyond being read again for every batch; none: 80% of a card's free memory,
    but on a CPU, where reading again costs little, a batch and a half or 0.25 GiB, whichever is more."""
    cuda_graphs: bool = False
    """Replay training steps as CUDA graphs, which should help where steps are short: one modality, small batches.
    Only on a card; it has not yet been run on one. A method's `loss` must then be the same work in every step of a
    task."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0
    """Least time between two states written to go on from; 0 writes one after every epoch."""


def names_of(kind: type) -> tuple[str, ...]:
    """Field names of a configuration class."""
    return tuple(field.name for field in fields(kind))


def described(kind: type) -> dict[str, tuple[Any, str]]:
    """Default and meaning of each field of a configuration class, inherited ones first."""
    found: dict[str, tuple[Any, str]] = {}
    for base in reversed(kind.__mro__[:-1]):  # pydantic sees docstrings of a class's own fields only
        for name, schema in TypeAdapter(base).json_schema().get("properties", {}).items():
            meaning = " ".join(schema.get("description", "").split()) or found.get(name, (None, ""))[1]
            found[name] = (schema.get("default"), meaning)
    return found


def checked(kind: type, values: Mapping[str, Any]) -> Any:
    """An instance of the configuration class `kind`; InputError in one line for a bad value.

    The word "none" is None for a field that is none by default.
    """
    by_default_none = {field.name for field in fields(kind) if field.default is None}
    values = {name: None if value == "none" and name in by_default_none else value for name, value in values.items()}
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part in names_of(kind)) or kind.__name__
        raise InputError(f"{where}: {first['msg']} (given {first['input']!r})") from error
