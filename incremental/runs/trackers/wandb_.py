"""Weights & Biases: a run of project `avcil` for each run. WANDB_MODE=offline needs neither account nor network."""

import os
import secrets
from collections.abc import Mapping
from typing import Any

from ..listeners import StartedRun
from .scalars import ScalarTracker, name_of, remember, remembered, settings_of


class WeightsAndBiases(ScalarTracker):
    """Tells wandb, which is set up by its own environment variables (WANDB_MODE, WANDB_PROJECT, WANDB_ENTITY ...).

    A resumed run goes on under its id, which stands in trackers.json of the run's folder; a step that the service has
    already it does not take again.
    """

    def __init__(self) -> None:
        import wandb

        self._wandb = wandb
        self._run: Any = None

    def begin(self, run: StartedRun, step: int) -> None:
        """A run of wandb's, or the one there is."""
        known = remembered(run.folder, "wandb")
        identity = known or secrets.token_hex(4)
        if known is None:
            remember(run.folder, "wandb", identity)
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "avcil"),
            id=identity,
            resume="allow",
            reinit="finish_previous",  # one that has failed in this process without an end
            name=name_of(run),
            group=run.config.method,
            dir=str(run.folder),
            config=settings_of(run),
            settings=self._wandb.Settings(console="off"),
        )

    def tell(self, step: int, values: Mapping[str, float]) -> None:
        """What comes at one step is one row of wandb's."""
        self._run.log(dict(values), step=step)

    def end(self, *, finished: bool) -> None:
        """Hand the rest over."""
        if self._run is not None:
            self._run.finish()
            self._run = None
