"""Curves of loss by cost: what a client measured, made smooth enough to allocate by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hasa_jax.allocation.stats import Measured


class Curves(NamedTuple):
    """The loss of every client by the cost of its subnet, linear between some costs.

    Losses fall or stay as the cost grows, and each further cost gains less: curves are convex.

    Attributes:
      costs: relative costs `[W]`, rising.
      losses: loss of each client at each of them `[N, W]`.
    """

    costs: np.ndarray
    losses: np.ndarray

    @property
    def slopes(self) -> np.ndarray:
        """Loss that each client loses for a unit of cost, between the costs `[N, W - 1]`."""
        return -np.diff(self.losses) / np.diff(self.costs)

    def at(self, costs: np.ndarray) -> np.ndarray:
        """Returns the loss of each client at a cost of its own `[N]`."""
        if len(self.costs) == 1:
            return self.losses[:, 0]
        segment = np.searchsorted(self.costs, costs, side="right") - 1
        segment = np.clip(segment, 0, len(self.costs) - 2)
        clients = np.arange(len(costs))
        before, after = self.losses[clients, segment], self.losses[clients, segment + 1]
        slopes = (before - after) / (self.costs[segment + 1] - self.costs[segment])
        return before - slopes * (costs - self.costs[segment])


def curves_of(measured: Measured, costs: np.ndarray, shrinkage: float) -> Curves:
    """Fits the curve of every client: shrunk to the mean curve, then convex.

    Args:
      measured: losses at some widths.
      costs: relative costs of these widths `[W]`, rising.
      shrinkage: targets that the mean curve counts as (see `shrunk`).

    Returns:
      The curves.
    """
    losses = shrunk(measured.losses, measured.targets, shrinkage)
    return Curves(costs, convex(losses, costs))


def shrunk(losses: np.ndarray, targets: np.ndarray, shrinkage: float) -> np.ndarray:
    """Moves the losses of clients with few targets towards the mean curve.

    `l'_ij = a_i l_ij + (1 - a_i) m_j` with `a_i = t_i / (t_i + shrinkage)`. The mean curve is
    `m_j = sum_i t_i l_ij / sum_i t_i`. Where some clients did not measure a width, the differences
    between neighbouring widths are averaged and shrunk instead, each over those that did. That is
    the same where all of them measured.

    Args:
      losses: mean losses `[N, W]`; NaN where nothing was measured. Who measured a width measured
        all narrower ones.
      targets: targets `t` that they are means over `[N]`.
      shrinkage: targets that the mean curve counts as.

    Returns:
      Losses `[N, W]` without NaN.
    """
    # The first loss, and the differences after it, add up to the curve.
    parts = np.diff(losses, axis=1, prepend=0.0)
    known = np.isfinite(parts) & (targets > 0)[:, None]
    parts = np.where(known, parts, 0.0)
    weights = targets[:, None] * known
    mean = (weights * parts).sum(axis=0) / np.maximum(weights.sum(axis=0), 1)
    trust = np.where(known, (targets / np.maximum(targets + shrinkage, 1e-300))[:, None], 0.0)
    return np.cumsum(trust * parts + (1 - trust) * mean, axis=1)


def convex(losses: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Fits a falling convex curve to the losses of every client.

    The gains `l_1 - l_j` get their least concave majorant. Its slopes are the isotonic regression
    of the measured ones, weighted by the costs that they cover:
    `s_j = min_{a <= j} max_{b >= j} (l_{a - 1} - l_b) / (c_b - c_{a - 1})`. Slopes below 0 become
    0: a client can ignore units that harm it. The loss of the narrowest width stays as it is.

    Args:
      losses: `[N, W]`.
      costs: costs `c` `[W]`, rising.

    Returns:
      Losses `[N, W]`.

    References:
      Barlow et al., Statistical Inference under Order Restrictions, 1972.
    """
    count = len(costs) - 1
    slopes = np.empty((len(losses), count))
    for j in range(1, count + 1):
        best = [
            np.max((losses[:, [a]] - losses[:, j:]) / (costs[j:] - costs[a]), axis=1)
            for a in range(j)
        ]
        slopes[:, j - 1] = np.min(best, axis=0)
    gains = np.cumsum(np.maximum(slopes, 0.0) * np.diff(costs), axis=1)
    return losses[:, :1] - np.concatenate([np.zeros((len(losses), 1)), gains], axis=1)
