"""The norm over a batch and its gradient against their definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.models.batch_norm import apply_moments, normalise_batch

KEYS = jax.random.split(jax.random.key(5), 4)


def reference(inputs, gain, shift, weights):
    """Over the flat values of the examples that count."""
    last = (1,) * (inputs.ndim - 1) + (-1,)
    axes = tuple(range(inputs.ndim - 1))
    weights = jnp.broadcast_to(weights.reshape((-1,) + (1,) * (inputs.ndim - 1)), inputs.shape)
    mean = jnp.average(inputs, axes, weights)
    variance = jnp.average(jnp.square(inputs - mean.reshape(last)), axes, weights)
    normal = (inputs - mean.reshape(last)) / jnp.sqrt(variance + 1e-5).reshape(last)
    return normal * gain.reshape(last) + shift.reshape(last)


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 5)])
def test_values_and_gradients(shape):
    """Also of an example that does not count, alone and for stacked clients."""
    inputs = 3 + 2 * jax.random.normal(KEYS[0], (2, *shape))
    gain, shift = jax.random.normal(KEYS[1], (2, 2, shape[-1]))
    weights = jnp.ones((2, shape[0])).at[:, 1].set(0)
    toward = jax.random.normal(KEYS[2], shape)

    def all_of(normalise):
        def loss(inputs, gain, shift, weights):
            outputs = normalise(inputs, gain, shift, weights)
            return jnp.sum(jnp.sin(outputs) * toward), outputs

        return jax.jit(jax.vmap(jax.grad(loss, (0, 1, 2), has_aux=True)))

    ours = all_of(lambda *args: normalise_batch(*args)[0])(inputs, gain, shift, weights)
    expected = all_of(reference)(inputs, gain, shift, weights)
    for actual, wanted in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(actual, wanted, atol=2e-5)


def test_moments_are_those_of_the_examples_that_count():
    inputs = jax.random.normal(KEYS[0], (4, 3, 2, 5))
    one, zero = jnp.ones(5), jnp.zeros(5)
    outputs, (mean, variance, count) = normalise_batch(
        inputs, one, zero, jnp.array([1.0, 0.0, 1.0, 1.0])
    )
    kept = np.asarray(inputs)[[0, 2, 3]]
    np.testing.assert_allclose(mean, kept.mean((0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(variance, kept.var((0, 1, 2)), rtol=1e-5)
    assert count == 18
    np.testing.assert_allclose(apply_moments(inputs, one, zero, mean, variance), outputs, atol=1e-6)
    nobody, (mean, _, count) = normalise_batch(inputs, one, zero, jnp.zeros(4))
    assert np.isfinite(nobody).all()
    assert count == 1
    np.testing.assert_array_equal(mean, 0)
