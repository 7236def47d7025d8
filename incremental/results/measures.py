"""What a run costs, and how far its figures can be trusted: entries of metrics.json beside `metrics.FIGURES`.

A measure is named, titled and explained here; tables, CSV files and documents take it from there.
"""

from dataclasses import dataclass
from typing import Literal

from ...wording import size
from .spreads import Spread, rounded

Unit = Literal["s", "operations", "bytes", "MiB", "%", "nats"]


@dataclass(frozen=True)
class Measure:
    """An entry of metrics.json that is a number."""

    name: str
    title: str
    """In tables."""
    unit: Unit
    """As tables show it; metrics.json has bytes where this says MiB."""
    meaning: str
    """In documents."""
    of_one_run: bool = True
    """Whether it is a line of its own where a single run is shown; other words tell the rest there."""

    def words(self, value: float | None, digits: int) -> str:
        """A value in a cell of a table."""
        if value is None:
            return "-"
        if self.unit == "bytes":
            return size(value)
        if self.unit == "operations":
            return f"{value:.1e}"
        return rounded(self._scaled(value), self._digits(digits))

    def spread_words(self, value: Spread | None, digits: int, *, interval: bool) -> str:
        """A value over runs in a cell of a table; of bytes and operations the mean alone."""
        if value is None or self.unit in ("bytes", "operations"):
            return self.words(None if value is None else value.mean, digits)
        scale = self._scaled(1.0)
        parts = (value.mean, value.deviation, value.interval, value.within)
        scaled = Spread(*(None if one is None else one * scale for one in parts))  # type: ignore[arg-type]
        return scaled.words(digits=self._digits(digits), interval=interval)

    def _scaled(self, value: float) -> float:
        return value / 2**20 if self.unit == "MiB" else value

    def _digits(self, digits: int) -> int:
        return {"s": 1, "MiB": 0}.get(self.unit, digits)


MEASURES = {
    one.name: one
    for one in (
        Measure("seconds", "Seconds a run", "s", "Time of learning and testing, over all sessions.", False),
        Measure(
            "peak_memory_bytes", "Peak memory, MiB", "MiB", "Most memory held, on the GPU where there is one.", False
        ),
        Measure(
            "operations",
            "Operations",
            "operations",
            "Floating-point operations of products, factorisations and solves, in learning, validation and test.",
        ),
        Measure(
            "exemplar_bytes",
            "Exemplars",
            "bytes",
            "Features of the clips of old classes that are kept for training, as the cache stores them and as far as "
            "the method reads them; the largest after any task.",
        ),
        Measure(
            "statistics_bytes",
            "Statistics",
            "bytes",
            "Sums that later tasks are solved from and answers are not, after the last task.",
        ),
        Measure("weight_bytes", "Weights", "bytes", "All that answers are worked out from, after the last task."),
        Measure("kept_bytes", "Bytes kept", "bytes", "Exemplars, statistics and weights together."),
        Measure(
            "mean_accuracy_noise",
            "Clips ±",
            "%",
            "Half the 95% interval of Mean Accuracy that the choice of test clips alone implies.",
            False,
        ),
        Measure("last_accuracy_noise", "Last, clips ±", "%", "The same of Last Accuracy.", False),
        Measure(
            "expected_calibration_error",
            "ECE",
            "%",
            "After the last task, how far confidence and accuracy lie apart, in 15 bins of equal width (Guo et al., "
            "2017); null where scores are no logits.",
        ),
        Measure(
            "negative_log_likelihood",
            "NLL",
            "nats",
            "After the last task, the mean of -log of the right class's probability; null where scores are no logits.",
        ),
    )
}
"""By name, in the order in which they are shown."""
