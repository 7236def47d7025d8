"""Every option of stage 1 is a field of its configuration, described there and nowhere else."""

import re
from typing import get_args

import click
import pytest
from avcil.cache import STORAGE_TYPES
from avcil.extract.cli import main
from avcil.extract.config import ClipList, ExtractionConfig, ImportConfig, Storage
from avcil.manifests import published_names
from avcil.options import settings_of
from avcil.versions import versions
from click.testing import CliRunner


@pytest.mark.parametrize(
    ("command", "kind"),
    [("run", ExtractionConfig), ("plan", ExtractionConfig), ("import-released", ImportConfig)],
)
def test_options_are_the_fields_with_their_meaning(command, kind):
    options = {option.name: option for option in main.commands[command].params}
    settings = {setting.name: setting for setting in settings_of(kind)}
    assert list(options) == list(settings)
    for name, option in options.items():
        assert isinstance(option, click.Option)
        meaning = settings[name].meaning
        assert meaning.endswith(".")
        assert option.help is not None
        assert option.help.startswith(re.sub(r"`(\w+)`", lambda name: settings[name[1]].option, meaning))
        assert option.required is settings[name].required


@pytest.mark.parametrize("command", ["status", "export"])
def test_a_list_of_clips_is_chosen_in_the_same_way_everywhere(command):
    helps = {option.name: option.help for option in main.commands[command].params}
    for option in main.commands["run"].params[:3]:
        assert helps[option.name] == option.help


def test_help_lists_the_data_sets_that_there_are():
    [dataset, *_] = main.commands["run"].params
    assert dataset.help is not None
    assert dataset.help.endswith(f"Known: {', '.join(published_names())}.")


def test_storage_types_are_the_caches():
    assert sorted(get_args(Storage)) == sorted(STORAGE_TYPES)


def test_a_list_of_clips_may_be_left_open():
    assert ClipList() == ClipList(dataset=None, manifest=None, classes=None)


def test_recorded_libraries_have_distributions_of_that_name():
    from avcil.extract.assembly import LIBRARIES
    from avcil.extract.released.importing import LIBRARIES as OF_IMPORTS

    found = versions(set(LIBRARIES + OF_IMPORTS) - {"decord"})  # decord has no wheels for every processor
    assert "not installed" not in found.values()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--clip-timeout", "inf"),
        ("--clip-timeout", "nan"),
        ("--clip-timeout", "1e300"),
        ("--clip-timeout", "0"),
        ("--clip-memory", "inf"),
        ("--clip-memory", "0.1"),
        ("--random-weights", str(2**70)),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_absurd_numbers_are_one_line(command, option, value, tmp_path):
    result = CliRunner().invoke(main, [command, "--videos", str(tmp_path), option, value])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"error: {option}: ")
