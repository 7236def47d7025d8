"""From jobs to shards: the right features in the right rows, the same bits however the work is done."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from avcil.cache import CacheWriter, FeatureCache, Fingerprint
from avcil.errors import InputError
from avcil.extract.decoding.frames import decoders_for
from avcil.extract.pipeline import Encoders, Pace, extract
from avcil.extract.preparation.encoder_input import AudioPreparation, VisualPreparation
from avcil.extract.preparation.recipes import ClipPreparation, recipe
from avcil.extract.selection import shard_plans
from avcil.manifests import Clip

VISUAL = VisualPreparation(frames=2, shortest_edge=8, crop=8)
AUDIO = AudioPreparation(frames=4, bins=4)
PLAN = ClipPreparation.of(recipe("audiomae"), VISUAL, AUDIO)

# Clips are told by the number their file is named for; some take their time, some fail.
READER = """
import importlib.util, os, time
import numpy as np
from avcil.extract.decoding.faults import ClipError
from avcil.extract.preparation.encoder_input import PreparedClip

def read(path, preparation, decoder):
    number = int(path.stem)
    if "slow" in str(path):
        time.sleep(0.05 * (number % 3 == 0))
    if "faulty" in str(path):
        if number % 7 == 2:
            raise ClipError("cannot be decoded", f"clip {number} is bad")
        if number % 7 == 4:
            os._exit(1)
        if number % 7 == 5 and decoder == "pyav" and importlib.util.find_spec("decord"):
            os._exit(1)
    if "large" in str(path) and number == 2:
        raise MemoryError
    random = np.random.default_rng(number)
    return PreparedClip(random.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8),
                        random.normal(size=(4, 4)).astype(np.float32))
