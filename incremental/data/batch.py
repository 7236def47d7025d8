"""A batch of clips by reference, and what the teacher said of it.

Shapes: B clips, L time slices, S tokens, D channels, C classes, N clips held in the store.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import InputError


class Recalled(Mapping[str, Tensor]):
    """What the teacher said of a batch, by reference: an answer (B, ...) is gathered when it is asked for by name."""

    def __init__(self, answers: Mapping[str, Tensor], places: Tensor | None = None) -> None:
        """Places (B,) of the batch in answers (n, ...), or answers (B, ...) of the batch alone."""
        self.answers = answers
        self.places = places

    def __getitem__(self, name: str) -> Tensor:
        """The answer of each clip of the batch. (B, ...)"""
        answer = self._known(name)
        return answer if self.places is None else answer[self.places]

    def where(self, name: str) -> tuple[Tensor, Tensor]:
        """Answers (n, ...) of more clips than these, and places (B,) among them, for what can do without a copy."""
        answer = self._known(name)
        return answer, torch.arange(len(answer), device=answer.device) if self.places is None else self.places

    def _known(self, name: str) -> Tensor:
        if name not in self.answers:
            has = ", ".join(self.answers) or "nothing: does the method say has_teacher = True?"
            raise InputError(f"the teacher was not asked for '{name}'; its `recall` gave {has}")
        return self.answers[name]

    def __contains__(self, name: object) -> bool:
        return name in self.answers

    def __iter__(self) -> Iterator[str]:
        return iter(self.answers)

    def __len__(self) -> int:
        return len(self.answers)


class Batch(NamedTuple):
    """A batch of clips by reference: visual tokens stay where they are stored."""

    numbers: Tensor
    """(B,) int64 clip numbers."""
    labels: Tensor
    """(B,) int64 class indices."""
    audio: Tensor
    """(B, D) float32 audio features f_a."""
    store: Tensor | None = None
    """(N, L, S, D) visual tokens f_v of the clips held on the device; None without the visual modality."""
    rows: Tensor | None = None
    """(B,) int64 rows of `store`."""
    visual_mean: Tensor | None = None
    """(B, D) float32 mean over all tokens of f_v; only for the visual modality alone."""
    new: int = 0
    """The first `new` clips belong to the current task, the rest to the exemplar memory."""
    teacher: Recalled = Recalled({})
    """What the frozen previous model says of these clips, as `Method.recall` worked it out."""
    teacher_of_memory: Recalled = Recalled({})
    """The same for the clips from `new` on, as `Method.recall_of_memory` worked it out."""

    def part(self, begin: int, end: int | None = None) -> "Batch":
        """The clips from `begin` to `end`, without the teacher's outputs."""
        new = max(0, min(self.new, len(self.numbers) if end is None else end) - begin)
        part = self.each(lambda tensor: tensor[begin:end])
        return part._replace(new=new, teacher=Recalled({}), teacher_of_memory=Recalled({}))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The batch's own tensors, with a row a clip: not the store, nor the teacher's outputs."""
        every = self.numbers, self.labels, self.audio, self.rows, self.visual_mean
        return tuple(tensor for tensor in every if tensor is not None)

    def each(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with `function` of each of its `tensors`."""
        return self._replace(
            numbers=function(self.numbers),
            labels=function(self.labels),
            audio=function(self.audio),
            rows=None if self.rows is None else function(self.rows),
            visual_mean=None if self.visual_mean is None else function(self.visual_mean),
        )
