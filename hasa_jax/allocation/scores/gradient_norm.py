"""Gradient norm: how hard a client's loss pulls on an untrained supernet."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hasa_jax import keys
from hasa_jax.base import ClientData, Params
from hasa_jax.supernet.losses import score_batch
from hasa_jax.supernet.types import Context, Model, ScoreFn


def gradient_norm(batch_size: int = 64) -> ScoreFn:
    """Scores a client by `||grad F_i(theta_0)||_2`, its mean training loss at a fresh supernet.

    Args:
      batch_size: examples of one gradient pass; it changes speed and memory, not the score.

    Returns:
      A `ScoreFn`.
    """

    def score(data: ClientData, model: Model, key: jax.Array) -> np.ndarray:
        params = model.init(keys.address(key, keys.Stream.SCORE))

        def summed_loss(params: Params, inputs: jax.Array, targets: jax.Array, valid: jax.Array):
            logits, _ = model.apply(params, inputs, Context(valid=valid))
            sums = score_batch(logits[-1], targets, valid)
            return sums.loss, sums.loss_count

        gradient = jax.jit(jax.grad(summed_loss, has_aux=True))
        inputs, targets = np.asarray(data.inputs), np.asarray(data.targets)
        offsets = np.asarray(data.offsets)
        norms = np.empty(data.num_clients)
        for client, (start, stop) in enumerate(itertools.pairwise(offsets)):
            total, count = jax.tree.map(jnp.zeros_like, params), 0
            for first in range(start, stop, batch_size):
                # A short last batch repeats its first row, which does not count.
                rows = first + np.arange(batch_size)
                valid = rows < stop
                rows = np.where(valid, rows, first)
                part, part_count = gradient(params, inputs[rows], targets[rows], valid)
                total, count = jax.tree.map(jnp.add, total, part), count + int(part_count)
            norms[client] = float(optax.tree.norm(total)) / max(count, 1)
        return norms

    return score
