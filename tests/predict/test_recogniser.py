import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from avcil.errors import InputError
from avcil.extract.config import ExtractionConfig
from avcil.extract.run import run as extract
from avcil.incremental import configure
from avcil.incremental import run as learn
from avcil.predict.encoding import encoding_of
from avcil.predict.recogniser import Recogniser, Unread, Verdict, load
from avcil.tests.predict.conftest import Taught
from rich.console import Console
from safetensors.torch import load_file


def saved_scores(run: Path, task: int) -> dict[str, torch.Tensor]:
    """The run's own scores of each test clip after a task."""
    with (run / "predictions.csv").open() as file:
        clips = [row["video_id"] for row in csv.DictReader(file) if row["after_task"] == str(task)]
    return dict(zip(clips, load_file(run / "scores.safetensors")[f"after_task_{task:02d}"], strict=True))


def scores_in_order(recogniser: Recogniser, verdict: Verdict) -> torch.Tensor:
    by_label = dict(zip(verdict.labels, verdict.scores, strict=True))
    return torch.tensor([by_label[label] for label in recogniser.classes])


@pytest.mark.parametrize("task", [2, 3])
@pytest.mark.parametrize("method", ["ridge", "av_cil"])
def test_a_test_clips_file_gets_the_scores_that_the_run_saved(method: str, task: int, taught: Taught):
    """From the video file on: decoded, prepared, encoded, rounded to float16 as in the cache."""
    run = getattr(taught, method)
    saved = dict(list(saved_scores(run, task).items())[:2])
    recogniser = load(run, task=task, device="cpu")
    for verdict, (clip, expected) in zip(
        recogniser.predict_all([taught.video(clip) for clip in saved]), saved.items(), strict=True
    ):
        assert isinstance(verdict, Verdict)
        torch.testing.assert_close(scores_in_order(recogniser, verdict), expected, rtol=2e-3, atol=2e-3)
        assert verdict.path == taught.video(clip)
        assert list(verdict.scores) == sorted(verdict.scores, reverse=True)
        assert verdict.label == recogniser.classes[int(expected.argmax())]
        if method == "av_cil":
            assert verdict.probabilities is not None
            expected_shares = torch.softmax(torch.tensor(verdict.scores), 0).tolist()
            assert verdict.probabilities == pytest.approx(expected_shares, abs=1e-6)
        else:
            assert verdict.probabilities is None


def test_a_line_names_the_best_classes():
    path = Path("clips/a.mp4")
    shares = Verdict(path, ("flute", "violin", "drum"), (3.0, 2.0, 1.0), (0.665, 0.245, 0.09))
    assert shares.line(2) == "clips/a.mp4  flute 0.67  violin 0.24"
    assert str(Verdict(path, ("flute",), (-0.5,), None)) == "clips/a.mp4  flute -0.50"


