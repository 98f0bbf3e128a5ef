"""What a policy may look at."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ClientStats:
    """What a policy may look at: one entry for each client, from training data only.

    Attributes:
      num_examples: training examples `n` `[N]`.
      scores: heterogeneity scores `h` `[N]`; larger means more heterogeneous. They are zeros
        where the policy reads none.
      max_widths: the widest subnet that each client's device holds `[N]`, in (0, 1].
    """

    num_examples: np.ndarray
    scores: np.ndarray
    max_widths: np.ndarray

    @property
    def shares(self) -> np.ndarray:
        """Shares of all training examples, `q_i = n_i / sum_j n_j` `[N]`."""
        return self.num_examples / self.num_examples.sum()
