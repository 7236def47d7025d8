"""Covariances of few clips: shrinkage by OAS, and the root of the inverse.

Shapes: n clips, D channels.
"""

import torch
from torch import Tensor


def oas_shrinkage(square_sum: float, trace: float, channels: int, clips: float) -> float:
    """rho of Chen, Wiesel, Eldar and Hero, "Shrinkage Algorithms for MMSE Covariance Estimation", 2010, eq. 23, as
    scikit-learn has it: (1 - rho) S + rho (trace / D) I is the shrunk form of a covariance S of n clips divided by n.

    `square_sum` is the sum of its D x D squared entries.
    """
    mean = trace / channels
    alpha = square_sum / channels**2
    denominator = (clips + 1) * (alpha - mean**2 / channels)
    return 1.0 if denominator <= 0 else min(1.0, (alpha + mean**2) / denominator)


def oas(covariance: Tensor, clips: float) -> Tensor:
    """A covariance (D, D) of n clips, divided by n, shrunk towards a multiple of the identity. (D, D)"""
    channels = len(covariance)
    trace = float(covariance.diagonal().sum())
    rho = oas_shrinkage(float(covariance.square().sum()), trace, channels, clips)
    shrunk = (1 - rho) * covariance
    shrunk.diagonal().add_(rho * trace / channels)
    return shrunk


def within_class(rows: Tensor, labels: Tensor) -> Tensor:
    """Rows (n, D) minus the mean of their class. (n, D)"""
    classes = int(labels.max()) + 1
    members = torch.nn.functional.one_hot(labels, classes).to(rows.dtype)
    means = (members.T @ rows) / members.sum(dim=0).clamp(min=1)[:, None]
    return rows - means[labels]


def inverse_root(covariance: Tensor) -> Tensor:
    """The symmetric S^-1/2 of a covariance S (D, D); directions without spread are left out. (D, D)"""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    scale = torch.where(kept, values.clamp(min=torch.finfo(values.dtype).tiny).rsqrt(), 0.0)
    root: Tensor = (vectors * scale) @ vectors.T
    return root
