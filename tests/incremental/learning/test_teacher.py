"""The teacher asked once and looked up says, to the last bit, what it says when it is asked in every step."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental import Batch
from avcil.incremental.data.residence import staging_rows
from avcil.incremental.learning import gradient
from avcil.incremental.learning import teacher as room
from avcil.incremental.learning.teacher import SMALLEST_BATCH, Answers, even_blocks
from avcil.incremental.runs.experiment import run_once
from avcil.tests.incremental import synthetic
from avcil.tests.incremental.synthetic import WITH_TEACHER, Made
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

pytestmark = pytest.mark.usefixtures("one_thread")


@given(st.integers(0, 300), st.integers(1, 130))
def test_blocks_hold_each_clip_once_and_none_is_tiny(clips: int, size: int):
    blocks = [block.tolist() for block in even_blocks(torch.arange(clips), size)]
    assert [clip for block in blocks for clip in block] == list(range(clips))
    lengths = [len(block) for block in blocks]
    assert all(0 < length <= size for length in lengths)
    assert not lengths or max(lengths) - min(lengths) <= 1


def test_small_batches_are_padded_and_cut_again():
    asked = []

    def recall(clips: Any) -> dict[str, Tensor]:
        asked.append(len(clips.numbers))
        return {"double": clips.audio * 2, "label": clips.labels}

    clips = synthetic.plain_batch(3)
    answers = room.padded(recall, clips)
    assert asked == [SMALLEST_BATCH]
    assert torch.equal(answers["double"], clips.audio * 2)
    assert torch.equal(answers["label"], clips.labels)
    clips = synthetic.plain_batch(SMALLEST_BATCH + 1)
    assert torch.equal(room.padded(recall, clips)["double"], clips.audio * 2)
    assert asked[1:] == [SMALLEST_BATCH + 1]


class ByNumber:
    """A reader without residence."""

    def batches(self, index: Sequence[Tensor]) -> Iterator[Batch]:
        for numbers in index:
            yield (
                synthetic.plain_batch(100)
                .part(0)
                ._replace(numbers=numbers, labels=numbers, audio=numbers[:, None].float())
            )


@pytest.mark.parametrize(("budget", "kept"), [(7 * 4, True), (7 * 4 - 1, False), (0, False)])
def test_answers_are_kept_where_they_fit_and_asked_again_where_not(budget: int, kept: bool):
    asked = []

    def recall(clips: Any) -> dict[str, Tensor]:
        asked.append(len(clips.numbers))
        return {"value": clips.audio[:, 0] + 0.5}

    clips = torch.tensor([5, 90, 7, 3, 2, 44, 61])
    answers = Answers(recall, ByNumber(), clips, batch_size=3, total=100, budget=budget)
    assert (answers.table is not None) == kept
    asked.clear()
    for wanted in ([90, 5], [44, 44, 2], [61]):
        (batch,) = ByNumber().batches([torch.tensor(wanted)])
        assert answers.of(batch)["value"].tolist() == [clip + 0.5 for clip in wanted]
    assert bool(asked) != kept


@pytest.mark.parametrize("answer", [torch.tensor(1.0), torch.zeros(2, 5)])
def test_answers_without_a_row_a_clip_are_refused(answer: Tensor):
    clips = torch.arange(3 + SMALLEST_BATCH)
    with pytest.raises(InputError, match="recall's 'odd' must have a row for each of 19 clips"):
        Answers(lambda clips: {"odd": answer}, ByNumber(), clips, batch_size=100, total=100, budget=10**6)


# ---------------------------------------------------------------------------------------------- whole runs


def changed_by_looking_up(made: Made, tmp_path: Path, method: str, **given: Any) -> list[str]:
    """In which results a run with teacher=once and one with teacher=each-step differ."""
    for teacher in ("once", "each-step"):
        synthetic.run(made, method, tmp_path / teacher, teacher=teacher, **given)
    return synthetic.differing(tmp_path / "once", tmp_path / "each-step")


@pytest.mark.parametrize("method", WITH_TEACHER)
def test_looking_up_changes_no_bit_of_a_run(made: Made, tmp_path: Path, method: str, reference: Callable[[str], Path]):
    synthetic.run(made, method, tmp_path / "each-step", teacher="each-step")
    assert synthetic.differing(reference(method), tmp_path / "each-step") == []


@pytest.mark.parametrize("given", [{"attention_distillation": "grad-cam"}, {"kl_direction": "student-teacher"}])
def test_nor_with_the_other_distillations_of_av_cil(made: Made, tmp_path: Path, given: dict[str, str]):
    assert changed_by_looking_up(made, tmp_path, "av-cil", **given) == []


@pytest.mark.parametrize("given", [{"importances": "channel"}, {"importances": "none"}, {"balanced_epochs": 2}])
def test_nor_with_the_other_ways_of_afc(made: Made, tmp_path: Path, given: dict[str, Any]):
    assert changed_by_looking_up(made, tmp_path, "afc-lsc", **given) == []


@pytest.mark.slow
@pytest.mark.parametrize("modality", ["audio", "visual"])
@pytest.mark.parametrize("method", [name for name in WITH_TEACHER if name != "av-cil"])
def test_nor_with_one_modality(made: Made, tmp_path: Path, method: str, modality: str):
    assert changed_by_looking_up(made, tmp_path, method, modality=modality) == []


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", WITH_TEACHER)
def test_nor_at_full_width_with_batches_of_odd_sizes(tmp_path: Path, method: str, threads: int):
    """768 channels and batches of 37 to 50 clips: products take other paths than at 8 channels."""
    made = synthetic.make(
        tmp_path / "data",
        classes=4,
        counts=lambda label: {"train": 41 - label, "val": 1, "test": 2},
        shape=(2, 4, 768),
        audio=768,
    )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        given: dict[str, Any] = {
            "batch_size": 37,
            "memory_batch_size": 13,
            "memory_size": 40,
            "evaluation_batch_size": 53,
        }
        assert changed_by_looking_up(made, tmp_path, method, learning_rate=1e-3, **given) == []
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("room_for", ["nothing", "logits"])
def test_answers_that_do_not_fit_are_asked_in_every_step(
    made: Made, tmp_path: Path, room_for: str, monkeypatch: pytest.MonkeyPatch, reference: Callable[[str], Path]
):
    """With room for the logits but not for the attention maps the two ways are mixed; still no bit changes."""
    budget = 1 if room_for == "nothing" else 30 * 4 * 4
    tables = []

    class Watched(room.Teacher):
        def __init__(self, *args: Any, **given: Any) -> None:
            super().__init__(*args, **given | {"budget": budget})
            tables.append((self.of_all.table is not None, self.of_memory.table is not None))

    monkeypatch.setattr(gradient, "Teacher", Watched)
    synthetic.run(made, "av-cil", tmp_path / "not kept")
    assert tables == [(room_for == "logits", False)] * 2
    assert synthetic.differing(reference("av-cil"), tmp_path / "not kept") == []


@pytest.mark.parametrize("teacher", ["once", "each-step"])
@pytest.mark.parametrize("method", ["av-cil", "afc-nme"])
def test_streaming_changes_no_bit_either(
    made: Made, tmp_path: Path, method: str, teacher: str, monkeypatch: pytest.MonkeyPatch
):
    """Room for a batch and a half and one clip more: nearly all is streamed, in batches smaller than the teacher's."""
    given: dict[str, Any] = {"batch_size": 3, "memory_batch_size": 3, "memory_size": 40, "evaluation_batch_size": 5}
    synthetic.run(made, method, tmp_path / "held", **given)
    clip = 4 * torch.Size(synthetic.SHAPE).numel()
    few = (staging_rows(SMALLEST_BATCH) + 1) * clip / 2**30
    what = synthetic.prepare(made, method, residence_gigabytes=few, teacher=teacher, **given)
    assert what.data.residence.plan is not None
    assert (what.data.residence.plan.resident, what.data.residence.plan.staging) == (1, staging_rows(SMALLEST_BATCH))
    kept: list[bool] = []

    class Watched(room.Teacher):
        def __init__(self, *args: Any, **given: Any) -> None:
            super().__init__(*args, **given)
            kept.extend(answers.table is not None for answers in (self.of_all, self.of_memory)[: 1 + maps])

    maps = method == "av-cil"
    monkeypatch.setattr(gradient, "Teacher", Watched)
    run_once(*what, tmp_path / "streamed")
    assert set(kept) == {teacher == "once"}  # a limit for features leaves room for answers
    assert synthetic.differing(tmp_path / "held", tmp_path / "streamed") == []
