"""Fine-tuning: the lower bound of "Audio-Visual Class-Incremental Learning" (Pian et al., ICCV 2023)."""

from ..learning.gradient import Method


class FineTuning(Method):
    """Cross-entropy over all classes so far on the new clips alone; nothing is done against forgetting."""

    name = "fine-tuning"
    paper = "Pian et al., Audio-Visual Class-Incremental Learning, ICCV 2023 (lower bound)"
    uses_memory = False
