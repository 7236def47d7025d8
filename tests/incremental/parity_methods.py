"""Methods with the weights of the recorded values, and what is asserted of theirs."""

from avcil.incremental.reproduce.parity import RELATIVE, off
from avcil.incremental.reproduce.recorded import expected
from avcil.incremental.reproduce.replayed import (
    TASKS as TASKS,
)
from avcil.incremental.reproduce.replayed import (
    clips as clips,
)
from avcil.incremental.reproduce.replayed import (
    gradient_norms as gradient_norms,
)
from avcil.incremental.reproduce.replayed import (
    load as load,
)
from avcil.incremental.reproduce.replayed import (
    student as student,
)
from avcil.incremental.reproduce.replayed import (
    taught as taught,
)
from avcil.incremental.reproduce.replayed import (
    teacher as teacher,
)
from torch import Tensor


def agrees(ours: Tensor, *path: str, relative: float = RELATIVE) -> None:
    """Agreement with a parity value, relative to the largest value of the whole."""
    theirs = expected(*path)
    assert ours.shape == theirs.shape
    assert off(ours, theirs) <= relative
