"""How far a client's inputs are from those of all clients."""

from __future__ import annotations

import functools

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.scores.label_divergence import divergence_of_values
from hasa_jax.allocation.scores.score import Score
from hasa_jax.base import ClientData
from hasa_jax.supernet.types import Model

_PADDING = 0
_BLOCK = 8192


def feature_divergence(num_features: int = 64, bins: int = 16, alpha: float = 1.0) -> Score:
    """Scores a client by the divergence of its inputs from all inputs, whatever its labels.

    `h_i = mean_d JSD(p_id || p_pooled,d)`. Numbers are projected onto random directions,
    `z_d = <x, r_d>` with `r_d ~ N(0, I)`, and `p_id` is the smoothed share of the client's `z_d`
    in each bin; the bins of a direction hold equally many examples of all clients. Of tokens, `p_i`
    is the smoothed share of each token but padding, and nothing is drawn.

    Args:
      num_features: random directions d.
      bins: bins of each direction.
      alpha: Laplace smoothing of the counts.

    Returns:
      A `Score` for which clients send their counts; scores are in nats, within [0, ln 2].

    References:
      The divergence and its smoothing are those of HASA's label score, arXiv 2606.07621.
    """
    values = functools.partial(_score, num_features=num_features, bins=bins, alpha=alpha)
    return Score(values, functools.partial(_counts, num_features=num_features, bins=bins))


def _counts(data: ClientData, model: Model, *, num_features: int, bins: int) -> int:
    """Returns the numbers of a client's counts of tokens, or of bins."""
    del model
    inputs = np.asarray(data.inputs)
    return int(inputs.max()) if inputs.dtype.kind in "iu" else num_features * bins


def _score(
    data: ClientData, model: Model, key: jax.Array, *, num_features: int, bins: int, alpha: float
) -> np.ndarray:
    del model
    inputs, offsets = np.asarray(data.inputs), np.asarray(data.offsets)
    if inputs.dtype.kind in "iu":
        # Padding becomes -1, which is not counted.
        tokens, places = np.unique(inputs[inputs != _PADDING], return_inverse=True)
        found = np.full(inputs.shape, -1)
        found[inputs != _PADDING] = places
        return divergence_of_values(offsets, found, len(tokens), alpha)
    generator = keys.generator(keys.address(key, keys.Stream.SCORE))
    flat = inputs.reshape(len(inputs), -1)
    directions = generator.standard_normal((flat.shape[1], num_features), np.float32)
    blocks = range(0, len(flat), _BLOCK)
    features = np.concatenate([flat[first : first + _BLOCK] @ directions for first in blocks])
    total = np.zeros(data.num_clients)
    for column in features.T:
        total += divergence_of_values(offsets, _bins_of(column, bins), bins, alpha)
    return total / num_features


def _bins_of(column: np.ndarray, bins: int) -> np.ndarray:
    """Returns the bin of each value `[D]`; bins hold equal shares of all values."""
    edges = np.quantile(column, np.arange(1, bins) / bins)
    return np.searchsorted(edges, column, side="right")
