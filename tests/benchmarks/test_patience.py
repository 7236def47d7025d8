"""The benchmark of patience on the demo: what stands in its tables."""

from pathlib import Path
from typing import Any

import pytest
from avcil.benchmarks.patience import CASES, HEADINGS, PLAIN, epochs_of, paired, row, tables
from avcil.incremental.results.collect import FinishedRun

from ..incremental.called import done


def ended(seed: int, **metrics: Any) -> FinishedRun:
    return FinishedRun(Path("run"), {"run": {"seed": seed, "epochs": 50}}, metrics)


def runs(*figures: tuple[float, float, float], **more: Any) -> list[FinishedRun]:
    names = ("mean_accuracy", "average_forgetting", "seconds")
    return [ended(seed, **dict(zip(names, of_run, strict=True)), **more) for seed, of_run in enumerate(figures)]


def test_a_case_is_compared_with_the_plain_run_of_the_same_seed():
    """Differences 1 and 3, shares 0.5 and 0.25; Student's t of one degree of freedom at 97.5% is 12.706."""
    plain, early = runs((70, 5, 20), (80, 5, 40)), runs((71, 5, 10), (83, 5, 10), epochs_by_task=[10, 30])
    difference = paired(early, plain, "mean_accuracy")
    assert difference is not None and difference.interval == pytest.approx(12.7062)  # times 2^.5 / 2^.5
    assert epochs_of(early[0]) == 20
    assert row("early", early, plain) == (
        "| early | 77.00 ± 8.49 | 2.00 ± 12.71 | 5.00 ± 0.00 | 0.00 ± 0.00 | 20.0 | 10.0 | 0.38 ± 1.59 |"
    )
    assert row(PLAIN, plain, plain) == "| plain | 75.00 ± 7.07 |  | 5.00 ± 0.00 |  | 50.0 | 30.0 |  |"
    lines = list(tables({"x": {PLAIN: plain, "early": early}}))
    assert {line.count("|") for line in lines[1:]} == {len(HEADINGS) + 1}


def test_other_seeds_make_no_pairs():
    with pytest.raises(ValueError, match="other seeds"):
        paired(runs((70, 5, 20)), [ended(3, mean_accuracy=1.0)], "mean_accuracy")


@pytest.mark.parametrize("case", CASES)
def test_a_case_is_a_run_that_can_be_configured(case: str):
    words = ("run", "--method", "av-cil", "--dataset", "ave", "--model-choice", "best", *CASES[case])
    assert '"patience"' in done(*words, "--print-config")
