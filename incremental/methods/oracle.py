"""Oracle: the upper bound of "Audio-Visual Class-Incremental Learning" (Pian et al., ICCV 2023)."""

from ..data.tasks import Task
from ..learning.gradient import Method


class Oracle(Method):
    """A fresh model in every task, trained with cross-entropy on all clips seen so far."""

    name = "oracle"
    paper = "Pian et al., Audio-Visual Class-Incremental Learning, ICCV 2023 (upper bound)"
    uses_memory = False
    replay = "everything"

    def grow(self, task: Task) -> None:
        """Start anew."""
        self.heads = self.build_heads()
        super().grow(task)
