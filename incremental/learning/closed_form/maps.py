"""Feature maps h = f(z): what a linear head sees in place of a clip's vector.

Random draws are worked out anew from their seed and are no part of what is saved: 10,000 random features of 1,536
channels would be 123 MB.

Shapes: n clips, D channels of a vector, M features.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from ...model.operations import count_product

EVERY = slice(None)
PAIRS = 2000
"""Clips of which all pairs are looked at for the median distance; of more, so many are drawn."""


class Same(nn.Module):
    """h = z."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.width = channels

    def forward(self, vectors: Tensor, columns: slice = EVERY) -> Tensor:
        """Vectors (n, D) as they are. (n, columns)"""
        return vectors[:, columns]


class _Drawn(nn.Module):
    """A map with random draws. Its seed comes from PyTorch's global state: the run's, when a method is built."""

    seed: Tensor

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.channels, self.width = channels, width
        self.register_buffer("seed", torch.randint(2**62, ()))
        self._draws: tuple[Tensor, ...] | None = None
        self._of: tuple[int, torch.device] | None = None

    def draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The random numbers, float64 on the CPU."""
        raise NotImplementedError

    def draws(self) -> tuple[Tensor, ...]:
        """The random numbers of the seed, on its device; drawn once."""
        wanted = int(self.seed), self.seed.device
        if self._draws is None or self._of not in (None, wanted):
            drawn = self.draw(torch.Generator().manual_seed(wanted[0]))
            self._draws, self._of = tuple(numbers.to(wanted[1]) for numbers in drawn), wanted
        return self._draws

    def use(self, *draws: Tensor) -> None:
        """Use these numbers from now on, whatever the seed."""
        self._draws, self._of = draws, None


class RandomFeatures(_Drawn):
    """h = activation(z A), A (D, M) without bias: standard normal, or uniform in +-1 / sqrt(D)."""

    def __init__(
        self,
        channels: int,
        width: int,
        distribution: Literal["normal", "uniform"],
        activation: Callable[[Tensor], Tensor] = torch.relu,
    ) -> None:
        super().__init__(channels, width)
        self.distribution, self.activation = distribution, activation

    def draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """A. (D, M)"""
        shape = self.channels, self.width
        if self.distribution == "normal":
            return (torch.randn(shape, generator=generator, dtype=torch.float64),)
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
        return ((2 * uniform - 1) / self.channels**0.5,)

    def project(self, vectors: Tensor, columns: slice = EVERY) -> Tensor:
        """z A. (n, columns)"""
        matrix = self.draws()[0][:, columns]
        count_product(len(vectors), *matrix.shape)
        return vectors @ matrix

    def forward(self, vectors: Tensor, columns: slice = EVERY) -> Tensor:
        """Features of vectors (n, D). (n, columns)"""
        return self.activation(self.project(vectors, columns))


class FourierFeatures(_Drawn):
    """h = sqrt(2 / M) cos(z Omega + b): Rahimi and Recht, NeurIPS 2007, for the kernel exp(-gamma |z - z'|^2)."""

    gamma: Tensor

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(channels, width)
        self.register_buffer("gamma", torch.ones((), dtype=torch.float64))

    def draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Omega / sqrt(2 gamma) (D, M), standard normal, and b (M,), uniform in [0, 2 pi)."""
        omega = torch.randn(self.channels, self.width, generator=generator, dtype=torch.float64)
        return omega, 2 * torch.pi * torch.rand(self.width, generator=generator, dtype=torch.float64)

    def forward(self, vectors: Tensor, columns: slice = EVERY) -> Tensor:
        """Features of vectors (n, D). (n, columns)"""
        omega, phase = self.draws()
        count_product(len(vectors), self.channels, len(phase[columns]))
        angles = (vectors * (2 * self.gamma).sqrt()) @ omega[:, columns] + phase[columns]
        return angles.cos_().mul_((2 / self.width) ** 0.5)


class KernelFeatures(nn.Module):
    """h_j = exp(-|z - m_j|^2 / (2 sigma^2)) around centres m_j, which are kept. Where fewer were given than there is
    room for, the rest are 0."""

    centres: Tensor
    used: Tensor
    sigma: Tensor

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("centres", torch.zeros(width, channels, dtype=torch.float64))
        self.register_buffer("used", torch.zeros((), dtype=torch.int64))
        self.register_buffer("sigma", torch.ones((), dtype=torch.float64))

    def set(self, centres: Tensor, sigma: float) -> None:
        """Take centres (at most M, D) and sigma."""
        self.centres[: len(centres)] = centres
        self.used.fill_(len(centres))
        self.sigma.fill_(sigma)

    def forward(self, vectors: Tensor, columns: slice = EVERY) -> Tensor:
        """Features of vectors (n, D). (n, columns)"""
        centres = self.centres[columns]
        count_product(len(vectors), centres.shape[1], len(centres))
        squares = vectors.square().sum(dim=1)[:, None] + centres.square().sum(dim=1) - 2 * vectors @ centres.T
        features = (-squares.clamp_(min=0) / (2 * self.sigma**2)).exp_()
        return features * (torch.arange(self.width, device=centres.device)[columns] < self.used)


def median_square_distance(vectors: Tensor, generator: torch.Generator) -> float:
    """The median of |z - z'|^2 over pairs of the vectors (n, D), of `PAIRS` of them at most; 1 where it is 0."""
    if len(vectors) > PAIRS:
        vectors = vectors[torch.randperm(len(vectors), generator=generator)[:PAIRS].to(vectors.device)]
    if len(vectors) < 2:
        return 1.0
    median = float(torch.nn.functional.pdist(vectors).square().median())
    return median or 1.0
