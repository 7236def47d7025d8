"""RanPAC: McDonnell et al., "RanPAC: Random Projections and Pre-trained Models for Continual Learning", NeurIPS 2023.

Without its adaptation of the encoder in the first task, which cached features rule out.
"""

from typing import Any

from pydantic.dataclasses import dataclass

from ..config import STRICT, Positive
from ..learning.closed_form.maps import RandomFeatures
from ..learning.closed_form.method import PenaltyChoice, PenaltySettings, RidgeHead


@dataclass(frozen=True, config=STRICT)
class RanPacSettings(PenaltySettings):
    """Settings of RanPAC."""

    width: Positive = 10000
    """M, random features."""
    penalty_choice: PenaltyChoice = "held-out"
    """"held-out", as released: on a random fifth of the task's clips, after a fit on its others alone; "leave-one-out":
    the smallest error of the task's own clips, each by the weights that all other clips seen so far give, which costs a
    factorisation of the whole matrix for each of eleven candidates."""


class RanPac(RidgeHead):
    """Ridge regression on relu(z P), P standard normal and never trained. The released code takes features raw."""

    name = "ranpac"
    paper = "McDonnell et al., RanPAC, NeurIPS 2023"
    Settings = RanPacSettings

    def make_map(self) -> Any:
        """Relu of a normal projection."""
        return RandomFeatures(self.channels, self.settings.width, "normal")