def test_a_file_that_is_no_video_is_told_and_the_others_are_answered(taught: Taught, tmp_path: Path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    clip = next(iter(saved_scores(taught.ridge, 3)))
    recogniser = load(taught.ridge, device="cpu")
    first, second = recogniser.predict_all([broken, taught.video(clip)])
    assert isinstance(first, Unread)
    assert first.path == broken
    assert first.words
    assert isinstance(second, Verdict)
    with pytest.raises(InputError, match=r"broken.mp4: cannot be decoded: "):
        recogniser.predict(broken)


@pytest.mark.parametrize("what", ["no such file", "a folder, not a video file"])
def test_no_file(what: str, taught: Taught, tmp_path: Path):
    path = tmp_path if "folder" in what else tmp_path / "nothing.mp4"
    with pytest.raises(InputError, match=f"{what}$"):
        load(taught.ridge).predict(path)


def copied(taught: Taught, tmp_path: Path, **changes: object) -> Path:
    """The run, with entries of its provenance changed."""
    run = tmp_path / "run"
    shutil.copytree(taught.ridge, run)
    content = json.loads((run / "config.json").read_text())
    content["provenance"] |= changes
    (run / "config.json").write_text(json.dumps(content))
    return run


def test_another_encoder_is_refused_with_what_differs(taught: Taught, tmp_path: Path):
    other = tmp_path / "other"
    shutil.copytree(taught.encoders[0], other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    clip = taught.video(next(iter(saved_scores(taught.ridge, 3))))
    with pytest.raises(InputError, match=r"cannot take their place: .*num_hidden_layers: 1 here, 4 there"):
        load(taught.ridge, visual=str(other), device="cpu").predict(clip)


def test_where_encoders_lay_is_noted_by_the_run_or_else_by_its_cache(taught: Taught, tmp_path: Path):
    clip = taught.video(next(iter(saved_scores(taught.ridge, 3))))
    expected = load(taught.ridge, device="cpu").predict(clip)
    older = copied(taught, tmp_path, cache_choices=None)
    assert load(older, device="cpu").predict(clip) == expected
    content = json.loads((older / "config.json").read_text())
    content["run"]["cache"] = str(tmp_path / "gone")
    (older / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"give --visual and --audio$"):
        load(older, device="cpu").predict(clip)
    video, audio = map(str, taught.encoders)
    assert load(older, visual=video, audio=audio, device="cpu").predict(clip) == expected


def test_encoders_that_have_moved(taught: Taught, tmp_path: Path):
    choices = {"video_encoder": str(tmp_path / "gone"), "audio_encoder": str(taught.encoders[1]), "videos": "."}
    run = copied(taught, tmp_path, cache_choices=choices)
    clip = taught.video(next(iter(saved_scores(taught.ridge, 3))))
    with pytest.raises(InputError, match=r"no such file or directory: .*gone.*; --visual and --audio say where$"):
        load(run, device="cpu").predict(clip)


def test_features_that_were_not_made_from_videos(taught: Taught, tmp_path: Path):
    run = copied(taught, tmp_path, cache_made_by={"origin": "released by somebody", "storage": "float32"})
    clip = taught.video(next(iter(saved_scores(taught.ridge, 3))))
    with pytest.raises(InputError, match=r"did not make \(released by somebody\)"):
        load(run, device="cpu").predict(clip)


ENCODERS = """
import torch
from avcil.extract.encoders import FrameEncoder, SoundEncoder, VisualPreparation, WaveformPreparation, clip_tokens

class Colours(FrameEncoder):
    name = "colours"
    preparation = VisualPreparation(2, 8, 8, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def load(self, source):
        return torch.nn.Identity()

    def encode(self, model, pixels):
        return clip_tokens(lambda images: images.mean(dim=(2, 3)), pixels)

class Loudness(SoundEncoder):
    name = "loudness"
    preparation = WaveformPreparation(sample_rate=1000, seconds=0.5)

    def load(self, source):
        return torch.nn.Identity()

    def encode(self, model, waveform):
        return waveform.view(len(waveform), 5, 100).norm(dim=2)
"""


def test_encoders_of_a_plugin_are_found_checked_and_named(
    taught: Taught, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    plugin = tmp_path / "mine.py"
    plugin.write_text(ENCODERS)
    config = ExtractionConfig(
        manifest=taught.data.manifest,
        videos=taught.data.videos,
        cache=tmp_path / "cache",
        plugin=(plugin,),
        video_encoder="colours",
        audio_encoder="loudness",
        device="cpu",
        precision="float32",
        workers=1,
    )
    extract(config, Console(quiet=True))
    given: dict[str, Any] = {
        "manifest": str(taught.data.manifest),
        "cache": str(tmp_path / "cache"),
        "classes_per_task": 12,
    }
    run = tmp_path / "run"
    learn(configure("ridge", **given, device="cpu"), run)
    clip, expected = next(iter(saved_scores(run, 1).items()))
    recogniser = load(run, device="cpu")
    scores = scores_in_order(recogniser, recogniser.predict(taught.video(clip)))
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)
    assert capsys.readouterr().err == f"the run {run} runs the plugin {plugin}\n"

    plugin.write_text(ENCODERS + "\nraise SystemExit('must not be run')\n")
    with pytest.raises(InputError, match=r"mine.py, which has changed since: give it with --encoder-plugin"):
        load(run, device="cpu").predict(taught.video(clip))
    plugin.unlink()
    with pytest.raises(InputError, match=r"mine.py, which is gone: give it with --encoder-plugin"):
        load(run, device="cpu").predict(taught.video(clip))
    moved = tmp_path / "moved.py"
    moved.write_text(ENCODERS)
    again = load(run, device="cpu", encoder_plugins=[moved])
    assert torch.equal(scores_in_order(again, again.predict(taught.video(clip))), scores)
    moved.write_text(ENCODERS + "# changed\n")
    with pytest.raises(InputError, match=r"cannot take their place: .*plugin_sha256"):
        load(run, device="cpu", encoder_plugins=[moved]).predict(taught.video(clip))


def test_a_run_of_pictures_alone_needs_no_sound(taught: Taught):
    run = load(taught.ridge).trained.finished
    assert encoding_of(run, device="cpu").preparation.missing_audio == "quarantine"
    content = {**run.content, "run": {**run.content["run"], "modality": "visual"}}
    assert encoding_of(replace(run, content=content), device="cpu").preparation.missing_audio == "silence"


def test_it_says_what_it_is(taught: Taught):
    random = ", learnt from features of RANDOM weights"
    told = repr(load(taught.ridge, task=1))
    assert told == f"<ridge (audio-visual) after task 1 of 4, 3 classes, from {taught.ridge}{random}>"
