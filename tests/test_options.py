"""Options, help and messages made from a configuration's fields."""

from dataclasses import MISSING
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from avcil.errors import InputError, OneLineCommand
from avcil.options import File, Folder, Option, checked, options_of, settings_of
from click.testing import CliRunner
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Clips:
    manifest: File | None = None
    """Table of clips; see `memory_size` and `nothing`."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config(Clips):
    cache: Folder
    """Folder of the features,
    made before."""
    data: Annotated[str, Option(metavar="NAME|FILE", type=click.Path(dir_okay=False), known=lambda: ("ave", "own"))] = (
        "ave"
    )
    """What is learnt."""
    method: str | None = None
    """How."""
    memory_size: Annotated[int, Field(ge=0)] = 340
    """Clips in the memory."""
    rate: Annotated[float, Field(gt=0)] | None = None
    """Learning rate."""
    precision: Literal["auto", Precision] = "auto"
    """Type of the products."""
    store: Precision | None = None
    """Type of what is kept."""
    seed: Annotated[int, Option(metavar="[SEED]", alone=0)] | None = None
    """Seed of random weights."""
    graphs: bool = False
    """Replay graphs."""
    plugins: tuple[str, ...] = ()
    """Files with methods."""
    place: Path = Path("here")
    """Anywhere."""


def given(*words: str, kind: Any = Config, **how: Any) -> dict[str, Any]:
    """What a command gets for these words."""
    got: dict[str, Any] = {}

    @click.command(cls=OneLineCommand)
    @options_of(kind, **how)
    def command(**options: Any) -> None:
        got.update(options)

    result = CliRunner().invoke(command, list(words))
    if result.exit_code:
        raise InputError(result.stderr)
    return got


def test_fields_are_read_with_type_default_and_meaning():
    settings = {setting.name: setting for setting in settings_of(Config)}
    assert [(name, setting.kind) for name, setting in settings.items()] == [
        *(("manifest", Path), ("cache", Path), ("data", str), ("method", str), ("memory_size", int), ("rate", float)),
        *(("precision", str), ("store", str), ("seed", int), ("graphs", bool), ("plugins", str), ("place", Path)),
    ]
    assert settings["manifest"].meaning == "Table of clips; see `memory_size` and `nothing`."  # inherited
    assert settings["cache"].meaning == "Folder of the features, made before."
    assert settings["cache"].default is MISSING
    assert [name for name, setting in settings.items() if setting.required] == ["cache"]
    assert settings["memory_size"].default == 340
    assert settings["precision"].choices == ("auto", "float32", "bfloat16")
    assert settings["store"].choices == ("float32", "bfloat16")
    assert [name for name, setting in settings.items() if setting.several] == ["plugins"]
    assert settings["memory_size"].option == "--memory-size"


def test_what_was_not_given_is_none_whatever_the_default():
    assert given("--cache", "x") == {setting.name: None for setting in settings_of(Config)} | {"cache": Path("x")}


def test_what_was_given_has_its_type():
    words = ["--cache", "x", "--memory-size", "3", "--rate", "1e-3", "--graphs", "--precision", "auto", "--seed"]
    words += ["--plugins", "a.py", "--plugins", "b.py", "--data", "mine", "--place", "there", "--manifest", "m.csv"]
    got = given(*words)
    assert got["memory_size"] == 3
    assert (got["rate"], got["graphs"], got["precision"], got["seed"]) == (1e-3, True, "auto", 0)
    assert (got["plugins"], got["data"], got["place"]) == (("a.py", "b.py"), "mine", Path("there"))
    config = checked(Config, got)
    assert config.plugins == ("a.py", "b.py")
    assert config.method is None
    assert given("--cache", "x", "--seed", "7")["seed"] == 7


def test_help_says_meaning_metavar_names_and_default():
    @click.command()
    @options_of(Config)
    def command(**options: Any) -> None:
        """Nothing."""

    said = " ".join(CliRunner().invoke(command, ["--help"], terminal_width=300).output.split())
    for words in (
        "--manifest FILE Table of clips; see --memory-size and `nothing`.",
        "--cache DIRECTORY Folder of the features, made before. [required]",
        "--data NAME|FILE What is learnt. Known: ave, own. [default: ave]",
        "--method TEXT How. --memory-size INTEGER Clips in the memory. [default: 340]",
        "--rate FLOAT Learning rate. --precision",
        "--precision auto|float32|bfloat16 Type of the products. [default: auto]",
        "--store float32|bfloat16 Type of what is kept.",
        "--seed [SEED] Seed of random weights.",
        "--graphs Replay graphs. --plugins TEXT Files with methods. --place PATH Anywhere. [default: here]",
    ):
        assert words in said


def test_some_fields_in_an_order_of_ones_own_and_none_insisted_on():
    assert list(given(names=("rate", "cache"), required=False)) == ["rate", "cache"]
    with pytest.raises(InputError, match="Missing option '--cache'"):
        given(names=("rate", "cache"))
    with pytest.raises(KeyError):
        options_of(Config, names=("cahce",))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--memory-size", "many"], "'many' is not a valid integer"),
        (["--rate", "fast"], "'fast' is not a valid float"),
        (["--manifest", "/"], "File '/' is a directory"),
        (["--memroy-size", "3"], "No such option"),
    ],
)
def test_words_of_a_wrong_type_are_refused_at_once(words, message):
    with pytest.raises(InputError, match=message):
        given("--cache", "x", *words)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cache": None}, "--cache is missing: Folder of the features, made before."),
        ({"cahce": "x"}, "unknown setting 'cahce': did you mean 'cache'?"),
        ({"precision": "float23"}, "unknown value for --precision 'float23': did you mean 'float32'?"),
        ({"store": "float23"}, "unknown value for --store 'float23': did you mean 'float32'?"),
        ({"memory_size": -1}, "--memory-size: Input should be greater than or equal to 0 (given -1)"),
        ({"rate": 0}, "--rate: Input should be greater than 0 (given 0)"),
    ],
)
def test_bad_values_are_one_line(values, message):
    with pytest.raises(InputError) as error:
        checked(Config, {"cache": Path("x"), **values})
    assert str(error.value) == message


@pytest.mark.parametrize("annotation", [list[int], int | float, Literal[1, 2], int | Literal["auto"], dict[str, int]])
def test_a_type_of_which_no_option_can_be_made_is_refused(annotation):
    odd: Any = dataclass(type("Odd", (), {"__annotations__": {"x": annotation}}))
    with pytest.raises(TypeError, match="no option can be made of x"):
        settings_of(odd)
