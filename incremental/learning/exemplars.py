"""Herding, and the nearest-mean-of-exemplars readout of iCaRL (Rebuffi et al., CVPR 2017).

Shapes: n clips, B clips, D channels, C classes.
"""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Modality
from ..data.batch import Batch
from ..data.tasks import Task
from ..model.heads import Heads, Widths
from .gradient import Method
from .method import Context


def herding(features: Tensor, count: int, *, repeats: bool) -> Tensor:
    """Places (count,) of the rows of `features` (n, D) whose running mean stays nearest to the mean of all.

    iCaRL, algorithm 4. With `repeats` a row may be chosen again, as in the released code; without, each
    row is chosen once at most. At most n rows are chosen.
    """
    mean = features.mean(dim=0)
    total = torch.zeros_like(mean)
    chosen: list[int] = []
    for number in range(1, min(count, len(features)) + 1):
        distance = (mean - (total + features) / number).norm(dim=1)  # (n,)
        if not repeats:
            distance[chosen] = torch.inf
        chosen.append(int(distance.argmin()))
        total = total + features[chosen[-1]]
    return torch.tensor(chosen, dtype=torch.int64)


def normalised_features(heads: Heads, batch: Batch) -> Tensor:
    """h of eq. 5 at unit length. (B, D)."""
    return F.normalize(heads(batch).fused, dim=1)


class HerdingMemory(Method):
    """A method whose exemplars are chosen by herding on the normalised fused feature.

    `settings.herding_repeats` says whether one clip may be chosen twice.
    """

    reads_settings: ClassVar[tuple[str, ...]] = ("herding_repeats",)

    def choose_exemplars(self, context: Context, label: int, clips: Tensor, share: int) -> Tensor:
        """Herding among `clips` (n,)."""
        features = context.over(lambda batch: normalised_features(self.heads, batch), clips)
        return clips[herding(features, share, repeats=self.settings.herding_repeats)]


class NearestMean(nn.Module):
    """Class means of normalised features, and how near a feature is to each."""

    means: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(0, channels))

    def widen(self, classes: int) -> None:
        """Make room for the means of `classes` in all."""
        grown = self.means.new_zeros(classes, self.means.shape[1])
        grown[: len(self.means)] = self.means
        self.means = grown

    def forward(self, features: Tensor) -> Tensor:
        """Minus the distance of features (B, D) to each class mean. (B, C)."""
        return -torch.cdist(features, self.means)


class NearestMeanReadout(HerdingMemory):
    """The NME readout: exemplars and class means are worked out anew after every epoch, and the means of the
    chosen epoch are kept with its weights. `settings.normalise_means` brings means back to unit length."""

    scores_are_logits = False
    reads_settings = ("herding_repeats", "normalise_means")

    def __init__(self, settings: Any, widths: Widths, modality: Modality) -> None:
        super().__init__(settings, widths, modality)
        self.nearest_mean = NearestMean(widths.visual)

    def grow(self, task: Task) -> None:
        """Room for the new classes' means as well."""
        super().grow(task)
        self.nearest_mean.widen(task.seen_classes)

    def after_epoch(self, context: Context) -> None:
        """Choose exemplars of the new classes and work out every seen class's mean.

        An old class whose share has shrunk to nothing keeps the mean that it had last.
        """
        share = context.memory.share(self.task.seen_classes)
        held = {label: clips[:share] for label, clips in context.memory.chosen.items()}
        lists = {label: torch.tensor(clips, dtype=torch.int64) for label, clips in held.items() if clips}
        lists |= {label: self._herded(context, label, share) for label in self.task.new_classes}
        together = torch.cat(list(lists.values()))
        features = context.over(lambda batch: normalised_features(self.heads, batch), together)
        parts = features.split([len(clips) for clips in lists.values()])
        for label, part in zip(lists, parts, strict=True):
            mean = part.mean(dim=0)
            self.nearest_mean.means[label] = F.normalize(mean, dim=0) if self.settings.normalise_means else mean

    def _herded(self, context: Context, label: int, share: int) -> Tensor:
        """Exemplars of a new class; its first clip at least, so that every class has a mean."""
        clips = context.new_clips[context.labels[context.new_clips] == label]
        return self.choose_exemplars(context, label, clips, max(share, 1))

    def scores(self, batch: Batch) -> Tensor:
        """Nearness to each class mean. (B, C)."""
        scores: Tensor = self.nearest_mean(normalised_features(self.heads, batch))
        return scores
