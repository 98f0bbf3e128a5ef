"""The convolution and its gradients against those that JAX derives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.models.convolution import conv

KEY = jax.random.key(2)


def reference(inputs, kernel, stride):
    pad = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        inputs,
        kernel,
        (stride, stride),
        ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@pytest.mark.parametrize(("size", "stride", "side"), [(3, 1, 5), (3, 2, 6), (3, 2, 5), (1, 2, 6)])
def test_gradients_of_the_convolution(size, stride, side):
    """Of one client, of stacked clients, and in a loop."""
    clients = jax.random.normal(KEY, (2, 3, side, side, 2))
    kernels = jax.random.normal(KEY, (2, size, size, 2, 4))

    def gradients(convolve):
        def gradient(inputs, kernel):
            outputs = lambda *both: jnp.sum(jnp.sin(convolve(*both, stride)))  # noqa: E731
            return jax.grad(outputs, (0, 1))(inputs, kernel)

        return gradient

    expected = jax.jit(jax.vmap(gradients(reference)))(clients, kernels)
    ours = gradients(conv)
    stacked = jax.jit(jax.vmap(ours))(clients, kernels)
    looped = jax.jit(lambda *both: jax.lax.map(lambda pair: ours(*pair), both))(clients, kernels)
    for actual in (stacked, looped):
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)
    np.testing.assert_allclose(
        conv(clients[0], kernels[0], stride), reference(clients[0], kernels[0], stride), atol=1e-5
    )
