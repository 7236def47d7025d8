"""Commands of `avcil-incr` called as a user types them."""

from pathlib import Path

from avcil.incremental.cli import main
from click.testing import CliRunner, Result


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def done(*words: str | Path) -> str:
    result = call(*words)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def mistake(*words: str | Path) -> str:
    result = call(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    return result.stderr.removeprefix("error: ").strip()
