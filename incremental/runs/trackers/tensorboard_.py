"""TensorBoard: event files in the folder `tensorboard` of the run's own. `tensorboard --logdir runs` shows all runs."""

import json
from collections.abc import Mapping

from ..listeners import StartedRun
from .scalars import ScalarTracker, settings_of

FOLDER = "tensorboard"


class TensorBoard(ScalarTracker):
    """Writes event files. Of a resumed run those steps are purged that a killed session had told after its last saved
    state, and are told again."""

    def __init__(self) -> None:
        import tensorboard  # noqa: F401 - that it is missing has to be said before anything is learnt
        from torch.utils.tensorboard import SummaryWriter

        self._make = SummaryWriter
        self._writer: SummaryWriter | None = None

    def begin(self, run: StartedRun, step: int) -> None:
        """A file more, which takes back what others have told beyond `step`."""
        self._writer = self._make(str(run.folder / FOLDER), purge_step=step + 1)
        if step == 0:
            text = json.dumps(settings_of(run), indent=1)
            self._writer.add_text("settings", f"```\n{text}\n```", 0)

    def tell(self, step: int, values: Mapping[str, float]) -> None:
        """A scalar each."""
        assert self._writer is not None
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self, *, finished: bool) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
