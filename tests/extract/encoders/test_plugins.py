"""Encoders of the user's own: the examples run on real clips; every mistake is one line, before a cache is there."""

import hashlib
import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avcil.cache import FeatureCache, scan
from avcil.errors import InputError
from avcil.extract import examples
from avcil.extract.cli import main
from avcil.extract.encoders import clip_tokens, load_audio_encoder, load_visual_encoder, plugins
from avcil.tests.extract.conftest import write_clip
from click.testing import CliRunner

EXAMPLES = Path(examples.__file__).parent
SOUND = """
import torch
from avcil.extract.encoders import FrameEncoder, SoundEncoder, VisualPreparation, WaveformPreparation

class Mine(SoundEncoder):
    name = "mine"
    preparation = WaveformPreparation(sample_rate=1000, seconds=0.5)

    def load(self, source):
        return torch.nn.Linear(500, 3)

    def encode(self, model, waveform):
        return model(waveform)
"""


def plugin(tmp_path, *changes):
    text = SOUND
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "mine.py"
    path.write_text(text)
    return path


def clip_checkpoint(folder):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = CLIPVisionConfig(image_size=224, patch_size=56, num_attention_heads=2, **sizes)
    CLIPVisionModel(config).save_pretrained(folder)
    return folder


def test_both_examples_make_a_cache_that_says_what_made_it(tmp_path):
    (tmp_path / "videos").mkdir()
    write_clip(tmp_path / "videos" / "a.mp4")
    (tmp_path / "list.csv").write_text("video_id,label,split\na,x,train\n")
    checkpoint = clip_checkpoint(tmp_path / "clip")
    words = [
        *("run", "--manifest", tmp_path / "list.csv", "--videos", tmp_path / "videos", "--cache", tmp_path / "cache"),
        *("--plugin", EXAMPLES / "frame_encoder.py", "--plugin", EXAMPLES / "sound_encoder.py"),
        *("--video-encoder", f"clip-frames:{checkpoint}", "--audio-encoder", "log-spectrum", "--device", "cpu"),
    ]
    done = CliRunner().invoke(main, [*map(str, words), "--store", "float32", "--precision", "float32"])
    assert done.exit_code == 0, done.output
    cache = FeatureCache(tmp_path / "cache")
    assert cache.visual_shape == (8, 16, 16)
    assert cache.audio_shape == (64,)
    description = scan(tmp_path / "cache").description
    facts = description.fingerprint.facts
    content = (EXAMPLES / "frame_encoder.py").read_bytes()
    assert facts["visual_encoder"]["plugin_sha256"] == hashlib.sha256(content).hexdigest()
    assert len(facts["visual_encoder"]["weights_sha256"]) == 64
    assert not description.fingerprint.random_weights
    assert description.notes["choices"]["video_encoder"] == f"clip-frames:{checkpoint.absolute()}"
    assert description.notes["choices"]["plugin"][0] == str(EXAMPLES / "frame_encoder.py")


def test_features_are_what_the_class_computes_of_prepared_clips(tmp_path):
    path = plugin(tmp_path, ("return torch.nn.Linear(500, 3)", "torch.manual_seed(4); return torch.nn.Linear(500, 3)"))
    encoder = load_audio_encoder("mine", plugins=[path])
    waveform = torch.rand(5, 500)
    torch.manual_seed(4)
    assert torch.equal(encoder.encode(waveform), torch.nn.Linear(500, 3)(waveform).detach())
    assert encoder.feature_shape == (3,)


def test_pixels_are_rescaled_and_normalised_as_the_preparation_says(tmp_path):
    path = tmp_path / "seen.py"
    path.write_text(
        "import torch\nfrom avcil.extract.encoders import FrameEncoder, VisualPreparation, clip_tokens\n"
        "class Seen(FrameEncoder):\n    name = 'seen'\n"
        "    preparation = VisualPreparation(2, 8, 8, mean=(0.0, 0.5, 1.0), std=(1.0, 2.0, 4.0))\n"
        "    def load(self, source): return torch.nn.Identity()\n"
        "    def encode(self, model, pixels): return clip_tokens(lambda images: images.mean(dim=(2, 3)), pixels)\n"
    )
    encoder = load_visual_encoder("seen", plugins=[path])
    assert encoder.feature_shape == (2, 1, 3)
    pixels = torch.full((1, 2, 3, 8, 8), 255, dtype=torch.uint8)
    expected = torch.tensor([1.0, 0.25, 0.0]).expand(1, 2, 1, 3)
    torch.testing.assert_close(encoder.encode(pixels), expected)


