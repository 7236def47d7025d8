"""The writing thread: finished shards or nothing, and failures that reach the run."""

import errno
import os
from pathlib import Path

import pytest
import torch
from avcil.cache import CacheWriter, FeatureCache, Fingerprint, read_quarantine
from avcil.errors import InputError
from avcil.extract.decoding.workers import Job
from avcil.extract.selection import ShardPlan
from avcil.extract.sink import ShardSink

SHAPES = ((2, 3, 4), (4,))


def plan(name, ids):
    return ShardPlan(name, tuple(Job(clip, Path(clip)) for clip in ids))


def features(count):
    random = torch.Generator().manual_seed(count)
    return torch.randn(count, *SHAPES[0], generator=random), torch.randn(count, *SHAPES[1], generator=random)


def put_one(sink):
    visual, audio = features(1)
    sink.put([0], visual, audio, lambda: None)


@pytest.fixture
def writer(tmp_path):
    with CacheWriter(tmp_path / "cache", Fingerprint({"storage": "float32"})) as writer:
        yield writer


def test_batches_land_in_their_rows_after_they_have_arrived(writer):
    visual, audio = torch.zeros(2, *SHAPES[0]), torch.zeros(2, *SHAPES[1])
    arrived, arrived_audio = features(2)

    def wait():
        visual.copy_(arrived)
        audio.copy_(arrived_audio)

    with ShardSink(writer, *SHAPES) as sink:
        sink.begin(plan("s0", "abc"))
        sink.put([0, 2], visual, audio, wait)
        sink.quarantine("b", "no audio", "none")
        sink.end()
    read = FeatureCache(writer.directory).read(["a", "c"])
    torch.testing.assert_close(read.visual, arrived, rtol=0, atol=0)
    torch.testing.assert_close(read.audio, arrived_audio, rtol=0, atol=0)
    assert (sink.written, sink.quarantined) == (2, {"b": "no audio"})
    assert writer.quarantined["b"] == {"reason": "no audio", "words": "none"}


def test_words_on_a_file_whose_name_is_no_text_can_be_written(writer):
    with ShardSink(writer, *SHAPES) as sink:
        sink.begin(plan("s0", "a"))
        sink.quarantine("a", "no audio", os.fsdecode(b"invalid data in 'v\xff.mp4'\x1b"))
        sink.end()
    words = read_quarantine(writer.directory)["a"]["words"]
    assert words == "invalid data in 'v\\udcff.mp4'\\u001b"


def test_features_that_are_not_finite_are_quarantined(writer):
    visual, audio = features(2)
    visual[1, 0, 0, 0] = torch.nan
    with ShardSink(writer, *SHAPES) as sink:
        sink.begin(plan("s0", "ab"))
        sink.put([0, 1], visual, audio, lambda: None)
        sink.end()
    assert writer.have == {"a"}
    assert sink.quarantined == {"b": "features not finite"}
    assert "not finite" in writer.quarantined["b"]["words"]


def test_a_run_broken_off_leaves_finished_shards_only(writer):
    with pytest.raises(KeyboardInterrupt), ShardSink(writer, *SHAPES) as sink:  # noqa: PT012
        sink.begin(plan("s0", "a"))
        put_one(sink)
        sink.end()
        sink.begin(plan("s1", "bc"))
        put_one(sink)
        while writer.have != {"a"}:
            pass
        raise KeyboardInterrupt
    assert sorted(path.name for path in (writer.directory / "shards").iterdir()) == ["s0.h5", "s0.json"]


def test_a_failure_to_write_reaches_the_run(writer, monkeypatch):
    def no_room(*arguments, **named):
        raise InputError("no room for shard s0")

    monkeypatch.setattr(writer, "shard", no_room)
    with pytest.raises(InputError, match="no room"), ShardSink(writer, *SHAPES) as sink:  # noqa: PT012
        sink.begin(plan("s0", "abc"))
        for _ in range(10):  # more than the queue holds: waiting for ever would be the fault
            put_one(sink)
    assert not list((writer.directory / "shards").iterdir())


def test_a_full_disk_is_one_line_and_leaves_nothing(writer, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill():
        with ShardSink(writer, *SHAPES) as sink:
            sink.begin(plan("s0", "a"))
            put_one(sink)
            sink.end()

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(
        InputError, match=r"cache/shards/s0\.h5 cannot be written \(No space left on device\): make room"
    ):
        fill()
    assert not list((writer.directory / "shards").iterdir())


def test_a_failure_at_the_last_moment_is_raised_on_leaving(writer, monkeypatch):
    with pytest.raises(ValueError, match="shape"), ShardSink(writer, *SHAPES) as sink:  # noqa: PT012
        sink.begin(plan("s0", "a"))
        sink.put([0], torch.zeros(1, 9, 9, 9), torch.zeros(1, 4), lambda: None)
        sink.end()


def test_nothing_but_quarantined_clips_makes_no_shard(writer):
    with ShardSink(writer, *SHAPES) as sink:
        sink.begin(plan("s0", "a"))
        sink.quarantine("a", "cannot be decoded", "no")
        sink.end()
    assert not list((writer.directory / "shards").iterdir())
    assert list(writer.quarantined) == ["a"]
