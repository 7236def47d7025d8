"""Tasks as ranges of classes, clips by number, and the exemplar memory's quotas."""

import pytest
import torch
from avcil.errors import InputError
from avcil.incremental.data.batch import Batch, Recalled
from avcil.incremental.data.memory import ExemplarMemory
from avcil.incremental.data.tasks import ClipTable, Task
from avcil.tests.incremental import plain_methods
from hypothesis import given
from hypothesis import strategies as st


def table(tasks: tuple[tuple[str, ...], ...], labels: list[int], splits: list[str]) -> ClipTable:
    ids = tuple(f"clip-{number}" for number in range(len(labels)))
    return ClipTable(ids, torch.tensor(labels, dtype=torch.int64), tuple(splits), tasks)


# --------------------------------------------------------------------------------------------------- tasks


def test_a_task_in_the_middle():
    task = Task(3, (0, 7, 14, 16))
    assert (task.old_classes, task.seen_classes) == (14, 16)
    assert task.new_classes == range(14, 16)
    assert task.old_tasks == (slice(0, 7), slice(7, 14))


def test_the_first_task_has_nothing_old():
    task = Task(1, (0, 5))
    assert (task.old_classes, task.seen_classes) == (0, 5)
    assert task.new_classes == range(5)
    assert task.old_tasks == ()


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_tasks_of_any_sizes_tile_the_class_order(sizes: list[int]):
    names = iter(f"class {number}" for number in range(sum(sizes)))
    tasks = tuple(tuple(next(names) for _ in range(size)) for size in sizes)
    clips = table(tasks, [], [])
    seen: list[int] = []
    for number, size in enumerate(sizes, start=1):
        task = clips.task(number)
        assert task.number == number
        assert len(task.new_classes) == size
        assert [clips.class_order[label] for label in task.new_classes] == list(tasks[number - 1])
        assert [label for old in task.old_tasks for label in range(old.start, old.stop)] == seen
        assert [old.stop - old.start for old in task.old_tasks] == sizes[: number - 1]
        seen += task.new_classes
        assert task.seen_classes == len(seen)
    assert clips.class_order == tuple(name for task in tasks for name in task)


# ------------------------------------------------------------------------------------------------ the table


def test_clips_of_a_split_and_of_classes_come_in_the_manifests_order():
    clips = table((("a", "b"), ("c",)), [2, 0, 1, 0, 2, 1], ["train", "train", "val", "train", "train", "train"])
    assert clips.of("train", range(2)).tolist() == [1, 3, 5]
    assert clips.of("train", range(2, 3)).tolist() == [0, 4]
    assert clips.of("val", range(3)).tolist() == [2]
    assert clips.of("test", range(3)).tolist() == []
    assert clips.of("test", range(3)).dtype == torch.int64


def test_part_of_a_batch_counts_what_is_new_in_it():
    store = torch.zeros(9, 1, 1, 2)
    batch = Batch(
        torch.arange(5), torch.arange(5) + 10, torch.rand(5, 3), store, torch.arange(4, 9), torch.rand(5, 2), new=3
    )
    batch = batch._replace(teacher=Recalled({"logits": torch.zeros(5, 2)}))
    old = batch.part(3)
    assert (old.numbers.tolist(), old.labels.tolist(), old.new) == ([3, 4], [13, 14], 0)
    assert old.rows is not None and old.rows.tolist() == [7, 8]
    assert old.store is store
    assert torch.equal(old.audio, batch.audio[3:])
    assert old.visual_mean is not None and batch.visual_mean is not None
    assert torch.equal(old.visual_mean, batch.visual_mean[3:])
    assert old.teacher == {}
    assert [batch.part(begin, end).new for begin, end in ((0, 2), (0, 4), (2, 5), (1, 3), (5, 5))] == [2, 3, 1, 2, 0]


# --------------------------------------------------------------------------------------------- the memory


def test_shares_of_the_published_settings():
    assert [ExemplarMemory(340).share(classes) for classes in (7, 14, 21, 28)] == [48, 24, 16, 12]
    assert ExemplarMemory(1500).share(100) == 15
    assert (ExemplarMemory(3).share(4), ExemplarMemory(0).share(1)) == (0, 0)


def test_old_classes_keep_a_prefix_of_their_list():
    memory = ExemplarMemory(6)
    memory.admit({0: [9, 3, 5], 1: [2, 8]}, classes=2)
    assert memory.chosen == {0: [9, 3, 5], 1: [2, 8]}
    memory.admit({2: [7, 1, 6], 3: [4]}, classes=4)
    assert memory.chosen == {0: [9], 1: [2], 2: [7], 3: [4]}
    assert memory.clips.tolist() == [9, 2, 7, 4]
    memory.admit({}, classes=7)
    assert memory.clips.tolist() == []
    assert memory.clips.dtype == torch.int64


@given(st.integers(0, 30), st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=3), min_size=1, max_size=5))
def test_the_memory_is_the_plain_one_and_never_too_large(size: int, tasks: list[list[int]]):
    """`tasks` holds how many clips the new classes of each task have."""
    memory, held = ExemplarMemory(size), dict[int, list[str]]()
    classes = clips = 0
    for counts in tasks:
        share = plain_methods.quota(size, classes + len(counts))
        new = {}
        for label, count in enumerate(counts, start=classes):
            new[label] = list(range(clips, clips + count))[::-1]
            clips += count
        classes += len(counts)
        memory.admit(new, classes)
        held = plain_methods.prefixes(held | {label: [str(clip) for clip in new[label]] for label in new}, share)
        assert {label: [str(clip) for clip in chosen] for label, chosen in memory.chosen.items()} == held
        assert len(memory.clips) <= size
        assert list(memory.chosen) == sorted(memory.chosen)


def test_answers_are_gathered_when_they_are_asked_for():
    answers = {"logits": torch.arange(8.0).view(4, 2)}
    recalled = Recalled(answers, torch.tensor([3, 0]))
    assert recalled["logits"].tolist() == [[6, 7], [0, 1]]
    table, places = recalled.where("logits")
    assert table is answers["logits"]
    assert places.tolist() == [3, 0]
    alone = Recalled(answers)
    assert alone["logits"] is answers["logits"]
    assert alone.where("logits")[1].tolist() == [0, 1, 2, 3]
    assert ("logits" in recalled, "maps" in recalled, list(recalled)) == (True, False, ["logits"])


def test_an_answer_that_was_not_asked_for_is_named_in_one_line():
    with pytest.raises(InputError, match="not asked for 'maps'; its `recall` gave logits"):
        Recalled({"logits": torch.zeros(1, 2)})["maps"]
    with pytest.raises(InputError, match="has_teacher = True"):
        Recalled({}).where("logits")
