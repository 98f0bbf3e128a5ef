"""The convolution and its gradients against those that JAX derives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.models.convolution import conv
from hasa_jax.models.winograd import forward, suits
from hasa_jax.supernet import costs
from tests.support import small

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


@pytest.mark.parametrize(("size", "stride", "sides", "channels"), [
    (3, 1, (5, 4), 2), (3, 2, (6, 5), 2), (1, 2, (6, 5), 2), (3, 1, (6, 7), 32), (3, 1, (5, 4), 32),
])  # fmt: skip
def test_gradients_of_the_convolution(size, stride, sides, channels):
    """Of one client, of stacked clients, and in a loop; by Winograd's way with enough channels."""
    keys = jax.random.split(KEY, 2)
    clients = jax.random.normal(keys[0], (2, 3, *sides, channels))
    kernels = 0.1 * jax.random.normal(keys[1], (2, size, size, channels, 32))
    assert suits(clients[0], kernels[0], stride) == (channels == 32)

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
            np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())
    np.testing.assert_allclose(
        conv(clients[0], kernels[0], stride), reference(clients[0], kernels[0], stride), atol=1e-5
    )


def test_other_types_many_pixels_and_accelerators_convolve_plainly(monkeypatch):
    inputs, kernel = jnp.ones((2, 8, 8, 32)), jnp.ones((3, 3, 32, 32))
    assert suits(inputs, kernel, 1)
    assert not suits(inputs, kernel, 2)
    assert not suits(inputs[:, :1], kernel, 1)
    assert not suits(inputs.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), 1)
    assert not suits(jnp.broadcast_to(inputs[:1], (4096, 8, 8, 32)), kernel, 1)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not suits(inputs, kernel, 1)


def test_a_hand_computed_convolution():
    """Ones under a kernel of ones count the neighbours, in the corner too."""
    inputs, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1))
    for counts in (forward(inputs, kernel)[0], conv(inputs, kernel)):
        expected = [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]
        np.testing.assert_array_equal(counts[0, :, :, 0], expected)


def test_macs_are_those_of_the_plain_convolution():
    """A budget must not depend on how a backend convolves."""
    dataset = small.dataset((20, 30), "cnn")
    model = hj.models.cnn(hidden=32).bind(dataset, norm="none", scaler="none")
    side, channels = model.input_shape[0], (model.input_shape[-1], 32, 64, 128, 256)
    macs = dataset.train.num_classes * channels[-1]
    for stage, (below, above) in enumerate(itertools.pairwise(channels)):
        macs += (side // 2**stage) ** 2 * 9 * below * above
    assert costs.mac_count(model, model.groups) == macs
