"""Bad input is told in one line and ends with exit status 2; no line does anything to a terminal."""

import ast
import os
import unicodedata
from pathlib import Path

import click
import pytest
from avcil.errors import InputError, OneLineCommand, hidden_in, say, shown, unknown
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[1]


def test_unknown_name_offers_the_nearest_valid_one():
    assert str(unknown("method", "avcil", ["av-cil", "lwf"])) == "unknown method 'avcil': did you mean 'av-cil'?"


def test_unknown_name_far_from_all_lists_them():
    assert str(unknown("method", "zzz", ["lwf", "av-cil"])) == "unknown method 'zzz': valid: av-cil, lwf"


@pytest.mark.parametrize(("error", "status"), [(InputError("no such folder: x"), 2), (RuntimeError("bug"), 1)])
def test_only_input_errors_become_one_line(error: Exception, status: int):
    @click.command(cls=OneLineCommand)
    def command() -> None:
        raise error

    result = CliRunner().invoke(command)
    assert result.exit_code == status
    assert (result.stderr == "error: no such folder: x\n") == (status == 2)


@pytest.mark.parametrize("name", ["x" * 5000, "file/below", "\x1b[2J"])
def test_what_the_system_says_of_a_file_is_one_line(tmp_path: Path, name: str):
    (tmp_path / "file").touch()
    path = tmp_path / name

    @click.command(cls=OneLineCommand)
    def command() -> None:
        path.read_bytes()

    result = CliRunner().invoke(command)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {shown(path)}: ")
    assert result.stderr.count("\n") == 1


def test_an_error_of_the_system_that_names_no_file_is_a_bug():
    @click.command(cls=OneLineCommand)
    def command() -> None:
        raise OSError(5, "Input/output error")

    assert isinstance(CliRunner().invoke(command).exception, OSError)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),  # an OSC sequence: the terminal's title
        ("a\tb\nc\x7f\x9b2J", "a\\u0009b\\u000ac\\u007f\\u009b2J"),
        ("gpj\u202e4pm.exe", "gpj\\u202e4pm.exe"),
        ("\u2066a\u2069\u200e", "\\u2066a\\u2069\\u200e"),
        ("d\u200bo\u00adg\ufeff\u3164", "d\\u200bo\\u00adg\\ufeff\\u3164"),
        ("a\u2028b", "a\\u2028b"),
        (os.fsdecode(b"v\xff.mp4"), "v\\udcff.mp4"),
        ("a\U000e0041", "a\\U000e0041"),
        ("do\u200dg \u200cmi\u200c", "do\\u200dg \\u200cmi\\u200c"),
        ("क्\u200dष", "क्\u200dष"),  # spelling: a half letter of Hindi
        ("\U0001f469\u200d\U0001f692 ❤\ufe0f", "\U0001f469\u200d\U0001f692 ❤\ufe0f"),  # a firefighter, a red heart
        ("[/red] Ünd, 日本 :dog:", "[/red] Ünd, 日本 :dog:"),
    ],
)
def test_what_a_terminal_would_act_on_or_hide_is_shown_by_its_number(text: str, line: str):
    assert shown(text) == line
    hidden = hidden_in(text)
    assert (hidden is None) == (text == line)
    assert hidden is None or hidden in line


def test_hidden_characters_are_named_one_by_one():
    assert hidden_in("ab\x1b\x07") == "\\u001b"
    assert hidden_in("\U000e0041\x1b") == "\\U000e0041"


@given(st.text(st.characters(codec="utf-8")))
def test_nothing_that_is_shown_moves_the_cursor_or_turns_the_writing(text: str):
    line = shown(text)
    assert not {unicodedata.category(character) for character in line} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(character) for character in line} & {"RLO", "LRO", "RLE", "LRE", "PDF"}
    assert shown(line) == line


def test_an_error_is_one_line_that_does_nothing_wherever_it_is_shown():
    assert str(InputError("no folder  a\x1b[2J:\n   make\r\nit\n")) == "no folder  a\\u001b[2J: make it"


@pytest.mark.parametrize("room", ["cache", "demo", "extract", "incremental", "manifests", "predict"])
def test_no_line_goes_to_a_terminal_as_it_is(room: str):
    """Lines are printed by `say`; a console gets plain Text, tables made of it, or words of our own."""
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            called, first = ast.unparse(node.func), node.args[0]
            where, what = f"{path} line {node.lineno}", ast.unparse(first)
            assert called != "click.echo" or "json.dumps" in what, where
            plain = what.startswith(("Text(", "results_table(")) or what in ("table", "grid")
            assert not called.endswith("console.print") or plain or isinstance(first, ast.Constant), where


def test_errors_and_lines_are_printed_as_shown():
    @click.command(cls=OneLineCommand)
    @click.argument("word")
    def command(word: str) -> None:
        say(f"cache: {word}")
        raise InputError(f"no folder {word}")

    result = CliRunner().invoke(command, ["a\x1b[2J\n"])
    assert result.stdout == "cache: a\\u001b[2J\\u000a\n"
    assert result.stderr == "error: no folder a\\u001b[2J\n"
    assert "\x1b" not in CliRunner().invoke(command, ["--\x1b[2J"]).stderr
