"""Per-client metrics, and what they say of the mean, the worst and the tail."""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import ClientData, ClientMetrics, Cohort, ServerState
from hasa_jax.execution.loop import on_devices
from hasa_jax.execution.round import Calibrated, FederatedAlgorithm
from hasa_jax.supernet.types import Extraction


@functools.partial(jax.jit, static_argnames=("algorithm", "whole"))
def evaluate(
    algorithm: FederatedAlgorithm,
    state: ServerState,
    data: ClientData,
    train: ClientData,
    cohort: Cohort,
    *,
    whole: bool = False,
    calibrators: Cohort | None = None,
) -> ClientMetrics:
    """Evaluates every client's own subnet on that client's own examples.

    Args:
      algorithm: supplies extraction and execution (static).
      state: the server's state; the subnets are those of its current round.
      data: one split of all clients.
      train: training examples of all clients, which calibrate static norms, tell a client's own
        classes, and inform extractions that look at data.
      cohort: clients and their widths; full widths evaluate the supernet.
      whole: whether to evaluate on all classes even where the objective hides absent ones.
      calibrators: clients whose subnets stand for those of all, where norms are static (see
        `standing_for`); the cohort itself if None.

    Returns:
      Sums over examples `[P, V, L]`, as the cohort's clients.
    """
    calibrated = None
    if algorithm.model.moments:
        slots = cohort if calibrators is None else calibrators

        def moments(slots: Cohort, state: ServerState, train: ClientData):
            return algorithm.calibrate(state, train, slots)

        found = slots.index, slots.sizes, slots.exits, on_devices(moments, slots, state, train)[1]
        listed = jax.tree.map(lambda x: jnp.reshape(x, (-1, *x.shape[3:])), found)
        calibrated = Calibrated(*listed)

    def sums(cohort: Cohort, state: ServerState, data: ClientData, train: ClientData, calibrated):
        return algorithm.evaluate(state, data, train, cohort, calibrated, whole)

    return on_devices(sums, cohort, state, data, train, calibrated)[1]


def standing_for(extraction: Extraction, kept: np.ndarray, count: int) -> np.ndarray:
    """Chooses clients whose subnets stand for those of all.

    Args:
      extraction: tells whether clients of one size hold the same.
      kept: the size of each client `[C]`.
      count: how many to choose; the first is repeated if fewer would do.

    Returns:
      Positions in `kept` `[count]`.
    """
    first = np.unique(kept, return_index=True)[1] if extraction.by_size else np.arange(len(kept))
    return np.concatenate([first, np.full(count - len(first), first[0])])


@dataclasses.dataclass(frozen=True)
class ClientScores:
    """Loss and accuracy of every client, in client order.

    Attributes:
      loss: mean loss over targets inside the classes `[N]`; NaN if a client has none, infinite
        if it is not a number.
      accuracy: share of targets predicted right `[N]`; an unknown target is a miss. NaN if a
        client has no target at all.
      count: targets that this is a share of `[N]`.
    """

    loss: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def per_client(metrics: ClientMetrics, cohort: Cohort) -> ClientScores:
    """Divides the sums and puts them in client order."""
    index = np.asarray(cohort.index)
    # Empty lanes have index -1, and sort first.
    order = np.argsort(index, axis=None, kind="stable")[np.sum(index < 0) :]
    sums = jax.tree.map(lambda x: np.asarray(x, np.float64).reshape(-1)[order], metrics)
    with np.errstate(invalid="ignore"):
        loss = np.where(np.isfinite(sums.loss), sums.loss, np.inf) / sums.loss_count
        loss = np.where(sums.loss_count > 0, loss, np.nan)
        return ClientScores(loss, sums.correct / sums.count, sums.count)


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a set of per-client accuracies comes to.

    Attributes:
      mean: unweighted mean over clients.
      weighted: mean weighted by examples.
      worst: the worst client.
      tail: mean of the worst clients.
      std: standard deviation over clients (of the population of clients, `ddof = 0`).
    """

    mean: float
    weighted: float
    worst: float
    tail: float
    std: float


def summarize(
    accuracy: np.ndarray, num_examples: np.ndarray, tail_fraction: float = 0.25
) -> Summary:
    """Summarizes per-client accuracies; clients without examples have no say.

    Args:
      accuracy: `[N]`, NaN for clients without examples.
      num_examples: examples that each accuracy was measured on `[N]`.
      tail_fraction: share of clients in the tail; `ceil(fraction * N)` clients, so .25 of
        seven is the worst two.

    Returns:
      The summary.
    """
    known = np.isfinite(accuracy)
    accuracy, num_examples = accuracy[known], num_examples[known]
    if not accuracy.size:
        return Summary(*[math.nan] * 5)
    tail_size = max(1, math.ceil(tail_fraction * len(accuracy) - 1e-9))
    return Summary(
        mean=float(accuracy.mean()),
        weighted=float(np.average(accuracy, weights=num_examples)),
        worst=float(accuracy.min()),
        tail=float(np.sort(accuracy)[:tail_size].mean()),
        std=float(accuracy.std()),
    )
