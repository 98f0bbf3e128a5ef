"""How far a client's inputs are from those of all clients."""

from __future__ import annotations

import functools
import itertools

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.scores.label_divergence import divergence_of_counts
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
    inputs = np.asarray(data.inputs)
    offsets = np.asarray(data.offsets)
    if inputs.dtype.kind in "iu":
        return divergence_of_counts(_token_counts(inputs, offsets), alpha)
    generator = keys.generator(keys.address(key, keys.Stream.SCORE))
    flat = inputs.reshape(len(inputs), -1)
    directions = generator.standard_normal((flat.shape[1], num_features), np.float32)
    blocks = range(0, len(flat), _BLOCK)
    features = np.concatenate([flat[first : first + _BLOCK] @ directions for first in blocks])
    counts = np.stack([_bin_counts(column, offsets, bins) for column in features.T])
    return np.mean([divergence_of_counts(count, alpha) for count in counts], axis=0)


def _token_counts(inputs: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Counts every token of each client `[N, V]`."""
    tokens, places = np.unique(inputs, return_inverse=True)
    places = places.reshape(inputs.shape)
    counts = [
        np.bincount(places[start:stop].ravel(), minlength=len(tokens))
        for start, stop in itertools.pairwise(offsets)
    ]
    return np.stack(counts)[:, tokens != _PADDING]


def _bin_counts(column: np.ndarray, offsets: np.ndarray, bins: int) -> np.ndarray:
    """Counts the values of each client in bins of equal shares of all values `[N, bins]`."""
    edges = np.quantile(column, np.arange(1, bins) / bins)
    places = np.searchsorted(edges, column, side="right")
    counts = [
        np.bincount(places[start:stop], minlength=bins)
        for start, stop in itertools.pairwise(offsets)
    ]
    return np.stack(counts)
