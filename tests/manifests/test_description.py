"""The TOML file of a data set: every kind of mistake is one line that names file, entry and remedy."""

import re
from pathlib import Path

import pytest
from avcil.errors import InputError
from avcil.manifests import NamingHabit
from avcil.manifests.description import Description, FileNames, Protocol, Released, Setting, read_description

WHOLE = r"""
title = "Mine"
source = "my own videos"
licence = "mine"
source_video = '(?P<source>.+)_\d+'

[[files]]
pattern = '(?P<day>\d+)-(?P<number>\d+)'
id = "{day}_{number:0>3}"

[protocol]
classes_per_task = 5
learning_rate = 3e-4
model_choice = "last"
epochs = { av-cil = { audio-visual = 20 }, lwf = { audio = 3, visual = 4 } }
other_settings = { large = { classes_per_task = 9 } }

[released]
frame_rate = 12

[published]
av-cil = { audio-visual = [70.5, 8] }
lwf = { audio = [40.25] }
"""


def read(tmp_path: Path, text: str):
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    return read_description(tmp_path / "mine.toml")


def test_every_entry_is_read(tmp_path):
    described, content = read(tmp_path, WHOLE)
    assert (described.title, described.source, described.licence) == ("Mine", "my own videos", "mine")
    assert described.habits() == (NamingHabit(r"(?P<day>\d+)-(?P<number>\d+)", "{day}_{number:0>3}"),)
    assert described.habits()[0].id_of("20240131-7") == "20240131_007"
    assert described.released.frame_rate == 12
    assert content["protocol"]["learning_rate"] == 3e-4
    assert content["published"]["av-cil"]["audio-visual"] == [70.5, 8]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "Mine"', "", "has no entry 'title'"),
        ('title = "Mine"', "title = 3", ": title: Input should be a valid string (given 3)"),
        ("licence =", "license =", ": unknown entry 'license': did you mean 'licence'?"),
        ("[released]\nframe_rate", "[released]\nframerate", ": unknown entry in [released] 'framerate': did you mean"),
        ("frame_rate = 12", "frame_rate = 0", ": released.frame_rate: Input should be greater than or equal to 1"),
        ("frame_rate = 12", "frame_rate = 12.5", ": released.frame_rate: Input should be a valid integer"),
        ('id = "{day}', 'name = "x"\nid = "{day}', ": unknown entry in [files.0] 'name': valid: id, pattern"),
        ("pattern =", "patern =", " has no entry 'files.0.pattern'"),
        ("(?P<day>", "(?P<day", ": files.0.pattern: not a regular expression: "),
        ("{day}", "{month}", ": files.0: id names 'month', which is no group of pattern (day, number)"),
        ("{number:0>3}", "{number:03d}", ": files.0: id is not a format string: "),
        ("{number:0>3}", "{number:0>201}", ": files.0: id makes ids of more than 200 characters"),
        ("{number:0>3}", "{number:0>99999999999}", ": files.0: id makes ids of more than 200 characters"),
        ("(?P<source>", "(", ": source_video: has to have a group named 'source'"),
        ("(?P<source>", "((?P<source>", ": source_video: not a regular expression: "),
        ("classes_per_task = 5", 'classes_per_task = "5"', ": protocol.classes_per_task: Input should be a valid"),
        ("learning_rate = 3e-4", "learning_rate = [3e-4]", ": protocol.learning_rate: a setting is a number, a text"),
        (
            "{ audio-visual = 20 }",
            "{ audiovisual = 20 }",
            "[protocol.epochs.av-cil] 'audiovisual': did you mean 'audio-v",
        ),
        ("{ audio-visual = 20 }", "20", ": protocol.epochs.av-cil: Input should be a valid dict"),
        (
            "{ classes_per_task = 9 }",
            "{ classes = 9 }",
            " has no entry 'protocol.other_settings.large.classes_per_task'",
        ),
        ("[40.25]", "[]", ": published.lwf.audio: List should have at least 1 item"),
        ("[40.25]", '["40.25"]', ": published.lwf.audio.0: Input should be a valid number (given '40.25')"),
        ("[40.25]", "[1.0, 2.0, 3.0]", ": published.lwf.audio: List should have at most 2 items"),
        ("[published]", "[published", " is not TOML: "),
        ("[published]", f"deep = {'[' * 50_000}\n[published]", " is not TOML: it is nested too deeply"),
        ("[published]", "[[protocol]]\n[published]", " is not TOML: "),
    ],
)
def test_a_mistake_is_one_line(tmp_path, old, new, words):
    assert WHOLE.count(old) >= 1
    with pytest.raises(InputError) as error:
        read(tmp_path, WHOLE.replace(old, new, 1))
    message = str(error.value)
    assert message.startswith(str(tmp_path / "mine.toml"))
    assert words in message
    assert "\n" not in message


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"title = '\xff'")
    with pytest.raises(InputError, match=r"mine\.toml is not UTF-8 text"):
        read_description(tmp_path / "mine.toml")
    with pytest.raises(InputError, match="there is no file"):
        read_description(tmp_path / "other.toml")


def test_the_documentation_tells_every_entry_with_its_meaning():
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    for table in (Description, FileNames, Protocol, Setting, Released):
        for name, info in table.model_fields.items():
            assert re.search(rf"`(\w+\.)*{name}`", text), name
            assert info.description, name
