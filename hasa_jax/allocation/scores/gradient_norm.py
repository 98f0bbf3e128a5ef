"""Gradient norm: how steep a client's loss is at an untrained supernet."""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hasa_jax import keys
from hasa_jax.allocation.scores.score import Score, one_number
from hasa_jax.base import ClientData, Params
from hasa_jax.supernet.losses import score_batch
from hasa_jax.supernet.types import Context, Model


def gradient_norm(batch_size: int = 64) -> Score:
    """Scores a client by the norm of its gradient at freshly initialised parameters.

    `h_i = ||grad F_i(theta_0)||_2` with `F_i` the mean loss over the client's training targets.

    Args:
      batch_size: examples of one gradient pass; it changes speed and memory, not the score.

    Returns:
      A `Score`.
    """
    return Score(functools.partial(_score, batch_size=batch_size), one_number)


def _score(data: ClientData, model: Model, key: jax.Array, *, batch_size: int) -> np.ndarray:
    params = model.init(keys.address(key, keys.Stream.SCORE))
    gradient = jax.jit(jax.grad(functools.partial(_summed_loss, model=model), has_aux=True))
    inputs, targets = np.asarray(data.inputs), np.asarray(data.targets)
    norms = np.empty(data.num_clients)
    for client, (start, stop) in enumerate(itertools.pairwise(np.asarray(data.offsets))):
        total, count = jax.tree.map(jnp.zeros_like, params), 0
        for first in range(start, stop, batch_size):
            # The last batch is filled with its first example, which does not count there.
            indices = first + np.arange(batch_size)
            valid = indices < stop
            indices = np.where(valid, indices, first)
            part, part_count = gradient(params, inputs[indices], targets[indices], valid)
            total, count = jax.tree.map(jnp.add, total, part), count + int(part_count)
        norms[client] = float(optax.tree.norm(total)) / max(count, 1)
    return norms


def _summed_loss(
    params: Params, inputs: jax.Array, targets: jax.Array, valid: jax.Array, *, model: Model
) -> tuple[jax.Array, jax.Array]:
    """Returns a batch's summed loss at the last exit, and the targets that it sums over."""
    logits, _ = model.apply(params, inputs, Context(valid=valid))
    sums = score_batch(logits[-1], targets, valid)
    return sums.loss, sums.loss_count
