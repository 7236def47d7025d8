import json
from pathlib import Path

import pytest
from avcil.predict.cli import main
from avcil.tests.predict.conftest import Taught
from avcil.wording import RANDOM_WEIGHTS
from click.testing import CliRunner, Result


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_line_a_video_and_a_word_on_random_weights(taught: Taught):
    videos = sorted(taught.data.videos.iterdir())[:2]
    result = call(taught.av_cil, *videos, "--top", "2", "--device", "cpu")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == [str(video) for video in videos]
    assert all(len(line.split("  ")) == 3 for line in lines[:2])
    assert lines[2:] == [f"note: {RANDOM_WEIGHTS}"]


def test_a_folder_as_a_document_with_a_video_that_cannot_be_read(taught: Taught, tmp_path: Path):
    good = sorted(taught.data.videos.iterdir())[0]
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "good.mp4").write_bytes(good.read_bytes())
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    (tmp_path / "notes.txt").write_text("no video")
    result = call(taught.ridge, tmp_path, "--json", "--task", "2", "--top", "4", "--device", "cpu")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["method"], document["task"], document["random_encoder_weights"]) == ("ridge", 2, True)
    assert document["notes"] == ["numbers are scores of ridge, not probabilities", RANDOM_WEIGHTS]
    ((video),) = document["videos"]
    assert video["video"] == str(tmp_path / "below" / "good.mp4")
    assert [entry["probability"] for entry in video["classes"]] == [None] * 4
    scores = [entry["score"] for entry in video["classes"]]
    assert scores == sorted(scores, reverse=True)
    assert [entry["video"] for entry in document["unread"]] == [str(tmp_path / "broken.mp4")]
    assert result.stderr.startswith(f"{tmp_path / 'broken.mp4'}: cannot be decoded: ")


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_nothing_to_look_at(kind: str, taught: Taught, tmp_path: Path):
    result = call(taught.ridge, tmp_path / "nothing.mp4" if kind == "missing" else tmp_path)
    assert result.exit_code == 2
    words = {"missing": "no such file or folder", "empty": "no video file in this folder"}[kind]
    assert result.stderr.startswith("error: ")
    assert result.stderr.endswith(f"{words}\n")


def test_a_run_that_is_none(taught: Taught, tmp_path: Path):
    result = call(tmp_path, next(taught.data.videos.iterdir()))
    assert (result.exit_code, result.stderr) == (2, f"error: {tmp_path}: no finished run there\n")
