"""Command line options made from a configuration's own description: name, type, default, meaning.

A configuration is a frozen pydantic dataclass whose fields have a docstring each (`use_attribute_docstrings`). Its
class is the one place where a setting is described; options, help and error messages are made from it. What a type
cannot say, such as a metavar, stands beside it as an `Option` in `Annotated`.
"""

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from .errors import InputError, unknown

Config = TypeVar("Config")
Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class Option:
    """How a field looks as an option, where that differs from what its type says."""

    metavar: str | None = None
    """What stands for the value in the help text."""
    type: "click.ParamType[Any] | None" = None
    """By which the command line checks the word before the configuration does."""
    alone: Any = None
    """What the option means where it stands without a value; None: it needs one."""
    known: Callable[[], Iterable[str]] | None = None
    """Gives the names that are valid beside other values; the help text lists them."""


Folder = Annotated[Path, Option(type=FOLDER)]
File = Annotated[Path, Option(type=FILE)]

IN_WORDS = {
    **dict.fromkeys(("float_parsing", "float_type"), "has to be a number"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float"), "has to be a whole number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "has to be true or false"),
    "string_type": "has to be a text",
}
"""What is said of a value of another type, by pydantic's name of the mistake."""

TYPES: "Mapping[type, click.ParamType[Any]]" = {
    int: click.INT,
    float: click.FLOAT,
    str: click.STRING,
    Path: click.Path(path_type=Path),
}


@dataclass(frozen=True)
class Setting:
    """One field of a configuration."""

    name: str
    """As the field is called."""
    kind: type
    """bool, int, float, str or Path; of its items where it holds several."""
    default: Any
    """Its default; `dataclasses.MISSING` where it has to be given."""
    meaning: str
    """Its docstring, in one line."""
    choices: tuple[str, ...] = ()
    """The only valid words, if there are such."""
    several: bool = False
    """Whether it is a tuple; its option may then be repeated."""
    shown: Option = Option()
    """What its `Annotated` says about the option."""

    @property
    def option(self) -> str:
        """`--memory-size` for `memory_size`."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING


def settings_of(kind: type) -> tuple[Setting, ...]:
    """The fields of a pydantic dataclass, inherited ones included, in their order.

    Raises:
        TypeError: a field's type is none of bool, int, float, str, Path, a Literal of words, one of these or None, or
            a tuple of any number of these.
    """
    described = meanings(kind)
    found = getattr(kind, "__pydantic_fields__", {})
    return tuple(_setting(name, info, described[name]) for name, info in found.items())


def meanings(kind: type) -> dict[str, str]:
    """The docstring of each field of a pydantic dataclass, inherited ones included, in one line each."""
    described: dict[str, str] = {}
    for base in reversed(kind.__mro__):  # pydantic sees the docstrings of a class's own fields only
        for name, info in vars(base).get("__pydantic_fields__", {}).items():
            described[name] = " ".join((info.description or described.get(name, "")).split())
    return described


def _setting(name: str, info: FieldInfo, meaning: str) -> Setting:
    kinds, choices, shown, several = set[type](), list[Any](), Option(), False
    for part in (*_parts(info.annotation), *info.metadata):
        if isinstance(part, Option):
            shown = part
        elif isinstance(part, type):
            kinds.add(part)
        elif get_origin(part) is Literal:
            choices += get_args(part)
            kinds |= {type(choice) for choice in get_args(part)}
        elif get_origin(part) is tuple and get_args(part)[1:] == (...,):
            kinds.add(get_args(part)[0])
            several = True
    kinds.discard(types.NoneType)
    if len(kinds) != 1 or not kinds <= {bool, *TYPES} or (choices and kinds != {str}):
        raise TypeError(f"no option can be made of {name}: {info.annotation}")
    default = MISSING if info.is_required() else info.get_default(call_default_factory=True)
    return Setting(name, kinds.pop(), default, meaning, tuple(choices), several, shown)


def _parts(annotation: Any) -> Iterator[Any]:
    """A type's alternatives, and what `Annotated` says beside them."""
    if get_origin(annotation) in (Union, types.UnionType):
        for alternative in get_args(annotation):
            yield from _parts(alternative)
    elif get_origin(annotation) is Annotated:
        inner, *markers = get_args(annotation)
        yield from _parts(inner)
        yield from markers
    else:
        yield annotation


