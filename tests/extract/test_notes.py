import json
from pathlib import Path
from typing import Any

from avcil.extract.config import ExtractionConfig, ImportConfig
from avcil.extract.notes import LEFT_OUT, noted, recalled
from avcil.options import checked, settings_of


def test_choices_come_back_as_they_were_made_with_paths_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("encoder").mkdir()
    config = ExtractionConfig(
        videos=Path("videos"),
        manifest=Path("clips.csv"),
        video_encoder="encoder",
        random_weights=0,
        cache=Path("cache"),
        workers=3,
        limit=2,
        recipe="released",
    )
    notes = json.loads(json.dumps({"choices": noted(config, precision="float32", batch_size=2)}))
    choices = recalled(notes, ExtractionConfig)
    assert choices is not None
    assert not choices.keys() & LEFT_OUT
    again = checked(ExtractionConfig, choices)
    assert (again.videos, again.manifest) == (tmp_path / "videos", tmp_path / "clips.csv")
    assert (again.video_encoder, again.audio_encoder) == (str(tmp_path / "encoder"), config.audio_encoder)
    assert (again.precision, again.batch_size, again.recipe, again.random_weights) == ("float32", 2, "released", 0)
    assert recalled(notes, ImportConfig) is None


def test_a_data_set_is_a_file_only_where_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ave").mkdir()
    assert noted(ExtractionConfig(videos=tmp_path, dataset="ave"))["dataset"] == "ave"
    Path("mine.toml").touch()
    assert noted(ExtractionConfig(videos=tmp_path, dataset="mine.toml"))["dataset"] == str(tmp_path / "mine.toml")


def test_what_is_no_note_of_choices_is_passed_over():
    others: list[dict[str, Any]] = [{}, {"choices": None}, {"choices": {}}, {"choices": {"videos": "x", "no such": 1}}]
    assert [recalled(notes, ExtractionConfig) for notes in others] == [None] * 4


def test_what_is_left_out_are_choices():
    assert {setting.name for setting in settings_of(ExtractionConfig)} >= LEFT_OUT
