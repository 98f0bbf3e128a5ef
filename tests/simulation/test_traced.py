"""What a trace says of memory."""

import jax
import numpy as np

from hasa_jax.simulation.traced import bytes_alive


def test_what_is_alive_at_once_in_a_forward_pass():
    """Two layers: a value is dropped after its last use."""

    def forward(x):
        wide = jax.numpy.concatenate([x] * 10)
        narrow = wide[:1] * 1.0
        other = jax.numpy.concatenate([narrow] * 7)
        return other[:1]

    trace = jax.make_jaxpr(forward)(jax.ShapeDtypeStruct((100,), np.float32))
    assert 10 * 400 <= bytes_alive(trace.jaxpr) <= 10 * 400 + 2 * 400
