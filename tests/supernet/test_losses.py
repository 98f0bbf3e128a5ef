"""Losses and hits by hand."""

import jax.numpy as jnp
import numpy as np

from hasa_jax.base import IGNORED, UNKNOWN
from hasa_jax.supernet import losses


def test_losses_by_hand():
    logits = jnp.log(jnp.array([[[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]]))
    targets = jnp.array([[0, UNKNOWN, IGNORED]])
    sums = losses.score_batch(logits, targets, jnp.array([True]))
    np.testing.assert_allclose(sums.loss, np.log(2), rtol=1e-6)
    assert (int(sums.correct), int(sums.loss_count), int(sums.count)) == (1, 1, 2)


def test_logits_that_are_no_numbers_are_never_right():
    logits = jnp.full((2, 3), jnp.nan)
    assert int(losses.score_batch(logits, jnp.array([0, 1]), jnp.array([True, True])).correct) == 0


def test_invalid_examples_count_nowhere():
    sums = losses.score_batch(jnp.zeros((2, 3)), jnp.array([0, 0]), jnp.array([True, False]))
    assert int(sums.count) == 1
