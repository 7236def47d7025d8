"""The cosine classifier with several proxies a class, and its NCA loss, as AFC uses them.

From PODNet (Douillard et al., ECCV 2020), taken over by AFC (Kang et al., CVPR 2022).

Shapes: B clips, D channels, C classes, K proxies a class.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .heads import Classifier
from .operations import count_linear


class ProxyClassifier(Classifier):
    """Similarity of features to the K proxies of each class; old classes' proxies are frozen.

    A similarity is minus the squared distance of unit vectors; a class's K similarities are summed with
    their own softmax as weights. The learnt scale belongs to the loss, not to these similarities.
    """

    def __init__(self, channels: int, per_class: int) -> None:
        super().__init__()
        self.per_class = per_class
        self.old_proxies = nn.Parameter(torch.empty(0, channels), requires_grad=False)
        self.new_proxies = nn.Parameter(torch.empty(0, channels))
        self.scale = nn.Parameter(torch.ones(()))

    def widen(self, classes: int) -> None:
        """Freeze the proxies there are and draw those of new classes from N(0, 1/D); the scale begins at 1."""
        old = self.proxies.detach()
        channels = old.shape[1]
        fresh = torch.randn(classes * self.per_class - len(old), channels) / channels**0.5
        self.old_proxies = nn.Parameter(old.clone(), requires_grad=False)
        self.new_proxies = nn.Parameter(fresh.to(old.device))
        self.scale = nn.Parameter(torch.ones((), device=old.device))

    @property
    def proxies(self) -> Tensor:
        """All proxies, a class's K rows together. (C * K, D)."""
        return torch.cat([self.old_proxies, self.new_proxies])

    def forward(self, features: Tensor) -> Tensor:
        """Similarity of features (B, D) to each class. (B, C)."""
        count_linear(len(features), self.proxies, inputs_learn=features.requires_grad)
        cosine = F.linear(F.normalize(features, dim=1), F.normalize(self.proxies, dim=1))  # (B, C * K)
        similarity = -(2 - 2 * cosine).clamp(min=0).view(len(features), -1, self.per_class)  # (B, C, K)
        return (similarity.softmax(dim=-1) * similarity).sum(dim=-1)


def nca_loss(similarities: Tensor, labels: Tensor, scale: Tensor | float, margin: float = 0.0) -> Tensor:
    """NCA loss of similarities (B, C): mean of -(z_y - log(1 + sum_{j != y} e^{z_j})).

    z = scale * similarity minus its row's maximum. `margin` is taken from the target's similarity first, as
    PODNet writes it; the released code takes it from every class, where it cancels, which is margin 0.
    """
    own = labels[:, None] == torch.arange(similarities.shape[1], device=labels.device)  # (B, C)
    scaled = scale * (similarities - margin * own)
    scaled = scaled - scaled.max(dim=1, keepdim=True).values
    others = scaled.masked_fill(own, -torch.inf).logsumexp(dim=1)  # (B,)
    target = scaled.gather(1, labels[:, None]).squeeze(1)  # (B,)
    return -(target - torch.logaddexp(others, torch.zeros_like(others))).mean()
