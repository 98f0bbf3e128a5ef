"""Calibration of static norms: moments averaged over training data."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientData, PyTree
from hasa_jax.client.batches import Batches, take_batch
from hasa_jax.supernet.subnet import Subnet, forward


def calibrate(subnet: Subnet, data: ClientData, batches: Batches) -> PyTree:
    """Averages the moments of static norms over batches of training data (HeteroFL's sBN).

    Args:
      subnet: the subnet to calibrate.
      data: training examples.
      batches: batches of them.

    Returns:
      Mean over the batches of each norm's batch mean and variance.

    References:
      HeteroFL, arXiv 2010.01264.
    """
    moments = functools.partial(_moments, subnet, data, batches)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(moments, 0))

    def step(number: jax.Array, total: PyTree) -> PyTree:
        return jax.tree.map(jnp.add, total, moments(number))

    total = jax.lax.fori_loop(0, batches.used, step, zeros)
    return jax.tree.map(lambda x: x / jnp.maximum(batches.used, 1), total)


def _moments(subnet: Subnet, data: ClientData, batches: Batches, number: jax.Array) -> PyTree:
    """Returns the moments of one batch.

    As in evaluation: a scaler that only acts in training would scale the moments too.
    """
    batch = take_batch(data, batches, number)
    return forward(subnet, subnet.params, batch.inputs, valid=batch.valid)[1]
