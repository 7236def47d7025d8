"""What a cache is told about how it was made."""

from types import SimpleNamespace
from typing import Any

from avcil.extract.assembly import fingerprint
from avcil.extract.decoding.frames import READING
from avcil.extract.preparation.recipes import recipe


def test_caches_made_before_frames_were_right_do_not_mix_with_those_made_since():
    encoder = SimpleNamespace(identity={"encoder": "tiny"})
    encoders: Any = SimpleNamespace(visual=encoder, audio=encoder)
    made = fingerprint(encoders, recipe("audiomae"), "float16")
    assert made.facts["reading"] == READING == 2
    before = type(made)({name: fact for name, fact in made.facts.items() if name != "reading"})
    assert made.differences(before) == ["reading: 2 here, nothing there"]
