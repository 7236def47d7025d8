"""Batches of clips by number: features from residence, labels, and the order in which training sees them.

Shapes: B clips, n clips.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice

import torch
from torch import Tensor

from .batch import Batch
from .residence import Residence


class ClipReader:
    """Puts features and labels to clip numbers."""

    def __init__(self, residence: Residence, labels: Tensor) -> None:
        self.residence = residence
        self.labels = labels.to(residence.device)

    def batches(self, index: Sequence[Tensor], new: Sequence[int] | None = None) -> Iterator[Batch]:
        """The clips of each entry (B,) of `index`; the first new[i] of them belong to the current task."""
        residence = self.residence
        new = [len(batch) for batch in index] if new is None else new
        for (clips, rows), count in zip(residence.stream(index), new, strict=True):
            yield Batch(
                numbers=clips,
                labels=self.labels[clips],
                audio=residence.audio[clips],
                store=residence.store,
                rows=rows,
                visual_mean=None if residence.mean is None else residence.mean[clips],
                new=count,
            )

    def at_once(self, wanted: int) -> int:
        """Clips a batch outside training: `wanted`, but no more than in training.

        Whether all are resident or not, so that results do not depend on that.
        """
        return min(wanted, self.residence.largest_batch)

    @torch.no_grad()
    def over(self, function: Callable[[Batch], Tensor], clips: Tensor, batch_size: int) -> Tensor:
        """`function` of `clips` (n,), in batches of at most `batch_size` without gradients, joined, on the CPU."""
        parts = [function(batch) for batch in self.batches(clips.split(self.at_once(batch_size)))]
        return torch.cat(parts).cpu()


def shuffled_batches(clips: Tensor, batch_size: int, generator: torch.Generator) -> list[Tensor]:
    """`clips` (n,) in random order, in full batches: the last incomplete one is dropped.

    A batch size larger than the set is lowered to the set's size, so there is always one batch.
    """
    size = min(batch_size, len(clips))
    order = clips[torch.randperm(len(clips), generator=generator)]
    return list(order[: len(clips) // size * size].split(size))


def beside(new: Sequence[Tensor], memory: Sequence[Tensor]) -> list[Tensor]:
    """New batches, each followed by a memory batch; memory batches come again for as long as new ones last."""
    if not memory:
        return list(new)
    return [torch.cat(pair) for pair in zip(new, islice(cycle(memory), len(new)), strict=True)]
