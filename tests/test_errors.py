"""Bad input is told in one line and ends with exit status 2."""

import click
import pytest
from avcil.errors import InputError, OneLineCommand, unknown
from click.testing import CliRunner


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
