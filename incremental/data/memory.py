"""The exemplar memory: which clips of old classes may be trained on again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class ExemplarMemory:
    """Clips of old classes that may be trained on again: at most `size` in all, an equal share a class.

    Each class holds a list in the order of choice; when the share shrinks, it keeps a prefix of its list.
    """

    size: int
    """|M|: clips in all."""
    chosen: dict[int, list[int]] = field(default_factory=dict)
    """Class index -> clip numbers in the order of choice."""

    def share(self, classes: int) -> int:
        """|M| // classes: clips a class may hold once `classes` have been seen."""
        return self.size // classes

    def admit(self, chosen: Mapping[int, Sequence[int]], classes: int) -> None:
        """Take the lists of new classes and cut every list to the share that `classes` seen leave."""
        self.chosen.update({label: list(clips) for label, clips in chosen.items()})
        share = self.share(classes)
        self.chosen = {label: clips[:share] for label, clips in sorted(self.chosen.items())}

    @property
    def clips(self) -> Tensor:
        """(n,) int64 clip numbers, class by class."""
        return torch.tensor([clip for clips in self.chosen.values() for clip in clips], dtype=torch.int64)
