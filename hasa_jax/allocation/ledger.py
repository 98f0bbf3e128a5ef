"""The ledger: which budget was requested, and what the allocated sizes cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from hasa_jax.supernet import costs
from hasa_jax.supernet.types import Extraction, Model


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The requested budget, and the cost of the allocated sizes in every unit.

    Costs are size-weighted means over the clients that take part, as fractions of the supernet.

    Attributes:
      requested: the budget `B`; NaN for a policy that follows no budget.
      unit: the unit of `requested`.
      width: achieved mean width.
      params: achieved mean of the parameters; of single parameters, of those that can be cut.
      uncut: parameters that no size cuts and `params` does not count: those of norms, where
        single parameters are kept.
      macs: achieved mean of the MACs; nominal for single parameters.
      bytes: achieved mean of the bytes that a client receives and sends in a round.
      executed: achieved mean of the MACs that dense kernels execute on narrow subnets.
      bytes_down: bytes that a client receives in a round, the plain mean over clients.
      bytes_up: bytes that it sends.
      bytes_once: bytes that it sends once for its score; NaN for a score that does not say.
      severed: share of the clients whose subnet has no path from input to output at the start;
        NaN where each client's own data decide its parameters.
    """

    requested: float
    unit: str
    width: float
    params: float
    uncut: float
    macs: float
    bytes: float
    executed: float
    bytes_down: float
    bytes_up: float
    bytes_once: float
    severed: float


def mean_costs(
    rounds: Sequence[np.ndarray], weights: np.ndarray, tables: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Computes `mean_r sum_i q_i c(k_ri) / sum_i q_i` in every unit.

    Args:
      rounds: sizes `k` of the clients in each of some rounds, `[N]` each.
      weights: share `q` of each client, 0 for those that take no part `[N]`.
      tables: `{unit: relative cost of the sizes 0..H}`.

    Returns:
      `{unit: achieved cost}`.
    """
    return {
        unit: float(np.mean([weights @ table[sizes] / weights.sum() for sizes in rounds]))
        for unit, table in tables.items()
    }


def distinct_sizes(rounds: Sequence[np.ndarray]) -> list[int]:
    """Returns the sizes that clients have in some rounds.

    Args:
      rounds: sizes of the clients in each round, `[N]` each.

    Returns:
      The sizes, rising and once each.
    """
    return sorted({int(size) for sizes in rounds for size in np.flatnonzero(np.bincount(sizes))})


def mean_over_clients(
    rounds: Sequence[np.ndarray], takes_part: np.ndarray, values: np.ndarray
) -> float:
    """Computes `mean_r mean_i v(k_ri)` over the clients that take part.

    Args:
      rounds: sizes `k` of the clients in each of some rounds, `[N]` each.
      takes_part: which clients are ever trained `[N]`, bool.
      values: a value of each size 0..H.

    Returns:
      The mean.
    """
    return float(np.mean([values[sizes[takes_part]].mean() for sizes in rounds]))


def moved_bytes(
    model: Model, extraction: Extraction, rounds: Sequence[np.ndarray], takes_part: np.ndarray
) -> dict[str, float]:
    """Counts the mean bytes that a client receives and sends in a round.

    Args:
      model: the supernet.
      extraction: which part of it a client holds.
      rounds: sizes of the clients in each round, `[N]` each.
      takes_part: which clients are ever trained `[N]`, bool.

    Returns:
      `bytes_down` and `bytes_up`.
    """
    counts = {"bytes_down": costs.bytes_down, "bytes_up": costs.bytes_up}
    moved = {name: np.zeros(max(model.groups.values()) + 1) for name in counts}
    for size in distinct_sizes(rounds):
        shape = extraction.shape(model, int(size))
        for name, count in counts.items():
            moved[name][size] = count(model, extraction, shape)
    return {n: mean_over_clients(rounds, takes_part, values) for n, values in moved.items()}
