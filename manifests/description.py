"""What a data set's TOML file may say, and what each entry means; checked before any of it is used."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ..errors import InputError, unknown
from .clips import LONGEST_NAME
from .locating import NAMED_BY_ID, NamingHabit
from .tables import read_text

Modality = Literal["audio-visual", "audio", "visual"]
"""Which features of a clip are used."""
Positive = Annotated[int, Field(ge=1)]
TOO_LONG = f"id makes ids of more than {LONGEST_NAME} characters"
SHOWN = 80  # characters of a wrong value that a message repeats


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


def _with_source(text: str) -> str:
    if "source" not in re.compile(text).groupindex:
        raise ValueError("has to have a group named 'source'")
    return text


def _plain(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("a setting is a number, a text, true or false")
    return value


Expression = Annotated[str, AfterValidator(_regular_expression)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class FileNames(_Table):
    """One way in which copies of the data set name their files."""

    pattern: Expression
    """Regular expression for the whole file name without its suffix; its named groups serve `id`."""
    id: str
    """The clip's id from these groups, in Python's format language, as in "{ytid}_{start:0>6}"."""

    @model_validator(mode="after")
    def _id_is_made_of_the_groups(self) -> "FileNames":
        groups = re.compile(self.pattern).groupindex
        try:
            made = self.id.format(**dict.fromkeys(groups, "0"))
        except KeyError as error:
            raise ValueError(
                f"id names {error}, which is no group of pattern ({', '.join(groups) or 'none'})"
            ) from None
        except (IndexError, ValueError, AttributeError) as error:
            raise ValueError(f"id is not a format string: {error}") from None
        except MemoryError:
            raise ValueError(TOO_LONG) from None
        if len(made) > LONGEST_NAME:
            raise ValueError(TOO_LONG)
        return self


class Setting(_Table):
    """Another way of cutting the classes into tasks."""

    classes_per_task: Positive
    """Classes that arrive with each task."""


class Protocol(_Table, extra="allow"):
    """Settings of `avcil-incr run` and of its methods that hold for this data set unless others are given."""

    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_plain)]]
    classes_per_task: Positive | None = None
    """Classes that arrive with each task."""
    epochs: dict[str, dict[Modality, Positive]] = {}
    """Epochs a task, by method and modality."""
    other_settings: dict[str, Setting] = {}
    """Further published settings by name, for the record."""


class Released(_Table):
    """What is known of features that were published for this data set."""

    frame_rate: Positive | None = None
    """JPEG frames a second that the recipe `released` takes from a clip; 8 where nothing is said."""


class Description(_Table):
    """A data set's TOML file."""

    title: str
    """What people call the data set, for tables."""
    source: str = ""
    """Where list and videos come from."""
    licence: str = ""
    """What is known of the terms of use."""
    source_video: Annotated[Expression, AfterValidator(_with_source)] = "(?P<source>.+)"
    """Regular expression for a clip's whole id; its group `source` is the video the clip was cut from. Test clips of
    a video that also gave training clips are told apart. Without it every clip is a video of its own."""
    files: list[FileNames] = [FileNames(pattern=habit.pattern, id=habit.id) for habit in NAMED_BY_ID]
    """How copies of the data set name their files, the most trusted way first. Without it files are named by id."""
    protocol: Protocol = Protocol()
    """Settings that hold for this data set unless others are given."""
    published: dict[str, dict[Modality, Annotated[list[float], Field(min_length=1, max_length=2)]]] = {}
    """Published figures by method and modality: [Mean Accuracy, Average Forgetting] in percent, or the first only."""
    released: Released = Released()
    """What is known of features that were published for this data set."""

    def habits(self) -> tuple[NamingHabit, ...]:
        """`files`, for `locate_videos`."""
        return tuple(NamingHabit(habit.pattern, habit.id) for habit in self.files)


def read_description(path: Path) -> tuple[Description, dict[str, Any]]:
    """A data set's TOML file, checked, and its plain content.

    Raises:
        InputError: no such file, not TOML, an entry is missing, unknown, or of a wrong type; naming file and entry.
    """
    try:
        content = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{path} is not TOML: it is nested too deeply") from None
    try:
        return Description.model_validate(content), content
    except ValidationError as error:
        raise InputError(f"{path}{_in_words(error.errors()[0])}") from None


def _in_words(error: ErrorDetails) -> str:
    """The first thing that is wrong, to be put behind the file's name."""
    *table, entry = error["loc"] or ("",)
    if error["type"] == "missing":
        return f" has no entry '{_dotted(error['loc'])}'"
    if error["type"] == "extra_forbidden":
        where = f" in [{_dotted(table)}]" if table else ""
        return f": {unknown(f'entry{where}', str(entry), _entries(table))}"
    if error["type"] == "literal_error":  # the key of a table, such as epochs.METHOD.MODALITY
        return f": {unknown(f'modality in [{_dotted(table[:-1])}]', str(error['input']), get_args(Modality))}"
    message = error["msg"].removeprefix("Value error, ")
    given = repr(error["input"])
    return f": {_dotted(error['loc'])}: {message} (given {given if len(given) <= SHOWN else given[:SHOWN] + '...'})"


def _dotted(place: Sequence[str | int]) -> str:
    return ".".join(map(str, place))


def _entries(table: Sequence[str | int]) -> Iterable[str]:
    """The names that an entry of a table may have."""
    tables: Mapping[str | int, type[_Table]] = {"files": FileNames, "released": Released, "protocol": Setting}
    return (tables[table[0]] if table else Description).model_fields
