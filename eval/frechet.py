"""Fréchet distance between two sets of features (FID, FVD), in double precision.

Pure arithmetic; streaming, so that features need not be kept. Knows neither pictures nor networks.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

FEW: Final = 256
"""Below this many items the distance says more about their number than about their quality."""

Floats = NDArray[np.floating[Any]]


class Moments:
    """Running mean and covariance of features."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: NDArray[np.float64] | None = None
        self._scatter: NDArray[np.float64] | None = None

    def add(self, features: Floats) -> None:
        """Take features, (n, channels); merged in double precision (Chan et al. 1979)."""
        batch = np.asarray(features, np.float64)
        if len(batch) == 0:
            return
        mean = batch.mean(axis=0)
        centred = batch - mean
        scatter = centred.T @ centred
        if self._mean is None or self._scatter is None:
            self.count, self._mean, self._scatter = len(batch), mean, scatter
            return
        total = self.count + len(batch)
        step = mean - self._mean
        self._scatter += scatter + np.outer(step, step) * (self.count * len(batch) / total)
        self._mean = self._mean + step * (len(batch) / total)
        self.count = total

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean, (channels,)."""
        if self._mean is None:
            raise ValueError("no feature was added")
        return self._mean

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance with n - 1, (channels, channels)."""
        if self._scatter is None or self.count < 2:
            raise ValueError(f"a covariance needs two features, there are {self.count}")
        return self._scatter / (self.count - 1)


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return the squared Fréchet distance between two Gaussians with these moments.

    The trace of the root of the product comes from the symmetric form, so that it is real without
    the small ridge that implementations add when too few features make covariances singular.

    Returns:
        0 for equal moments; lower is better.
    """
    root = _root(first.covariance)
    middle = np.linalg.eigvalsh(root @ second.covariance @ root)
    cross = float(np.sqrt(np.maximum(middle, 0.0)).sum())
    apart = float(((first.mean - second.mean) ** 2).sum())
    spread = float(np.trace(first.covariance) + np.trace(second.covariance))
    return max(0.0, apart + spread - 2 * cross)


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric root of a positive semi-definite matrix."""
    values, vectors = linalg.eigh(matrix)
    result: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    return result
