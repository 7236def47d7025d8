from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from avcil.cache import FeatureCache
from avcil.errors import InputError
from avcil.incremental.data.batch import Batch
from avcil.predict.attention import AttentionMaps, _maps, attention_maps, moved
from avcil.predict.recogniser import load
from avcil.tests.predict.conftest import Taught
from safetensors.torch import load_file


def by_formula(run: Path, task: int, features: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. 2 and 3 in double precision, in the mean over channels."""
    weights = {
        name: tensor.double() for name, tensor in load_file(run / f"weights/task-{task:02d}.safetensors").items()
    }
    visual, audio = features.visual.double(), features.audio.double()
    gate = torch.tanh(weights["heads.audio_attention.weight"] @ audio + weights["heads.audio_attention.bias"])
    projected = torch.tanh(visual @ weights["heads.visual_attention.weight"].T + weights["heads.visual_attention.bias"])
    spatial = torch.softmax(projected * gate, dim=1)  # (L, S, D)
    temporal = torch.softmax((spatial * projected).sum(dim=1) * gate, dim=0)  # (L, D)
    return spatial.mean(dim=2), temporal.mean(dim=1)


@pytest.mark.parametrize("task", [1, 3])
def test_maps_are_those_of_the_formulas(task: int, taught: Taught):
    cache = FeatureCache(taught.cache)
    clips = cache.ids[:2]
    found = attention_maps(load(taught.av_cil, task=task, device="cpu").trained, cache, clips)
    for clip, maps in zip(clips, found, strict=True):
        spatial, temporal = by_formula(taught.av_cil, task, cache[clip])
        assert maps.spatial.shape == (8, 49)
        torch.testing.assert_close(maps.spatial.double(), spatial, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(maps.temporal.double(), temporal, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(maps.spatial.sum(dim=1), torch.ones(8))
        torch.testing.assert_close(maps.temporal.sum(), torch.tensor(1.0))
        assert maps.grid == (7, 7)


def test_a_recogniser_finds_the_clip_in_the_cache_or_encodes_its_file(taught: Taught):
    recogniser = load(taught.av_cil, task=2, device="cpu")
    clip = FeatureCache(taught.cache).ids[3]
    cached = recogniser.attention(clip)
    assert torch.equal(
        cached.spatial, attention_maps(recogniser.trained, FeatureCache(taught.cache), [clip])[0].spatial
    )
    encoded = recogniser.attention(video=taught.video(clip))
    torch.testing.assert_close(encoded.spatial, cached.spatial, rtol=2e-3, atol=1e-5)
    assert torch.equal(recogniser.attention("another", video=taught.video(clip)).temporal, encoded.temporal)


def test_a_clip_that_is_not_there(taught: Taught, tmp_path: Path):
    recogniser = load(taught.av_cil, device="cpu")
    clip = FeatureCache(taught.cache).ids[0]
    with pytest.raises(InputError, match=rf"holds no clip '{clip}x' \(nearest: '{clip}'\): give --video"):
        recogniser.attention(f"{clip}x")
    with pytest.raises(InputError, match="no clip: give its id in the cache, or a video file"):
        recogniser.attention()
    with pytest.raises(InputError, match=r"nothing\.mp4: no such file"):
        recogniser.attention(video=tmp_path / "nothing.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"broken\.mp4: cannot be decoded: "):
        recogniser.attention(video=tmp_path / "broken.mp4")
    with pytest.raises(InputError, match="is not a feature cache"):
        recogniser.attention(clip, cache=tmp_path, video=taught.video(clip))


def test_a_cache_that_moved(taught: Taught, tmp_path: Path):
    recogniser = load(taught.av_cil, device="cpu")
    run = recogniser.trained.finished
    settings = {**run.content["run"], "cache": str(tmp_path / "gone")}
    recogniser.trained = replace(recogniser.trained, finished=replace(run, content={**run.content, "run": settings}))
    clip = FeatureCache(taught.cache).ids[0]
    with pytest.raises(InputError, match=r"gone.*: give --cache where it lies now, or --video to encode a file$"):
        recogniser.attention(clip)
    there = recogniser.attention(clip, cache=taught.cache)
    encoded = recogniser.attention(clip, video=taught.video(clip))
    torch.testing.assert_close(encoded.spatial, there.spatial, rtol=2e-3, atol=1e-5)


def test_features_of_another_kind_are_refused(taught: Taught):
    recogniser = load(taught.av_cil, device="cpu")
    run = recogniser.trained.finished
    facts = {**run.content["provenance"]["cache_made_by"], "storage": "float32"}
    provenance = {**run.content["provenance"], "cache_fingerprint": "other", "cache_made_by": facts}
    other = replace(run, content={**run.content, "provenance": provenance})
    recogniser.trained = replace(recogniser.trained, finished=other)
    with pytest.raises(InputError, match=r"were made in another way than those that .* learnt from: storage"):
        recogniser.attention(FeatureCache(taught.cache).ids[0])


def test_methods_without_attention_are_refused(taught: Taught):
    with pytest.raises(InputError, match=r"has no attention: method 'ridge' learns none$"):
        load(taught.ridge, device="cpu").attention("any")
    recogniser = load(taught.av_cil, device="cpu")
    audio = replace(recogniser.trained.config, modality="audio")
    recogniser.trained = replace(recogniser.trained, config=audio)
    with pytest.raises(InputError, match="has no attention: it learnt from modality 'audio' alone"):
        recogniser.attention("any")


def test_a_network_of_ones_own_without_attention():
    method: Any = SimpleNamespace(name="mine", heads=torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="method 'mine' has no audio-guided attention"):
        _maps(method, Batch(torch.zeros(1), torch.zeros(1), torch.zeros(1, 2)))


def test_tokens_that_are_no_square():
    with pytest.raises(InputError, match="12 tokens a time slice are no square grid"):
        _ = AttentionMaps(torch.full((2, 12), 1 / 12), torch.full((2,), 0.5)).grid


def test_what_has_moved():
    """In the first slice a quarter of the attention, in the second nothing."""
    before = AttentionMaps(torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]]), torch.tensor([0.5, 0.5]))
    after = AttentionMaps(torch.tensor([[0.25, 0.5, 0.125, 0.125], [0.1, 0.2, 0.3, 0.4]]), torch.tensor([0.9, 0.1]))
    assert moved(before, after) == pytest.approx(0.125)
    assert moved(before, before) == 0
