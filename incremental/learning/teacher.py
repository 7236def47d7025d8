"""The previous model's answers, asked once a task and looked up afterwards.

The teacher is frozen and the features never change, so its logits and attention maps cannot either. Where its
answers do not fit into memory they are worked out again in every step; the bits are the same.

Shapes: B clips, n clips of the table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ...errors import InputError
from ..data.batch import Batch, Recalled

SMALLEST_BATCH = 16
"""Matrix products of fewer rows take another path on CPUs and round differently."""

MAPS_AT_ONCE = 32
"""Memory clips asked about together: of each, attention maps of float32 are at hand for a moment, 5 MB of true size."""


class Teaching(Protocol):
    """What is asked of the frozen method (`gradient.Method`)."""

    def recall(self, batch: Batch) -> Mapping[str, Tensor]:
        """Answers (B, ...) for any clip of the task."""
        ...

    def recall_of_memory(self, batch: Batch) -> Mapping[str, Tensor]:
        """Answers (B, ...) for memory clips only."""
        ...


class Reader(Protocol):
    """How batches of clips are had by their numbers."""

    def batches(self, index: Sequence[Tensor]) -> Iterator[Batch]:
        """The clips of each entry of `index`."""
        ...


Recall = Callable[[Batch], Mapping[str, Tensor]]


def even_blocks(clips: Tensor, size: int) -> list[Tensor]:
    """`clips` (n,) in blocks of at most `size` and nearly equal length, so that none is tiny."""
    return list(clips.tensor_split(-(-len(clips) // size))) if len(clips) else []


def padded(recall: Recall, batch: Batch) -> dict[str, Tensor]:
    """`recall` of clips, padded to the smallest batch that rounds as all larger ones do. InputError for an answer
    without a row a clip."""
    count = len(batch.numbers)
    if count < SMALLEST_BATCH:
        repeat = torch.arange(SMALLEST_BATCH, device=batch.numbers.device) % count
        batch = batch.each(lambda tensor: tensor[repeat])
    answers = recall(batch)
    for name, answer in answers.items():
        if answer.dim() == 0 or len(answer) != len(batch.numbers):
            raise InputError(
                f"recall's '{name}' must have a row for each of {len(batch.numbers)} clips; its shape is "
                f"{tuple(answer.shape)}"
            )
    return {name: answer[:count] for name, answer in answers.items()}


class Answers:
    """One of the teacher's questions: the answers for every clip that may be trained on in this task."""

    def __init__(
        self, recall: Recall, reader: Reader, clips: Tensor, *, batch_size: int, total: int, budget: int
    ) -> None:
        """Ask `recall` of all `clips` (n,), unless the answers would take more than `budget` bytes."""
        self.recall = recall
        self.table: dict[str, Tensor] | None = None
        self.bytes_needed = 0
        blocks = even_blocks(clips, batch_size)
        done = 0
        for batch in reader.batches(blocks):
            answers = padded(recall, batch)
            if self.table is None:
                a_clip = sum(answer[0].numel() * answer.element_size() for answer in answers.values())
                self.bytes_needed = a_clip * len(clips)
                if self.bytes_needed > budget:
                    return
                self.place = torch.full((total,), -1, device=batch.numbers.device)
                self.table = {name: answer.new_empty(len(clips), *answer.shape[1:]) for name, answer in answers.items()}
            for name, answer in answers.items():
                self.table[name][done : done + len(answer)] = answer
            done += len(batch.numbers)
            self.place[batch.numbers] = torch.arange(done - len(batch.numbers), done, device=batch.numbers.device)

    def of(self, batch: Batch) -> Recalled:
        """The answers for a batch."""
        if self.table is None:
            return Recalled(padded(self.recall, batch) if len(batch.numbers) else {})
        return Recalled(self.table, self.place[batch.numbers])


class Teacher:
    """The frozen previous model, seen through its answers."""

    def __init__(
        self,
        method: Teaching,
        reader: Reader,
        *,
        clips: Tensor,
        memory_clips: Tensor,
        batch_size: int,
        total: int,
        budget: int,
    ) -> None:
        """Ask a frozen `method` of all `clips` (n,) to be trained on in this task.

        With a `budget` of 0 bytes nothing is kept and the teacher is asked in every step.
        """
        self.method = method
        with torch.no_grad():
            self.of_all = Answers(method.recall, reader, clips, batch_size=batch_size, total=total, budget=budget)
            left = budget - (self.of_all.bytes_needed if self.of_all.table is not None else 0)
            self.of_memory = Answers(
                method.recall_of_memory,
                reader,
                memory_clips,
                batch_size=min(batch_size, MAPS_AT_ONCE),
                total=total,
                budget=left,
            )

    def answer(self, batch: Batch) -> Batch:
        """The same batch with the teacher's answers."""
        with torch.no_grad():
            return batch._replace(
                teacher=self.of_all.of(batch), teacher_of_memory=self.of_memory.of(batch.part(batch.new))
            )
