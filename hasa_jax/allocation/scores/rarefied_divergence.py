"""How far equally many labels of every client are from those of all clients."""

from __future__ import annotations

import functools

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.scores.checks import check_draws, check_examples
from hasa_jax.allocation.scores.counts import counts_in_blocks, smoothed
from hasa_jax.allocation.scores.excess_divergence import labels_sent
from hasa_jax.allocation.scores.label_divergence import jensen_shannon
from hasa_jax.allocation.scores.score import Score
from hasa_jax.base import ClientData, UserError
from hasa_jax.supernet.types import Model

_EXAMPLES_OF_A_BATCH = 2**20
"""So many examples, or one client, are drawn from at a time."""


def rarefied_divergence(num_examples: int = 0, draws: int = 100, alpha: float = 1.0) -> Score:
    """Scores a client by the label divergence of equally many of its examples.

    `h_i = mean_d JSD(p_i^d || p_pooled)`, where `p_i^d` is the smoothed share of each label among
    `m` examples of client i, drawn without replacement. All clients have one `m`, so that no
    client scores high because it holds little; a client of more than `m` examples is averaged over
    more of them. `p_pooled` has all examples.

    Args:
      num_examples: `m`; the examples of the smallest client if 0.
      draws: number of draws, at least 1, which follow from the key of the run.
      alpha: Laplace smoothing of the label counts.

    Returns:
      A `Score`; scores are in nats, within [0, ln 2]. It raises a `UserError` if a client has fewer
      than `num_examples`, or none. A client can draw by itself, but the shares of all need counts
      of all labels, so that the labels are what it sends.

    Raises:
      UserError: for less than 1 draw, and for a negative `num_examples`.

    References:
      Rarefaction: Sanders, Marine benthic diversity, 1968. HASA, arXiv 2606.07621.
    """
    check_draws(draws, 1, "as the score is their mean")
    if num_examples < 0:
        raise UserError(f"`num_examples` is {num_examples}: it must be at least 0")
    values = functools.partial(_score, num_examples=num_examples, draws=draws, alpha=alpha)
    return Score(values, labels_sent)


def _score(
    data: ClientData, model: Model, key: jax.Array, *, num_examples: int, draws: int, alpha: float
) -> np.ndarray:
    del model
    check_examples(data)
    fewest = int(data.num_examples.min())
    chosen = num_examples or fewest
    if chosen > fewest:
        raise UserError(
            f"`num_examples` is {chosen}, but the smallest client has {fewest}: lower it, or 0 for "
            "as many as that client has"
        )
    targets, bins = _ordered(data), data.num_classes
    pooled = smoothed(np.bincount(targets[targets >= 0], minlength=bins), alpha)[None]
    root = keys.address(key, keys.Stream.SCORE)
    found = np.empty(data.num_clients)
    # The key is the same for all clients, so those of one size share their draws.
    for size in np.unique(data.num_examples).tolist():
        clients = np.flatnonzero(np.asarray(data.num_examples) == size)
        most = max(1, _EXAMPLES_OF_A_BATCH // size)
        for first in range(0, len(clients), most):
            own = clients[first : first + most]
            members = np.asarray(data.offsets, np.int64)[own, None] + np.arange(size)
            found[own] = _mean_divergences(targets[members], root, chosen, draws, alpha, pooled)
    return found


def _ordered(data: ClientData) -> np.ndarray:
    """Sorts the examples of each client by their labels, so that their order does not matter."""
    targets = np.asarray(data.targets)
    owners = np.repeat(np.arange(data.num_clients), np.asarray(data.num_examples))
    return targets[np.lexsort([*targets.reshape(len(targets), -1).T, owners])]


def _mean_divergences(
    targets: np.ndarray,
    root: jax.Array,
    num_examples: int,
    draws: int,
    alpha: float,
    pooled: np.ndarray,
) -> np.ndarray:
    """Returns the mean divergence of some examples of clients of one size.

    Args:
      targets: the examples of each client `[n, size, ...]`.
      root: key of the draws.
      num_examples: how many are drawn of each client.
      draws: number of draws.
      alpha: Laplace smoothing of the label counts.
      pooled: shares of the labels of all clients `[1, K]`.

    Returns:
      `[n]` in nats.
    """
    # All draws of all examples are the same.
    number = 1 if num_examples == targets.shape[1] else draws
    generator, total = keys.generator(root), np.zeros(len(targets))
    offsets, bins = num_examples * np.arange(len(targets) + 1), pooled.shape[1]
    for _ in range(number):
        drawn = targets[:, generator.permutation(targets.shape[1])[:num_examples]]
        blocks = counts_in_blocks(offsets, drawn.reshape(-1, *targets.shape[2:]), bins)
        total += np.concatenate(
            [jensen_shannon(smoothed(counts, alpha), pooled) for counts in blocks]
        )
    return total / number
