"""What a policy may look at."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Measured:
    """What nested widths are worth to each client: losses on examples that it does not train on.

    Attributes:
      widths: the widths `[W]`, rising.
      losses: mean loss of each client's held-out targets at each width `[N, W]`; NaN for a client
        without such targets, and at widths that its device does not hold.
      targets: held-out targets of each client, over which its losses are means `[N]`.
      current: the widths that the measurement before gave `[N]`; None if this is the first one.
    """

    widths: np.ndarray
    losses: np.ndarray
    targets: np.ndarray
    current: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class ClientStats:
    """What a policy may look at: one entry for each client, from training data only.

    Attributes:
      num_examples: examples `n` that each client trains on `[N]`.
      scores: heterogeneity scores `h` `[N]`; larger means more heterogeneous. They are zeros
        where the policy reads none.
      max_widths: the widest subnet that each client's device holds `[N]`, in (0, 1].
      measured: losses at some widths; None before the first measurement, and always for policies
        that do not reallocate.
    """

    num_examples: np.ndarray
    scores: np.ndarray
    max_widths: np.ndarray
    measured: Measured | None = None

    @property
    def shares(self) -> np.ndarray:
        """Shares of all training examples, `q_i = n_i / sum_j n_j` `[N]`."""
        return self.num_examples / self.num_examples.sum()
