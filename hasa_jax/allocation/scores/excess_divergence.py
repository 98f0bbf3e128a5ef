"""How far a client's labels are from those of all clients, beyond what its size explains."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.scores.checks import check_draws, check_examples
from hasa_jax.allocation.scores.counts import counts_in_blocks, smoothed
from hasa_jax.allocation.scores.label_divergence import divergence_of_values, jensen_shannon
from hasa_jax.allocation.scores.score import Score
from hasa_jax.base import ClientData
from hasa_jax.supernet.types import Model

_DRAWS = 200

_WHY = "as a standard deviation needs two"


def excess_divergence(draws: int = _DRAWS, alpha: float = 1.0) -> Score:
    """Scores a client by its label divergence less that of as many examples of all clients.

    `e_i = h_i - E[h_i | the examples are dealt to the clients at random]`, `h_i` being HASA's
    score. Smoothed counts of few examples are far from the pooled ones by chance, so that `h_i` is
    large for a small client whatever it holds. `e_i` is 0 in expectation for a client of any size
    whose examples are drawn from the pool.

    Args:
      draws: permutations of all examples that the expectation is the mean of, at least 2; they
        follow from the key of the run.
      alpha: Laplace smoothing of the label counts.

    Returns:
      A `Score`; scores are in nats, within [-ln 2, ln 2]. The server permutes examples, so clients
      send all their labels, and not only counts of them.

    References:
      The divergence is that of HASA, arXiv 2606.07621; the paper does not subtract its expectation.
    """
    check_draws(draws, 2, _WHY)
    return Score(functools.partial(_score, draws=draws, alpha=alpha), labels_sent)


@dataclasses.dataclass(frozen=True)
class Excess:
    """The divergence of every client, against that of random examples.

    Attributes:
      divergence: `h_i` `[N]`, in nats.
      expected: its mean over permutations `[N]`, in nats.
      deviation: its standard deviation over permutations `[N]`, in nats.
    """

    divergence: np.ndarray
    expected: np.ndarray
    deviation: np.ndarray

    @property
    def excess(self) -> np.ndarray:
        """`e_i = h_i - expected_i` `[N]`, in nats."""
        return self.divergence - self.expected

    @property
    def z(self) -> np.ndarray:
        """The excess in standard deviations `[N]`; NaN where permutations change nothing."""
        known = np.where(self.deviation > 0, self.deviation, np.nan)
        return self.excess / known


def excess_of(data: ClientData, key: jax.Array, draws: int = _DRAWS, alpha: float = 1.0) -> Excess:
    """Compares the divergence of every client with that of as many examples drawn from the pool.

    A draw permutes the examples of all clients; a client of n examples is compared with the first n
    of them. An example moves with all its labels: words of one title stay in one title.
    Clients of one size have one expectation, whatever their order.

    Args:
      data: training examples of all clients.
      key: root key of the run; it is not consumed.
      draws: number of permutations, at least 2.
      alpha: Laplace smoothing of the label counts.

    Returns:
      The divergence, and its mean and deviation over the permutations.

    Raises:
      UserError: for fewer than 2 draws, and for a client without examples.
    """
    check_draws(draws, 2, _WHY)
    check_examples(data)
    pool = _ordered(np.asarray(data.targets))
    sizes, own = np.unique(data.num_examples, return_inverse=True)
    offsets = np.concatenate([[0], sizes])
    pooled = smoothed(_counts(pool, data.num_classes), alpha)[None]
    generator = keys.generator(keys.address(key, keys.Stream.SCORE))
    drawn = np.empty((draws, len(sizes)))
    for draw in range(draws):
        first = pool[generator.permutation(len(pool))[: sizes[-1]]]
        before = np.zeros(data.num_classes, np.int64)
        found = []
        for counts in counts_in_blocks(offsets, first, data.num_classes):
            reached = before + np.cumsum(counts, axis=0)
            before = reached[-1]
            found.append(jensen_shannon(smoothed(reached, alpha), pooled))
        drawn[draw] = np.concatenate(found)
    observed = divergence_of_values(data.offsets, data.targets, data.num_classes, alpha)
    return Excess(observed, drawn.mean(0)[own], drawn.std(0, ddof=1)[own])


def _score(
    data: ClientData, model: Model, key: jax.Array, *, draws: int, alpha: float
) -> np.ndarray:
    del model
    return excess_of(data, key, draws, alpha).excess


def _ordered(targets: np.ndarray) -> np.ndarray:
    """Sorts examples by their labels, so that nothing depends on the order of clients."""
    return targets[np.lexsort(targets.reshape(len(targets), -1).T)]


def _counts(targets: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts every class `[K]`."""
    return np.bincount(targets[targets >= 0], minlength=num_classes)


def labels_sent(data: ClientData, model: Model) -> int:
    """Returns the labels of a client, the mean over clients, rounded up."""
    del model
    known = int((np.asarray(data.targets) >= 0).sum())
    return -(-known // data.num_clients)
