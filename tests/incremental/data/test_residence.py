"""Whatever is held, streamed and displaced, a row holds its clip's features; and no more memory is used than said."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.data import residence as room
from avcil.incremental.data.residence import (
    Residence,
    Visual,
    feature_budget,
    free_memory,
    plan_residence,
    staging_rows,
)
from avcil.incremental.model.attention import attention_pool
from avcil.tests.incremental.synthetic import TableSource
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

CPU = torch.device("cpu")
CLIPS = 12


def made(
    source: TableSource,
    *,
    rows: int | None = None,
    largest_batch: int = 3,
    dtype: torch.dtype = torch.float32,
    visual: Visual = "tokens",
) -> Residence:
    """A residence that may fill `rows` rows; None for as many as there are clips."""
    clip_bytes = TableSource.CLIP_BYTES * dtype.itemsize // 4
    gigabytes = 1.0 if rows is None else (rows * clip_bytes + 1) / 2**30
    return Residence(
        source,
        source.ids,
        device=CPU,
        dtype=dtype,
        visual=visual,
        largest_batch=largest_batch,
        gigabytes=gigabytes,
    )


def check(residence: Residence, source: TableSource, batches: Sequence[Tensor]) -> None:
    """Every batch of the stream, at the time it is current, has the right clips' features."""
    count = 0
    for (clips, rows), wanted in zip(residence.stream(batches), batches, strict=True):
        assert clips.tolist() == wanted.tolist()
        assert rows is not None
        assert residence.store is not None
        assert torch.equal(residence.store[rows], source.visual[wanted].to(residence.dtype))
        count += 1
    assert count == len(batches)


# ------------------------------------------------------------------------------------------------ the plan


def test_all_clips_stay_where_they_just_fit():
    plan = plan_residence(clips=10, clip_bytes=100, budget=1000, largest_batch=4)
    assert (plan.resident, plan.staging) == (10, 0)
    assert str(plan).startswith("all 10 clips")


def test_one_byte_less_and_a_batch_and_a_half_are_set_aside():
    plan = plan_residence(clips=10, clip_bytes=100, budget=999, largest_batch=4)
    assert (plan.resident, plan.staging) == (3, 6)
    assert "3 of 10 clips" in str(plan)
    assert "read ahead of use" in str(plan)


def test_the_least_that_works_and_what_is_said_of_less():
    assert plan_residence(clips=100, clip_bytes=100, budget=600, largest_batch=4).resident == 0
    with pytest.raises(InputError) as refusal:
        plan_residence(clips=100, clip_bytes=100, budget=599, largest_batch=4)
    assert "\n" not in str(refusal.value)
    assert "a batch and a half of 4 clips" in str(refusal.value)
    assert "--batch-size" in str(refusal.value)


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 1500), st.integers(1, 70))
def test_no_plan_uses_more_than_it_may(clips: int, clip_bytes: int, budget: int, largest_batch: int):
    try:
        plan = plan_residence(clips, clip_bytes, budget, largest_batch)
    except InputError:
        assert clips * clip_bytes > budget
        assert staging_rows(largest_batch) * clip_bytes > budget
        return
    assert (plan.resident + plan.staging) * clip_bytes <= budget
    assert plan.resident <= clips
    assert (plan.staging == 0) == (plan.resident == clips)
    assert plan.staging in (0, staging_rows(largest_batch))


def test_budgets(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10 * 2**30))
    assert free_memory(CPU) == 6 * 2**30
    assert feature_budget(CPU, 1.5, needed=2**40, step=2**40) == 3 * 2**29
    assert feature_budget(CPU, None, needed=1, step=1) == room.RESIDENT_ON_CPU
    assert feature_budget(CPU, None, needed=2**30, step=2**30) == 2**30
    assert feature_budget(CPU, None, needed=2**40, step=2**30) == 5 * 2**30


def test_a_step_that_cannot_fit_is_refused_before_anything_is_read(monkeypatch: pytest.MonkeyPatch):
    """A batch and a half in passage and one more for its backward pass: 2.5 batches of 4 clips."""
    source = TableSource(CLIPS)
    monkeypatch.setattr(room, "RESIDENT_ON_CPU", 0)

    def with_room_for(clips: float) -> Residence:
        available = int(clips * TableSource.CLIP_BYTES / 0.6) + 1
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=available))
        return Residence(source, source.ids, device=CPU, dtype=torch.float32, visual="tokens", largest_batch=4)

    assert with_room_for(10).room_left() == 6 * TableSource.CLIP_BYTES
    with pytest.raises(InputError, match="a batch and a half of 4 clips"):
        with_room_for(9.9)
    assert source.visual_reads == []


def test_a_cpu_run_that_was_not_told_streams_what_is_large_and_holds_what_is_small(monkeypatch: pytest.MonkeyPatch):
    def plan() -> room.ResidencePlan:
        source = TableSource(CLIPS)
        plan = Residence(source, source.ids, device=CPU, dtype=torch.float32, visual="tokens", largest_batch=4).plan
        assert plan is not None
        return plan

    assert plan().staging == 0
    monkeypatch.setattr(room, "RESIDENT_ON_CPU", 8 * TableSource.CLIP_BYTES)
    assert (plan().resident, plan().staging) == (2, 6)
    monkeypatch.setattr(room, "RESIDENT_ON_CPU", 0)
    assert (plan().resident, plan().staging) == (0, 6)


