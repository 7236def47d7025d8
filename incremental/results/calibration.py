"""Whether a run's probabilities can be believed.

Shapes: n clips, C classes.
"""

import numpy as np
from numpy.typing import NDArray

BINS = 15


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Softmax of logits (n, C). (n, C)"""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def expected_calibration_error(shares: NDArray[np.float64], labels: NDArray[np.int64], bins: int = BINS) -> float:
    """Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eq. 3, in percent.

    Clips are put into `bins` bins (low, high] of equal width by the probability (n, C) of their answer; the error is
    the mean over clips of how far the bin's accuracy is from its mean probability.
    """
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    bin_of = np.ceil(confidence * bins).astype(np.int64)
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=bins + 1)
    return 100.0 * float(np.abs(gaps).sum()) / len(labels)


def negative_log_likelihood(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean of -log of the probability of the right class, for logits (n, C), in nats."""
    highest = logits.max(axis=1, keepdims=True)
    normaliser = highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1))
    return float(np.mean(normaliser - logits[np.arange(len(labels)), labels]))
