import json
import shutil
from pathlib import Path

import pytest
from avcil.cache import FeatureCache
from avcil.predict.attention_cli import main
from avcil.tests.predict.conftest import Taught
from avcil.wording import RANDOM_WEIGHTS
from click.testing import CliRunner, Result
from PIL import Image


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in (*words, "--device", "cpu")])


@pytest.fixture
def clip(taught: Taught) -> str:
    return FeatureCache(taught.cache).ids[0]


def test_a_clip_of_the_cache_over_its_frames(taught: Taught, clip: str, tmp_path: Path):
    out = tmp_path / "figure.png"
    result = call("--run", taught.av_cil, "--clip", clip, "--out", out, "--tasks", "3,1")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert result.stdout.splitlines() == [f"{out}: clip {clip}, av-cil after task 1, 3", f"note: {RANDOM_WEIGHTS}"]
    framed = Image.open(out).size
    again = call("--run", taught.av_cil, "--clip", clip, "--video", taught.video(clip), "--out", tmp_path / "b.png",
                 "--tasks", "1,3")  # fmt: skip
    assert again.exit_code == 0
    assert (tmp_path / "b.png").read_bytes() == out.read_bytes()
    assert framed[1] > framed[0] * 0.5


def test_a_video_that_is_in_no_cache(taught: Taught, clip: str, tmp_path: Path):
    out = tmp_path / "figure.svg"
    video = taught.video(clip)
    result = call("--run", taught.av_cil, "--clip", "new", "--video", video, "--out", out, "--tasks", "2")
    assert result.exit_code == 0, result.output
    assert result.stderr == f"{taught.av_cil}: clip new is in no cache, and {video} was encoded\n"
    assert "frame 15" in out.read_text()
    named = call("--run", taught.av_cil, "--video", video, "--out", tmp_path / "b.svg", "--tasks", "2")
    assert named.stdout.startswith(f"{tmp_path / 'b.svg'}: clip {video}, av-cil after task 2\n")
    assert named.stderr == ""


def test_maps_alone_where_there_is_no_file(taught: Taught, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "figure.svg"
    hidden = tmp_path / "hidden"
    taught.data.videos.rename(hidden)
    try:
        result = call("--run", taught.av_cil, "--clip", clip, "--out", out)
    finally:
        hidden.rename(taught.data.videos)
    assert result.exit_code == 0, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("maps alone, without frames: there is no directory ")
    assert line.endswith("; --video FILE says where the clip is")
    drawn = out.read_text()
    assert "frame 15" not in drawn and "after task 4" in drawn


def test_features_of_unknown_frames(taught: Taught, clip: str, tmp_path: Path):
    """As an import makes them: the maps alone, and a file is of no use."""
    run = tmp_path / "run"
    shutil.copytree(taught.av_cil, run)
    content = json.loads((run / "config.json").read_text())
    del content["provenance"]["cache_made_by"]["visual_encoder"]["processor"]
    (run / "config.json").write_text(json.dumps(content))
    words = f"{run} does not record which frames its features were made from"
    result = call("--run", run, "--clip", clip, "--out", tmp_path / "a.png", "--tasks", "1")
    assert (result.exit_code, result.stderr) == (0, f"maps alone, without frames: {words}\n")
    result = call("--run", run, "--clip", clip, "--video", taught.video(clip), "--out", tmp_path / "b.png")
    assert (result.exit_code, result.stderr) == (2, f"error: {words}: without --video the maps are drawn alone\n")
    assert not (tmp_path / "b.png").exists()


def test_two_runs_of_one_method_are_told_apart(taught: Taught, clip: str, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(taught.av_cil, run)
    content = json.loads((run / "config.json").read_text())
    content["run"]["settings"]["attention_distillation"] = "none"
    (run / "config.json").write_text(json.dumps(content))
    out = tmp_path / "two.svg"
    result = call("--run", taught.av_cil, "--run", run, "--clip", clip, "--out", out, "--tasks", "4")
    assert result.exit_code == 0, result.output
    for kind in ("vad", "none"):
        assert f"av-cil attention_distillation={kind} after task 4" in result.stdout
        assert f"av-cil attention_distillation={kind}" in out.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--clip", "CLIP", "--out", "figure.gif"], "figure.gif: a figure is written as .png, .pdf or .svg"),
        (["--clip", "CLIP", "--out", "none/figure.png"], "there is no folder "),
        (["--clip", "CLIP", "--out", "figure.png", "--tasks", "one"], "--tasks one: numbers of tasks are wanted"),
        (["--clip", "CLIP", "--out", "figure.png", "--tasks", "1,9"], "has tasks 1 to 4, and no task 9"),
        (["--clip", "nothing", "--out", "figure.png"], "holds no clip 'nothing'"),
        (["--out", "figure.png"], "no clip: give --clip, an id of the cache, or --video, a file"),
        (["--clip", "CLIP", "--video", "gone.mp4", "--out", "figure.png"], "gone.mp4: no such file"),
        (["--clip", "CLIP", "--out", "figure.png", "--run", "RIDGE"], "has no attention: method 'ridge' learns none"),
    ],
)
def test_refused(
    words: list[str], said: str, taught: Taught, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    given = {"CLIP": clip, "RIDGE": str(taught.ridge)}
    result = call("--run", taught.av_cil, *(given.get(word, word) for word in words))
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and said in result.stderr and result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib(taught: Taught, clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    result = call("--run", taught.av_cil, "--clip", clip, "--out", tmp_path / "figure.png")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: this needs matplotlib, which is not installed: pip install 'avcil[report]'\n",
    )
