"""Several runs of one configuration, which differ in their seed and in the order of their classes."""

from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import InputError
from ..config import RunConfig
from ..results.files import CONFIG, holds_single_run, repeat_folder


@dataclass(frozen=True)
class Repeats:
    """How many seeds are run of how many class orders; every seed of every order."""

    seeds: int = 1
    """From the configuration's seed on; >= 1."""
    class_orders: int = 1
    """The published or given order, and orders drawn from `class_order_seed` 1, 2, ...; >= 1."""

    def __post_init__(self) -> None:
        for name, what in (("seeds", "seeds"), ("class_orders", "class orders")):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} is how many {what} to run, a number from 1 on, not {value!r}")

    def check(self, class_order_seed: int | None, tasks: str | None) -> None:
        """InputError where a run has an order or tasks of its own, which several orders would put aside."""
        if self.class_orders > 1 and class_order_seed is not None:
            raise InputError("several class orders are the given one and drawn ones: leave out class_order_seed")
        if self.class_orders > 1 and tasks is not None:
            raise InputError("several class orders are cut by classes_per_task: leave out the file of tasks")

    def places(self, out: Path, first_seed: int) -> dict[Path, tuple[int | None, int]]:
        """Class order (None: the given one) and seed of each run, by its folder, one order after the other."""
        orders = (None, *range(1, self.class_orders))
        seeds = range(first_seed, first_seed + self.seeds)
        return {repeat_folder(out, order, seed): (order, seed) for order in orders for seed in seeds}

    def configs(self, config: RunConfig, out: Path) -> dict[Path, RunConfig]:
        """The configuration of each run, by its folder. InputError where `out` is the folder of a single run."""
        self.check(config.class_order_seed, config.tasks)
        if (out / CONFIG).is_file():
            raise holds_single_run(out)
        return {
            folder: replace(config, seed=seed) if order is None else replace(config, seed=seed, class_order_seed=order)
            for folder, (order, seed) in self.places(out, config.seed).items()
        }


def repeats_of(seeds: int | None, class_orders: int | None) -> Repeats | None:
    """None where neither is given: a single run, in the folder itself."""
    if seeds is None and class_orders is None:
        return None
    return Repeats(1 if seeds is None else seeds, 1 if class_orders is None else class_orders)