def test_clip_tokens_keeps_frames_and_clips_apart():
    pixels = torch.arange(2 * 3 * 3).float().view(2, 3, 3, 1, 1)
    tokens = clip_tokens(lambda images: images.flatten(1), pixels, frames_at_once=2)
    assert torch.equal(tokens, pixels.view(2, 3, 1, 3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("return model(waveform)", "return model(waveform)[0]")], "encode gave (3,) for 2 clips: (B, D) is wanted"),
        (
            [("return model(waveform)", "return model(waveform).long()")],
            "floating-point tensor (B, D), not torch.int64",
        ),
        ([("return model(waveform)", "return None")], "floating-point tensor (B, D), not NoneType"),
        ([("return model(waveform)", "return model(waveform) / 0")], "encode gave NaN or infinity"),
        ([("return model(waveform)", "return model(waveform[:, :9])")], "encoder 'mine', line 13: RuntimeError"),
        ([('name = "mine"', 'name = "my encoder"')], "class Mine needs a name such as 'my-encoder', not 'my encoder'"),
        ([('    name = "mine"\n', "")], "class Mine has no name"),
        ([("(SoundEncoder)", "")], "defines no subclass of avcil.extract.encoders.FrameEncoder or SoundEncoder"),
        ([("def encode", "def encod")], "the class has to define encode"),
        ([("class Mine(SoundEncoder)", "class Mine(FrameEncoder)")], "is no SoundEncoder"),
        ([("return torch.nn.Linear(500, 3)", "return open('/nowhere')")], "line 10: FileNotFoundError"),
        ([("return torch.nn.Linear(500, 3)", "return 3")], "load must give a torch.nn.Module, not int"),
        ([("seconds=0.5", "seconds=0")], "more than 0 and up to 600 seconds"),
        ([("WaveformPreparation(sample_rate=1000, seconds=0.5)", "(1000, 0.5)")], "must be a WaveformPreparation"),
        ([("import torch", "import torch oh")], "line 2: SyntaxError"),
    ],
)
def test_a_mistake_is_one_line_that_names_file_and_place(tmp_path, changes, words):
    with pytest.raises(InputError) as caught:
        load_audio_encoder("mine", plugins=[plugin(tmp_path, *changes)])
    assert words in str(caught.value)
    assert "mine.py" in str(caught.value)


def test_a_misspelt_name_is_told_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match="unknown encoder of your own 'mime': did you mean 'mine'"):
        load_audio_encoder("mime:weights", plugins=[plugin(tmp_path)])


def test_a_mistake_leaves_no_cache(tmp_path):
    write_clip(tmp_path / "a.mp4")
    (tmp_path / "list.csv").write_text("video_id,label,split\na,x,train\n")
    path = plugin(tmp_path, ("return model(waveform)", "return model(waveform)[0]"))
    words = ["run", "--manifest", tmp_path / "list.csv", "--videos", tmp_path, "--cache", tmp_path / "cache"]
    words += ["--plugin", path, "--audio-encoder", "mine", "--video-encoder", clip_checkpoint(tmp_path / "clip")]
    words += ["--plugin", EXAMPLES / "frame_encoder.py", "--video-encoder", f"clip-frames:{tmp_path / 'clip'}"]
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("error: --plugin")
    assert not (tmp_path / "cache").exists()


def test_random_weights_are_said_and_the_option_is_refused(tmp_path):
    path = plugin(tmp_path, ('name = "mine"', 'name = "mine"\n    random_weights = True'))
    encoder = load_audio_encoder("mine", plugins=[path])
    assert encoder.identity["random_weights"] is True
    assert "RANDOM" in encoder.title
    with pytest.raises(InputError, match="--random-weights is for the package's own encoders"):
        load_audio_encoder("mine", plugins=[path], random_weights=0)


def test_another_file_or_other_weights_are_another_identity(tmp_path):
    seeded = ("return torch.nn.Linear(500, 3)", "torch.manual_seed(4); return torch.nn.Linear(500, 3)")
    other = (seeded[0], seeded[1].replace("4", "5"))
    first, second = (
        load_audio_encoder("mine", plugins=[plugin(tmp_path, change)]).identity for change in (seeded, other)
    )
    assert first["plugin_sha256"] != second["plugin_sha256"]
    assert first["weights_sha256"] != second["weights_sha256"]
    assert json.loads(json.dumps(first)) == first


def test_an_installed_package_offers_encoders_by_entry_points(tmp_path, monkeypatch):
    plugin(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("mine", "mine:Mine", "avcil.encoders")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == "avcil.encoders" else [])
    assert load_audio_encoder("mine").feature_shape == (3,)
    bad = EntryPoint("mine", "mine:torch", "avcil.encoders")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [bad])
    with pytest.raises(InputError, match="entry point mine = mine:torch"):
        load_audio_encoder("mine")


def test_a_waveform_is_cut_or_filled():
    from avcil.extract.preparation.encoder_input import WaveformPreparation, prepare_sound

    short = np.array([1, 2, 3], np.float32)
    zeros, repeat = (WaveformPreparation(1000, 0.008, fill) for fill in ("zeros", "repeat"))
    assert prepare_sound(short, zeros).tolist() == [1, 2, 3, 0, 0, 0, 0, 0]
    assert prepare_sound(short, repeat).tolist() == [1, 2, 3, 1, 2, 3, 0, 0]
    assert prepare_sound(np.arange(9, dtype=np.float32), repeat).tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