"""


@dataclass
class TinyVisual:
    """(B, 2, 3, 8, 8) uint8 -> (B, 2, 3, 4): a fixed random projection, so that order and content both tell."""

    sizes: list[int] = field(default_factory=list)
    title: str = "tiny"
    preparation: VisualPreparation = VISUAL
    feature_shape: tuple[int, int, int] = (2, 3, 4)
    identity: dict[str, Any] = field(default_factory=dict)

    def encode(self, pixels):
        assert pixels.dtype == torch.uint8
        self.sizes.append(len(pixels))
        weights = torch.randn(64 * 3, 12, generator=torch.Generator().manual_seed(1))
        return (pixels.flatten(2).float() / 255 @ weights).unflatten(2, (3, 4))


@dataclass
class TinyAudio:
    """(B, 4, 4) -> (B, 4)."""

    title: str = "tiny"
    preparation: AudioPreparation = AUDIO
    feature_shape: tuple[int] = (4,)
    identity: dict[str, Any] = field(default_factory=dict)

    def encode(self, spectrogram):
        return spectrogram.mean(1)


@pytest.fixture
def work(tmp_path, monkeypatch):
    """`work("cache", "kind", workers=..)` extracts 20 clips of a kind into a cache and returns its tally."""
    (tmp_path / "numbered_reader.py").write_text(READER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    def run(name, kind="plain", *, workers=1, batch_size=4, shard_size=8, clips=20, visual=None, retry=False, **more):
        listed = [Clip(str(i), "x", "train") for i in range(clips)]
        found = {clip.id: Path(f"{kind}/{clip.id}.mp4") for clip in listed}
        encoders = Encoders(visual or TinyVisual(), TinyAudio(), torch.device("cpu"))
        with CacheWriter(tmp_path / name, Fingerprint({"storage": "float32"})) as writer:
            quarantined = frozenset() if retry else frozenset(writer.quarantined)
            plans = shard_plans(listed, found, have=writer.have, quarantined=quarantined, shard_size=shard_size)
            return extract(
                plans,
                writer,
                encoders,
                PLAN,
                Pace(workers, batch_size, 30.0, 1.5),
                reader="numbered_reader:read",
                **more,
            )

    return run


def files(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (directory / "shards").glob("*.h5")}


def test_every_clip_lands_under_its_id_with_its_features(work, tmp_path):
    tally = work("cache")
    assert (tally.encoded, tally.quarantined) == (20, {})
    assert 0 < tally.encoder_seconds < tally.seconds
    cache = FeatureCache(tmp_path / "cache")
    assert sorted(map(int, cache.ids)) == list(range(20))
    for number in (0, 7, 8, 19):
        random = np.random.default_rng(number)
        pixels = torch.from_numpy(random.integers(0, 256, (1, 2, 3, 8, 8), dtype=np.uint8))
        fbank = torch.from_numpy(random.normal(size=(1, 4, 4)).astype(np.float32))
        read = cache.read([str(number)])
        torch.testing.assert_close(read.visual, TinyVisual().encode(pixels), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(read.audio, TinyAudio().encode(fbank))


@pytest.mark.parametrize("kind", ["plain-slow", pytest.param("faulty-slow", marks=pytest.mark.slow)])
def test_shards_are_the_same_bit_for_bit_with_any_number_of_workers(work, tmp_path, kind):
    for workers in (1, 3):
        work(f"cache-{workers}", kind, workers=workers)
    assert len(files(tmp_path / "cache-1")) == 3
    assert files(tmp_path / "cache-1") == files(tmp_path / "cache-3")


def test_faulty_clips_are_quarantined_and_the_others_encoded(work, tmp_path):
    tally = work("cache", "faulty")
    bad = {i for i in range(20) if i % 7 in (2, 4)}
    assert {int(clip) for clip in tally.quarantined} == bad
    assert tally.encoded == 20 - len(bad)
    quarantined = FeatureCache(tmp_path / "cache").quarantined
    assert quarantined["2"]["reason"] == "cannot be decoded"
    assert quarantined["2"]["words"].endswith("clip 2 is bad")
    assert quarantined["4"]["reason"] == "decoder died"
    assert "status 1" in quarantined["4"]["words"]
    two = len(decoders_for(PLAN.recipe)) == 2
    assert tally.second_choice == (sum(i % 7 == 5 for i in range(20)) if two else 0)


def test_what_was_read_is_told_before_the_shard_is_finished(work, tmp_path):
    """So that whoever writes it down has done so for every clip in the cache, whenever the run is killed."""
    told: list[tuple[int, dict[str, Path]]] = []

    def on_read(files):
        told.append((len(list((tmp_path / "cache/shards").glob("*.json"))), dict(files)))

    work("cache", "faulty", on_read=on_read)
    assert [list(map(int, files)) for _, files in told] == [
        [i for i in group if i % 7 not in (2, 4)] for group in (range(8), range(8, 16), range(16, 20))
    ]
    assert all(finished <= number for number, (finished, _) in enumerate(told))
    assert told[0][1]["1"] == Path("faulty/1.mp4")


def test_a_clip_that_takes_too_much_memory_is_quarantined_with_the_limit(work, tmp_path):
    tally = work("cache", "large")
    assert tally.quarantined == {"2": "too much memory"}
    words = FeatureCache(tmp_path / "cache").quarantined["2"]["words"]
    assert words == "pyav: decoding it takes more than the 1.5 GB that --clip-memory allows a decoding process"


def test_batches_hold_consecutive_decodable_clips_of_one_shard(work):
    visual = TinyVisual()
    work("cache", "faulty", visual=visual, batch_size=3, shard_size=10)
    good = [[i for i in group if i % 7 not in (2, 4)] for group in (range(10), range(10, 20))]
    expected = [min(3, len(group) - start) for group in good for start in range(0, len(group), 3)]
    assert visual.sizes == expected


def test_a_second_run_does_nothing_and_a_removed_shard_is_made_again_the_same(work, tmp_path):
    work("cache", "faulty")
    before = files(tmp_path / "cache")
    idle = TinyVisual()
    tally = work("cache", "faulty", visual=idle)
    assert (tally.encoded, tally.quarantined, idle.sizes) == (0, {}, [])
    lost = sorted(before)[1]
    for suffix in (".h5", ".json"):
        (tmp_path / "cache" / "shards" / lost).with_suffix(suffix).unlink()
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "shards").iterdir()}
    work("cache", "faulty", workers=2)
    assert files(tmp_path / "cache") == before
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "shards").iterdir()}
    assert {name: after[name] for name in times} == times


def test_quarantined_clips_are_tried_again_when_asked(work, tmp_path):
    work("cache", "faulty")
    assert work("cache", "plain").encoded == 0
    tally = work("cache", "plain", retry=True)
    assert tally.encoded == sum(i % 7 in (2, 4) for i in range(20))
    cache = FeatureCache(tmp_path / "cache")
    assert len(cache.ids) == 20
    assert not cache.quarantined


def test_an_interrupted_run_resumes_where_it_was(work, tmp_path):
    class Interrupting(TinyVisual):
        def encode(self, pixels):
            if len(self.sizes) == 3:
                raise KeyboardInterrupt
            return super().encode(pixels)

    with pytest.raises(KeyboardInterrupt):
        work("cache", visual=Interrupting())
    assert len(files(tmp_path / "cache")) <= 1
    assert not list((tmp_path / "cache" / "shards").glob("*.part"))
    work("cache", workers=2)
    work("whole")
    assert files(tmp_path / "cache") == files(tmp_path / "whole")


class Greedy(TinyVisual):
    """Has memory for so many clips at once."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def encode(self, pixels):
        if len(pixels) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().encode(pixels)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_device_without_memory_for_a_batch_gets_smaller_ones(work, tmp_path, most):
    greedy = Greedy(most)
    tally = work("cache", visual=greedy)
    assert tally.batch_size == (1 if most == 1 else 2)
    assert max(greedy.sizes) == tally.batch_size
    assert work("whole").batch_size is None
    small, whole = FeatureCache(tmp_path / "cache"), FeatureCache(tmp_path / "whole")
    assert small.ids == whole.ids
    torch.testing.assert_close(small.read(small.ids), whole.read(whole.ids), rtol=2e-3, atol=2e-3)  # float16 rounds


def test_a_device_without_memory_for_a_clip_is_one_line(work, tmp_path):
    with pytest.raises(InputError, match="cpu has no memory for a single clip beside the encoders: free some, or"):
        work("cache", visual=Greedy(0))
    assert not (tmp_path / "cache").exists()
