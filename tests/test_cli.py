"""The one command `avcil`."""

import os
import subprocess
import sys

import click
import pytest
from avcil.cli import COMMANDS, main
from avcil.extract.cli import main as extract
from avcil.incremental.cli import main as incremental
from click.testing import CliRunner


def test_it_lists_its_commands_and_what_they_are():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    listed = result.stdout.split("Commands:")[1]
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "] == [*COMMANDS]


def test_stages_are_the_commands_of_their_own_scripts():
    context = click.Context(main)
    assert main.get_command(context, "extract") is extract
    assert main.get_command(context, "incr") is incremental
    assert main.get_command(context, "nothing") is None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_to_help(name: str):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: avcil {name} ") or result.stdout.startswith(f"Usage: main {name} ")


def test_a_mistake_within_a_command_is_one_line():
    result = CliRunner().invoke(main, ["incr", "table", "nowhere"])
    assert (result.exit_code, result.stderr) == (2, "error: nowhere: no finished run there\n")
    result = CliRunner().invoke(main, ["predikt"])
    assert result.exit_code == 2
    assert result.stderr == "error: unknown command 'predikt': did you mean 'predict'?\n"


def test_python_runs_it_as_a_module():
    done = subprocess.run([sys.executable, "-m", "avcil", "-h"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: python -m avcil ")


@pytest.mark.parametrize(
    ("words", "place", "expected"),
    [
        ("avcil pre", 1, ["predict"]),
        ("avcil incr eva", 2, ["evaluate"]),
        ("avcil predict run clip.mp4 --to", 4, ["--top"]),
    ],
)
def test_a_shell_completes_what_is_typed(words: str, place: int, expected: list[str]):
    program = "import sys; sys.argv = ['avcil']; from avcil.cli import main; main()"
    environment = os.environ | {"_AVCIL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert [line.partition(",")[2] for line in done.stdout.splitlines()] == expected


def test_the_list_of_stage_2_says_what_each_command_says() -> None:
    context = click.Context(incremental)
    for name, place in incremental.places.items():
        command = incremental.get_command(context, name)
        assert command is not None and command.name == name
        assert command.help is not None and place.help.removesuffix(".") in " ".join(command.help.split())
