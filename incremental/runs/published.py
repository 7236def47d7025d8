"""Whether a run has exactly the published settings, and the figures published for them."""

from collections.abc import Mapping
from typing import Any

from ...manifests import published, published_names
from ..methods import find_method
from ..results.collect import INDIFFERENT
from .configure import as_plain, configure

UNPUBLISHED = ("cache", "seed", "device", "precision", "plugins", *INDIFFERENT)
"""Fields in which a run may differ from the published setting and still be a rerun of it."""


def published_figures(config: Mapping[str, Any]) -> str | None:
    """The published figures for a run with exactly the published settings, else None."""
    if config["dataset"] not in published_names():
        return None
    benchmark = published(config["dataset"])
    figures = benchmark.published.get(config["method"], {}).get(config["modality"])
    if figures is None:
        return None
    chosen = {name: config[name] for name in ("dataset", "cache", "modality")}
    preset = as_plain(*configure(find_method(config["method"]), benchmark.protocol, chosen))
    if any(config[name] != value for name, value in preset.items() if name not in UNPUBLISHED):
        return None
    return " / ".join(f"{figure:.2f}" for figure in figures)