# -------------------------------------------------------------------------------------------- all resident


def test_where_all_fit_no_clip_is_ever_read_twice():
    """Several runs share one residence, and each of them holds its own tasks one after the other."""
    source = TableSource(CLIPS)
    residence = made(source)
    first, second = torch.arange(6), torch.arange(4, 12)
    for _ in range(2):
        for task in (first, second):
            residence.hold(task)
            check(residence, source, task.split(3))
    assert sorted(source.visual_reads) == list(range(CLIPS))
    assert source.audio_reads == list(range(CLIPS))


def test_clips_that_were_not_held_are_read_when_they_are_streamed():
    source = TableSource(CLIPS)
    residence = made(source)
    residence.hold(torch.tensor([3, 1]))
    check(residence, source, [torch.tensor([0, 3]), torch.tensor([11, 0, 1])])
    assert sorted(source.visual_reads) == [0, 1, 3, 11]


def test_an_empty_stream_and_an_empty_hold():
    source = TableSource(CLIPS)
    residence = made(source)
    residence.hold(torch.tensor([], dtype=torch.int64))
    check(residence, source, [])
    assert source.visual_reads == []


# ----------------------------------------------------------------------------------------- partly resident


def test_the_first_clips_stay_and_only_the_rest_is_streamed():
    source = TableSource(CLIPS)
    residence = made(source, rows=9)
    assert residence.plan is not None
    assert (residence.plan.resident, residence.plan.staging) == (4, 5)
    residence.hold(torch.tensor([5, 5, 2, 9, 5, 0, 7, 1]))  # 5, 2, 9, 0 stay
    assert sorted(source.visual_reads) == [0, 2, 5, 9]
    source.visual_reads.clear()
    for _ in range(2):
        check(residence, source, [torch.tensor([5, 7, 2]), torch.tensor([1, 0]), torch.tensor([9, 2])])
    assert source.visual_reads == [7, 1, 7, 1]


def test_clips_held_already_are_not_read_again_by_the_next_hold():
    source = TableSource(CLIPS)
    residence = made(source, rows=9)
    residence.hold(torch.tensor([0, 1, 2, 3]))
    residence.hold(torch.tensor([3, 8, 0, 9]))
    assert sorted(source.visual_reads) == [0, 1, 2, 3, 8, 9]
    source.visual_reads.clear()
    check(residence, source, [torch.tensor([8, 3, 0]), torch.tensor([9])])
    assert source.visual_reads == []


def test_nothing_stays_and_all_is_streamed():
    source = TableSource(CLIPS)
    residence = made(source, rows=5)
    assert residence.plan is not None
    assert residence.plan.resident == 0
    residence.hold(torch.arange(CLIPS))
    check(residence, source, list(torch.arange(CLIPS).split(3)))
    assert source.visual_reads == list(range(CLIPS))


def test_a_budget_too_small_is_refused_before_any_visual_feature_is_read():
    source = TableSource(CLIPS)
    with pytest.raises(InputError, match="a batch and a half of 3 clips"):
        made(source, rows=4)
    assert source.visual_reads == []


def test_reading_ahead_for_as_long_as_a_step_takes_harms_no_gradient():
    """A disk so slow that the next batch arrives between this one's forward and backward pass."""
    forward_done, read = threading.Event(), threading.Event()

    class Slow(TableSource):
        def read_into(
            self, ids: Sequence[str], visual: Tensor | None, audio: Tensor | None, *, threads: int | None = None
        ) -> None:
            if visual is not None and threads == 1:
                assert forward_done.wait(30)
            super().read_into(ids, visual, audio)
            if visual is not None and threads == 1:
                read.set()

    source = Slow(CLIPS)
    residence = made(source, rows=6, largest_batch=4)
    channels = TableSource.SHAPE[-1]
    weight = torch.eye(channels).requires_grad_()
    first, second = torch.tensor([3, 1, 0, 2]), torch.tensor([9, 8])
    for (clips, rows), wanted in zip(residence.stream([first, second]), (first, second), strict=True):
        assert rows is not None
        assert residence.store is not None
        arguments = torch.ones(len(clips), channels), weight, torch.zeros(channels)
        loss = attention_pool(residence.store, rows, *arguments).pooled.square().sum()
        forward_done.set()
        assert read.wait(30)
        (found,) = torch.autograd.grad(loss, weight)
        alone = attention_pool(source.visual, wanted, *arguments).pooled.square().sum()
        assert torch.equal(found, torch.autograd.grad(alone, weight)[0])


BATCH = st.lists(st.integers(0, CLIPS - 1), min_size=1, max_size=3).map(torch.tensor)
STEP = st.one_of(
    st.tuples(st.just("hold"), st.lists(st.integers(0, CLIPS - 1), max_size=20)),
    st.tuples(st.just("stream"), st.lists(BATCH, max_size=6)),
)


