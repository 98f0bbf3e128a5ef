"""Measures of importance by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.extraction.measures import MEASURES, check_measure
from tests.support import small
from tests.support.broadcasts import KEY, sent

SCALES = (1.0, -3.0, 0.5)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_measures():
    model = small.mlp()
    params = model.init(KEY)
    scales, weights = np.array(SCALES), flat(params)
    expected = {
        "magnitude": np.abs(weights),
        "gradient": np.abs(scales.mean() * weights),
        "taylor": np.abs(scales.mean()) * weights**2,
        "fisher": np.mean(scales**2) * weights**2,
    }
    assert set(expected) == set(MEASURES)
    broadcast = sent(model, params, scales=SCALES, capacity=5)
    for name, values in expected.items():
        np.testing.assert_allclose(flat(MEASURES[name](broadcast)), values, rtol=1e-5)


def test_measures_of_an_empty_sample_are_finite():
    model = small.mlp()
    broadcast = sent(model, capacity=5)._replace(
        sample_loss=lambda params, positions: jnp.zeros(positions.shape), sample_size=jnp.int32(0)
    )
    for name in MEASURES.keys() - {"magnitude"}:
        assert np.all(flat(MEASURES[name](broadcast)) == 0)


def test_unknown_measures_are_refused():
    with pytest.raises(UserError, match="unknown measure 'size': use one of fisher, gradient"):
        check_measure("size")
