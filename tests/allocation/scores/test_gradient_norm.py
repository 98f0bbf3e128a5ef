"""Gradient norm: batches do not change it."""

import jax
import numpy as np

from hasa_jax.allocation.scores import gradient_norm
from tests.support import small


def test_it_does_not_depend_on_its_batches():
    data, key = small.client_data(kind="lstm"), jax.random.key(2)
    norms = [gradient_norm(size)(data, small.lstm(), key) for size in (3, 64)]
    np.testing.assert_allclose(*norms, rtol=1e-4)