def options_of(
    kind: type, names: Iterable[str] | None = None, *, required: bool = True
) -> Callable[[Command], Command]:
    """A decorator that gives a click command one option for each field of a configuration.

    The command gets None for every option that was not given, also where the field has a default, so that it can
    tell what the user said from what nobody said; `checked` fills in the defaults.

    Args:
        kind: a pydantic dataclass.
        names: the fields wanted, in the order in which the help text is to show them; None for all.
        required: whether the command line insists on fields without a default, which may come from elsewhere.
    """
    settings = {setting.name: setting for setting in settings_of(kind)}
    chosen = [settings[name] for name in (settings if names is None else names)]

    def decorate(command: Command) -> Command:
        for setting in reversed(chosen):
            command = _option(setting, settings, required=required)(command)
        return command

    return decorate


def _option(setting: Setting, settings: Mapping[str, Setting], *, required: bool) -> Callable[[Command], Command]:
    shown = setting.shown
    if setting.kind is bool:
        return click.option(setting.option, is_flag=True, default=None, help=help_of(setting, settings))
    more: dict[str, Any] = {} if shown.alone is None else {"is_flag": False, "flag_value": shown.alone}
    if setting.several:
        more |= {"multiple": True, "callback": lambda context, option, values: values or None}
    return click.option(
        setting.option,
        type=shown.type or TYPES[setting.kind],
        metavar=shown.metavar or "|".join(setting.choices) or None,
        required=required and setting.required,
        help=help_of(setting, settings),
        **more,
    )


def help_of(setting: Setting, settings: Mapping[str, Setting]) -> str:
    """A setting's meaning as help text: other settings named as options, then known names and the default."""

    def as_option(match: re.Match[str]) -> str:
        return settings[match[1]].option if match[1] in settings else match[0]

    words = re.sub(r"`(\w+)`", as_option, setting.meaning)
    if setting.shown.known is not None:
        words += f" Known: {', '.join(setting.shown.known())}."
    if setting.default not in (MISSING, None, False, ()):
        words += f"  [default: {setting.default}]"
    return words


def checked(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """The configuration of these values, of which None means "not given".

    Raises:
        InputError: an unknown name, one that is missing, or a bad value, called as on the command line.
    """
    settings = {setting.name: setting for setting in settings_of(kind)}
    for name in values:
        if name not in settings:
            raise unknown("setting", name, settings)
    try:
        return TypeAdapter(kind).validate_python({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        setting = settings[str(first["loc"][0])]
        if first["type"] == "missing":
            raise InputError(f"{setting.option} is missing: {setting.meaning}") from None
        raise bad_value(kind, error, lambda name: settings[name].option) from None


def bad_value(kind: type, error: ValidationError, called: Callable[[str], str]) -> InputError:
    """The error for the first bad value of a configuration, with the nearest valid word where words are what is valid.

    `called` gives a field's name as the user knows it.
    """
    first = error.errors()[0]
    fields = getattr(kind, "__pydantic_fields__", {})
    name = next((part for part in map(str, first["loc"]) if part in fields), None)
    if name is None:
        return InputError(f"{kind.__name__}: {first['msg']} (given {first['input']!r})")
    parts = list(_parts(fields[name].annotation))
    choices = [choice for part in parts if get_origin(part) is Literal for choice in get_args(part)]
    if first["type"] == "literal_error":
        return unknown(f"value for {called(name)}", str(first["input"]), map(str, choices))
    words = IN_WORDS.get(first["type"], first["msg"])
    return InputError(f"{called(name)}: {words} (given {first['input']!r})")


def holds_several(kind: type, name: str) -> bool:
    """Whether a field of a configuration is a tuple, whatever its length."""
    return any(get_origin(part) is tuple for part in _parts(kind.__pydantic_fields__[name].annotation))  # type: ignore[attr-defined]
