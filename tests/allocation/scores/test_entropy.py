"""Label entropy by hand."""

import jax
import numpy as np

from hasa_jax.allocation.scores import entropy
from hasa_jax.base import ClientData
from tests.support import small


def test_entropy_by_hand():
    data = ClientData(
        np.zeros((6, 1), np.float32), np.array([0, 1, 2, 3, 0, 0]), np.array([0, 4, 6]), 4
    )
    scores = entropy()(data, small.lstm(), jax.random.key(2))
    np.testing.assert_allclose(scores, [np.log(4), 0.0], atol=1e-12)