@given(
    st.lists(STEP, max_size=8), st.sampled_from([None, 11, 9, 6, 5]), st.sampled_from([torch.float32, torch.bfloat16])
)
def test_a_row_holds_its_clip_after_any_sequence_of_hold_and_stream(steps, rows: int | None, dtype: torch.dtype):
    source = TableSource(CLIPS)
    residence = made(source, rows=rows, dtype=dtype)
    for kind, clips in steps:
        if kind == "hold":
            residence.hold(torch.tensor(clips, dtype=torch.int64))
        else:
            check(residence, source, clips)


@given(st.lists(BATCH, min_size=1, max_size=6), st.integers(1, 6))
def test_a_stream_left_in_the_middle_harms_nothing(batches, left_after: int):
    source = TableSource(CLIPS)
    residence = made(source, rows=8)
    residence.hold(torch.arange(CLIPS))
    for number, _ in enumerate(residence.stream(batches), start=1):
        if number == left_after:
            break
    check(residence, source, batches)


def test_an_error_while_reading_ahead_is_raised_where_the_batch_is_asked_for():
    class Broken(TableSource):
        def read_into(
            self, ids: Sequence[str], visual: Tensor | None, audio: Tensor | None, *, threads: int | None = None
        ) -> None:
            if visual is not None and "clip-7" in ids:
                raise InputError("shard x ends early")
            super().read_into(ids, visual, audio)

    source = Broken(CLIPS)
    residence = made(source, rows=5)
    stream = residence.stream([torch.tensor([1]), torch.tensor([7]), torch.tensor([2])])
    next(stream)
    with pytest.raises(InputError, match="ends early"):
        next(stream)


def test_on_a_card_rows_are_filled_when_they_are_free_and_used_when_they_are_filled(monkeypatch: pytest.MonkeyPatch):
    """The order in which streams are told to wait, with stand-ins that write it down."""
    said: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name, self.events = name, 0

        def record_event(self) -> str:
            self.events += 1
            said.append(f"{self.name} {self.events} done")
            return f"{self.name} {self.events}"

        def wait_event(self, event: str) -> None:
            said.append(f"{self.name} waits for {event}")

    @contextmanager
    def current(stream: Stream) -> Iterator[None]:
        yield

    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("compute"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream("copy"))
    monkeypatch.setattr(torch.cuda, "stream", current)
    lanes = room._Lanes(torch.device("cuda"))
    with lanes.filling():
        said.append("fill the first batch")
    lanes.begin()
    with lanes.filling():
        said.append("fill half the second")
    said.append("use the first batch")
    lanes.end()
    with lanes.filling():
        said.append("fill the other half")
    lanes.begin()
    said.append("use the second batch")
    assert said == [
        "compute 1 done",
        "copy waits for compute 1",
        "fill the first batch",
        "copy 1 done",
        "compute waits for copy 1",
        "copy waits for compute 1",  # in rows that the first batch does not take
        "fill half the second",
        "copy 2 done",
        "use the first batch",
        "compute 2 done",
        "copy waits for compute 2",  # in the first batch's rows
        "fill the other half",
        "copy 3 done",
        "compute waits for copy 3",
        "use the second batch",
    ]


# ------------------------------------------------------------------------------------- types and modalities


def test_tokens_are_held_in_the_computing_type_and_audio_in_float32():
    source = TableSource(CLIPS)
    residence = made(source, dtype=torch.bfloat16)
    assert residence.store is not None
    assert residence.store.dtype == torch.bfloat16
    assert residence.audio.dtype == torch.float32
    assert torch.equal(residence.audio, source.audio)
    check(residence, source, list(torch.arange(CLIPS).split(3)))


def test_the_visual_modality_alone_keeps_only_means():
    source = TableSource(2 * room.READ_AT_ONCE + 5)
    residence = made(source, visual="mean")
    assert residence.store is None
    assert residence.plan is None
    assert residence.mean is not None
    assert residence.mean.dtype == torch.float32
    expected = source.visual.double().flatten(1, 2).mean(dim=1)
    torch.testing.assert_close(residence.mean.double(), expected, rtol=1e-6, atol=1e-7)
    assert sorted(source.visual_reads) == list(range(len(source.ids)))
    residence.hold(torch.arange(3))
    assert [(clips.tolist(), rows) for clips, rows in residence.stream([torch.tensor([2, 1])])] == [([2, 1], None)]
    assert len(source.visual_reads) == len(source.ids)


def test_nothing_visual_is_read_for_audio_alone():
    source = TableSource(CLIPS)
    residence = made(source, visual="none", rows=0)  # no budget is needed for it either
    residence.hold(torch.arange(CLIPS))
    assert [(clips.tolist(), rows) for clips, rows in residence.stream([torch.tensor([2, 1])])] == [([2, 1], None)]
    assert source.visual_reads == []
    assert (residence.store, residence.mean) == (None, None)
