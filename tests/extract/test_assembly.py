"""What a cache is told about how it was made."""

from types import SimpleNamespace
from typing import Any

import torch
from avcil.extract.assembly import fingerprint, pace_of
from avcil.extract.config import ExtractionConfig
from avcil.extract.decoding.frames import READING
from avcil.extract.preparation.recipes import recipe


def test_caches_made_before_frames_were_right_do_not_mix_with_those_made_since():
    encoder = SimpleNamespace(identity={"encoder": "tiny"})
    encoders: Any = SimpleNamespace(visual=encoder, audio=encoder)
    made = fingerprint(encoders, recipe("audiomae"), "float16")
    assert made.facts["reading"] == READING == 2
    before = type(made)({name: fact for name, fact in made.facts.items() if name != "reading"})
    assert made.differences(before) == ["reading: 2 here, nothing there"]


def test_limits_of_decoding_are_the_users(tmp_path):
    config = ExtractionConfig(videos=tmp_path, clip_timeout=7.0, clip_memory=1.5)
    pace = pace_of(config, torch.device("cpu"))
    assert (pace.clip_timeout, pace.clip_memory) == (7.0, 1.5)
