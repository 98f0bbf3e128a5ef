"""How far equally many labels of every client are from those of all clients."""

from __future__ import annotations

import functools
import itertools

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.scores.counts import counts_in_blocks, smoothed
from hasa_jax.allocation.scores.excess_divergence import labels_sent
from hasa_jax.allocation.scores.label_divergence import jensen_shannon
from hasa_jax.allocation.scores.score import Score
from hasa_jax.base import ClientData, UserError
from hasa_jax.supernet.types import Model


def rarefied_divergence(num_examples: int = 0, draws: int = 100, alpha: float = 1.0) -> Score:
    """Scores a client by the label divergence of equally many of its examples.

    `h_i = mean_d JSD(p_i^d || p_pooled)`, where `p_i^d` is the smoothed share of each label among
    `m` examples of client i, drawn without replacement. All clients have one `m`, so that no
    client scores high because it holds little; a client of more than `m` examples is averaged over
    more of them. `p_pooled` has all examples.

    Args:
      num_examples: `m`; the examples of the smallest client if 0.
      draws: number of draws, which follow from the key of the run.
      alpha: Laplace smoothing of the label counts.

    Returns:
      A `Score`; scores are in nats, within [0, ln 2]. It raises a `UserError` if a client has fewer
      than `num_examples`. A client can draw by itself, but the shares of all need counts of all
      labels, so that the labels are what it sends.

    References:
      Rarefaction: Sanders, Marine benthic diversity, 1968. HASA, arXiv 2606.07621.
    """
    values = functools.partial(_score, num_examples=num_examples, draws=draws, alpha=alpha)
    return Score(values, labels_sent)


def _score(
    data: ClientData, model: Model, key: jax.Array, *, num_examples: int, draws: int, alpha: float
) -> np.ndarray:
    del model
    fewest = int(data.num_examples.min())
    chosen = num_examples or fewest
    if not 1 <= chosen <= fewest:
        raise UserError(
            f"`num_examples` is {chosen}, but the smallest client has {fewest}: lower it, or 0 for "
            "as many as that client has"
        )
    targets, bins = np.asarray(data.targets), data.num_classes
    pooled = smoothed(np.bincount(targets[targets >= 0], minlength=bins), alpha)[None]
    root = keys.address(key, keys.Stream.SCORE)
    scores = [
        _mean_divergence(targets[start:stop], root, chosen, draws, bins, alpha, pooled)
        for start, stop in itertools.pairwise(np.asarray(data.offsets))
    ]
    return np.array(scores)


def _mean_divergence(
    own: np.ndarray,
    root: jax.Array,
    num_examples: int,
    draws: int,
    bins: int,
    alpha: float,
    pooled: np.ndarray,
) -> float:
    """Returns the mean divergence of some examples of one client; the key is the same for all."""
    # In one order, so that nothing depends on where the client's examples lie.
    own = own[np.lexsort(own.reshape(len(own), -1).T)]
    generator, total = keys.generator(root), 0.0
    for _ in range(draws):
        drawn = own[generator.permutation(len(own))[:num_examples]]
        (counts,) = counts_in_blocks(np.array([0, num_examples]), drawn, bins)
        total += float(jensen_shannon(smoothed(counts, alpha), pooled)[0])
    return total / draws
