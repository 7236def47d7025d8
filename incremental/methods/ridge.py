"""Ridge: McDonnell et al., "RanPAC: Random Projections and Pre-trained Models for Continual Learning", NeurIPS 2023.

Their head without the random projection: ridge regression from frozen features to one-hot labels, in closed form. It
departs from their code in that features are standardised, and the penalty is chosen by leave-one-out instead of on a
held-out fifth of the task.
"""

from pydantic.dataclasses import dataclass

from ..config import STRICT
from ..learning.closed_form.method import PenaltyChoice, PenaltySettings, RidgeHead


@dataclass(frozen=True, config=STRICT)
class RidgeSettings(PenaltySettings):
    """Settings of ridge."""

    penalty_choice: PenaltyChoice = "leave-one-out"
    """"leave-one-out": the smallest error of the task's own clips, each by the weights that all other clips seen so far
    give; "held-out", as released: on a random fifth of the task's clips, after a fit on its others alone, which does
    not see how many clips the weights will be solved from."""


class Ridge(RidgeHead):
    """Ridge regression on [mean of the visual tokens | audio], standardised with the first task's training clips. No
    exemplars and no gradient: after every task the weights are those of training on all clips seen so far at once."""

    name = "ridge"
    paper = "McDonnell et al., RanPAC, NeurIPS 2023 (its head without random projection)"
    Settings = RidgeSettings
