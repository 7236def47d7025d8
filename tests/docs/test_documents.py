"""What the documents tell a reader to type exists: commands, their options, settings, make targets, scripts, files."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from avcil.docs import commands, pages
from avcil.incremental.config import RunConfig, names_of
from avcil.incremental.methods import all_methods
from avcil.incremental.results.measures import MEASURES
from avcil.incremental.results.metrics import FIGURES
from avcil.manifests import published_names

ROOT = commands.ROOT
DOCUMENTS = sorted(path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if path != commands.PAGE)
COMMANDS = {context.command_path: context for context in commands.contexts()}
PLUGINS = sorted((ROOT / "docs" / "examples").glob("*.py"))
METHODS = all_methods(PLUGINS)
SETTINGS = {*names_of(RunConfig), *(name for kind in METHODS.values() for name in names_of(kind.Settings))}
TOP = (*(name.partition(".")[2] for name, _ in pages.packages() if name.count(".") == 1), "tests", "benchmarks", "docs")
"""Folders of the repository by whose names a path in a document begins."""

PRIVATE_WORDS = r"\b(?:gone|goes?|going|went) on with\b|\bsittings?\b|\b(?:graphics )?cards?\b|\bchildren\b"
"""Words for which the field has others."""
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
PROGRAM = re.compile(r"^(?:\$ )?(?:\S*/)?(avcil(?:-\w+)?|make|python3?)(?= |$)(.*)")
PATH = re.compile(rf"^(?:{'|'.join(TOP)})/[\w./*-]*$")


def code_and_prose(text: str) -> tuple[list[str], str]:
    """The lines of all code blocks, fenced or indented, with continued lines put together; and the rest."""
    code, prose, fenced = [], [], False
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            code.append(line.strip())
        else:
            prose.append(line)
    return code, "\n".join(prose)


def spans_of(prose: str) -> Iterator[str]:
    """What stands between backquotes."""
    for span in SPAN.findall(prose):
        yield " ".join(span.split())


def check(line: str, *, whole: bool) -> None:
    """AssertionError where a line names a command, option, setting, target or script that does not exist.

    In a block a command has to be one that could be run as it stands (`whole`); in a sentence some of it may be
    missing, and values may be placeholders.
    """
    match = PROGRAM.match(line)
    if match is None:
        return
    program, words = match[1], shlex.split(match[2], comments=True)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert not [word for word in words if "=" not in word and word not in targets], line
        variables = re.findall(r"^(\w+) *\?=", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert not [word for word in words if "=" in word and word.partition("=")[0] not in variables], line
    elif program.startswith("python"):
        if words[:1] == ["-m"] and words[1].startswith("avcil."):
            check_command(f"python -m {words[1]}", words[2:], line, whole=whole)
        elif words and words[0].endswith(".py"):
            assert (ROOT / words[0]).is_file(), line
            if words[0].startswith("benchmarks/"):
                script = importlib.import_module(f"avcil.{words[0].removesuffix('.py').replace('/', '.')}").main
                parse(script, words[0], words[1:], None, line, whole=whole)
    else:
        check_command(program, words, line, whole=whole)


def check_command(typed: str, words: list[str], line: str, *, whole: bool) -> None:
    """The same for a program of the package and the words behind it."""
    while words and f"{typed} {words[0]}" in COMMANDS:
        typed, words = f"{typed} {words[0]}", words[1:]
    assert typed in COMMANDS, f"no such command: {line}"
    context = COMMANDS[typed]
    if isinstance(context.command, click.Group):
        assert not [word for word in words if not word.startswith("-")], f"no such command: {line}"
    values = parse(context.command, typed, words, context.parent, line, whole=whole)
    if whole:
        assert values.get("method") in (None, *METHODS), line
        assert values.get("dataset") in (None, *published_names()) or values["dataset"].endswith(".toml"), line
        assert all((ROOT / plugin).is_file() for plugin in values.get("plugins", ())), line
    for word in values.get("assignments", ()):
        assert word.partition("=")[0] in (*SETTINGS, "FIELD"), f"no such setting: {line}"


def parse(
    command: click.Command, name: str, words: list[str], parent: click.Context | None, line: str, *, whole: bool
) -> dict[str, Any]:
    """What click makes of the words; AssertionError where it would refuse them."""
    if any(word in ("-h", "--help", "--version") for word in words):
        return {}
    try:
        return command.make_context(name, list(words), parent, resilient_parsing=not whole).params
    except click.UsageError as error:
        wrong = error.param if isinstance(error, click.BadParameter) else None
        if wrong and isinstance(wrong.type, click.Path) and not isinstance(error, click.MissingParameter):
            return parse(command, name, words, parent, line, whole=False)  # the reader's files need not be here
        raise AssertionError(f"{line}: {error.format_message()}") from error


def all_options() -> set[str]:
    """Every option of every command and benchmark."""
    scripts = [
        importlib.import_module(f"avcil.benchmarks.{path.stem}")
        for path in (ROOT / "benchmarks").glob("*.py")
        if "@click.command" in path.read_text()
    ]
    known = [context.command for context in COMMANDS.values()] + [script.main for script in scripts]
    return {"--help", *(name for command in known for option in command.params for name in option.opts)}


OPTIONS = all_options()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_names_exists(path: Path):
    code, prose = code_and_prose(path.read_text(encoding="utf-8"))
    for line in code:
        check(line, whole=True)
    for span in spans_of(prose):
        check(span, whole=False)
        if re.match(r"--[a-z]", span) and path.name != "CHANGELOG.md":
            named = [word.partition("=")[0] for word in span.split() if word.startswith("--")]
            assert not set(named) - OPTIONS, f"no such option: {span}"
            settings = re.findall(r"--set ([a-z_]+)=", span)
            assert not set(settings) - SETTINGS, f"no such setting: {span}"
        if PATH.match(span):
            assert list(ROOT.glob(span)), f"no such file: {span}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_uses_the_fields_words(path: Path):
    found = re.findall(PRIVATE_WORDS, path.read_text(encoding="utf-8"), re.IGNORECASE)
    assert not found, f"say resume, session, GPU, worker process: {found}"


def test_code_is_found():
    text = (
        "see `make\ndemo`\n\n    make test  # why\n    avcil-incr run \\\n      --seeds 3\n\n```sh\nmake lint\n```\n`x`"
    )
    code, prose = code_and_prose(text)
    assert [line.split() for line in code] == [
        ["make", "test", "#", "why"],
        ["avcil-incr", "run", "--seeds", "3"],
        ["make", "lint"],
    ]
    assert list(spans_of(prose)) == ["make demo", "x"]


@pytest.mark.parametrize(
    "line",
    [
        "avcil-incr run --method av-cil --dataset ave --cache caches/ave --out runs/av-cil --seeds 3",
        ".venv/bin/python benchmarks/precision.py --seeds 10",
        "python -m avcil.demo --out build/demo",
        "make extract DATASET=ave VIDEOS=~/AVE",
        "pip install nothing-of-ours",
    ],
)
def test_what_exists_is_let_pass(line: str):
    check(line, whole=True)


@pytest.mark.parametrize(
    "line",
    [
        "avcil-incr runn --method av-cil",
        "avcil-incr run --methods av-cil",
        "avcil-incr run --method avcil",
        "avcil-incr run --method av-cil --dataset avee",
        "avcil-incr run --set lambda_instant=1",
        "avcil-extract run --dataset ave",  # --videos is missing
        "avcil-extract run --videos DIR --workers many",
        ".venv/bin/python benchmarks/precise.py",
        ".venv/bin/python benchmarks/precision.py --seed 10",
        "python -m avcil.demos --out build/demo",
        "make demos",
        "make run METHODS=av-cil",
    ],
)
def test_what_does_not_exist_is_told(line: str):
    with pytest.raises(AssertionError):
        check(line, whole=True)


def test_every_figure_is_defined_in_the_documents_as_in_the_code():
    told = (ROOT / "docs" / "methods.md").read_text()
    for one in FIGURES.values():
        assert f"| `{one.name}` | {one.better} | {one.meaning} |" in told


def test_every_measure_is_defined_in_the_documents_as_in_the_code():
    told = (ROOT / "docs" / "evidence.md").read_text()
    for one in MEASURES.values():
        assert f"| `{one.name}` | {'bytes' if one.unit == 'MiB' else one.unit} | {one.meaning} |" in told
