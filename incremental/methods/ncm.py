"""NCM: nearest class mean by cosine, the "SimpleCIL" of Zhou et al., "Revisiting Class-Incremental Learning with
Pre-Trained Models: Generalizability and Adaptivity are All You Need", IJCV 2024.

Shapes: B clips, M channels, C classes.
"""

import torch.nn.functional as F
from torch import Tensor

from ..learning.closed_form.method import LinearHead


class Ncm(LinearHead):
    """The class whose mean has the largest cosine with the clip. The mean is of vectors as they are; it is brought to
    unit length afterwards. Uneven or correlated channels mislead it: features=whitened is far better."""

    name = "ncm"
    paper = "Zhou et al., Revisiting Class-Incremental Learning (SimpleCIL), IJCV 2024"
    second_moments = False

    def fit(self, *_: object) -> dict[str, float]:
        """Class means of unit length."""
        self.weights = F.normalize(self.sums.means, dim=1).T.contiguous()
        return {}

    def answer(self, vectors: Tensor) -> Tensor:
        """Cosines. (B, C)"""
        return F.normalize(vectors, dim=1) @ self.weights
