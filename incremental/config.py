"""The configuration of a run: what is learnt, by which method, with which settings. Written beside results.

Which settings say what is learnt, which decide the result and which only how the work is carried out is told here, by
the class a field stands in, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from ..devices import Precision
from ..manifests import Modality as Modality  # stage 2 takes it from here
from ..manifests import published_names
from ..options import Option, bad_value, holds_several, meanings

MODALITIES: tuple[Modality, ...] = get_args(Modality)


STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
"""How configurations are checked: unknown fields are refused, a field's docstring is its meaning, NaN is no number."""


Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ProblemSettings:
    """What is to be learnt: where clips, order, tasks and features lie. Two runs learn the same problem when these give
    the same clips, labels, splits, tasks and features, wherever the files are."""

    cache: str
    """Folder of the feature cache that avcil-extract made."""
    classes_per_task: Positive
    """Classes that arrive with each task; >= 1. What is left over makes a smaller last task."""
    dataset: Annotated[str, Option(metavar="NAME|FILE.toml", known=published_names)] | None = None
    """Published data set by name, or one of your own by its TOML file; this or `manifest`."""
    manifest: str | None = None
    """Table of your own clips instead: CSV with video_id,label,split."""
    classes: str | None = None
    """Class order for `manifest`: CSV with class_index,label; else labels come as the manifest first names them."""
    class_order_seed: int | None = None
    """Shuffle the class order from this seed; none keeps the published or given order."""
    tasks: str | None = None
    """CSV with task,label in place of class order and `classes_per_task`; not with `class_order_seed`."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingSettings:
    """What every result depends on, besides the problem and the method's own settings."""

    method: str
    """Name of the method, as `avcil-incr methods` lists it."""
    modality: Modality = "audio-visual"
    """Which features are used."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of every random choice but the class order; >= 0."""
    memory_size: Annotated[int, Field(ge=0)] = 340
    """|M|, clips in the exemplar memory; >= 0."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class GradientSettings:
    """What the result of a method depends on that is learnt by gradient; one that is solved uses none of these."""

    epochs: Positive = 100
    """Epochs a task; >= 1."""
    batch_size: Positive = 256
    """Clips a training batch (new clips where memory clips come beside them); >= 1, lowered to the set's size."""
    memory_batch_size: Positive = 128
    """Memory clips that come beside the new ones in a batch; >= 1, lowered to the memory's size."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Adam's; > 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Adam's, inside the gradient (not decoupled); >= 0."""
    model_choice: Literal["best", "last"] = "best"
    """"best": the first epoch with the highest accuracy on the validation clips of all seen classes, as
    published (this looks at old classes' validation clips); "last": the last epoch."""
    patience: Positive | None = None
    """End a task once its best accuracy on validation clips is this many epochs ago; >= 1, none: every task takes all
    its epochs. Looked at where there is validation, so not with "last"."""
    validate_every: Positive = 1
    """Work out the accuracy on validation clips after every so many epochs of a task, and after its last; >= 1. Only
    these epochs can be chosen."""


OFF: Mapping[str, Any] = {"patience": None, "validate_every": 1}
"""Settings that shorten the work, and the values with which they change nothing: runs that were made before there were
such settings had them so, and no cause names a setting that is off."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExecutionSettings:
    """How a run is carried out, which changes no result beyond rounding."""

    plugins: tuple[str, ...] = ()
    """Python files with methods that are not the package's own."""
    device: str = "auto"
    """"auto" (a GPU where there is one), "cpu", "cuda:0"."""
    precision: Literal["auto"] | Precision = "auto"
    """Type in which visual tokens are held and multiplied; "auto": bfloat16 where the device is fast at it."""
    evaluation_batch_size: Positive = 128
    """Clips a batch in evaluation, at most as many as in training; >= 1. Changes no result beyond rounding."""
    teacher: Literal["once", "each-step"] = "once"
    """Ask the teacher once a task and look its answers up, or ask it in every step (same bits, slower)."""
    residence_gigabytes: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """GiB that features may fill, those beyond being read again for every batch; none: 80% of a GPU's free memory,
    but on a CPU, where reading again costs little, a batch and a half or 0.25 GiB, whichever is more."""
    cuda_graphs: bool = False
    """Replay training steps as CUDA graphs, which should help where steps are short: one modality, small batches.
    Only on a GPU; it has not yet been run on one. A method's `loss` must then be the same work in every step of a
    task."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 30.0
    """Least time between two saved states that a killed run resumes from; 0 saves one after every epoch."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunConfig(ExecutionSettings, GradientSettings, TrainingSettings, ProblemSettings):
    """Everything a run depends on, apart from the features and the method's own settings."""


def names_of(kind: type) -> tuple[str, ...]:
    """Field names of a configuration class."""
    return tuple(field.name for field in fields(kind))


def described(kind: type) -> dict[str, tuple[Any, str]]:
    """Default and meaning of each field of a configuration class, inherited ones first."""
    told = meanings(kind)
    defaults = {field.name: None if field.default is MISSING else field.default for field in fields(kind)}
    return {name: (default, told[name]) for name, default in defaults.items()}


def checked(kind: type, values: Mapping[str, Any]) -> Any:
    """An instance of the configuration class `kind`; InputError in one line for a bad value.

    The word "none" is None for a field that is none by default, and words for a tuple are parted by commas.
    """
    by_default_none = {field.name for field in fields(kind) if field.default is None}
    values = {name: None if value == "none" and name in by_default_none else value for name, value in values.items()}
    for name, value in values.items():
        if isinstance(value, str) and name in names_of(kind) and holds_several(kind, name):
            values[name] = tuple(part.strip() for part in value.split(",") if part.strip())
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise bad_value(kind, error, str) from error
