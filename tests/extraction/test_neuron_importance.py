"""Units by the importance of the parameters that they touch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.extraction import neuron_importance, prefix
from tests.support import small
from tests.support.broadcasts import KEY, ranks_of, sent


def test_it_is_the_norm_of_what_a_unit_touches():
    model = small.mlp(first=12, second=8)
    params = model.init(KEY)
    kernels = [np.asarray(params[f"Dense_{layer}"]["kernel"]) for layer in range(3)]
    biases = [np.asarray(params[f"Dense_{layer}"]["bias"]) for layer in range(3)]
    first = (kernels[0] ** 2).sum(0) + biases[0] ** 2 + (kernels[1] ** 2).sum(1)
    second = (kernels[1] ** 2).sum(0) + biases[1] ** 2 + (kernels[2] ** 2).sum(1)
    ranks = ranks_of(neuron_importance(), sent(model, params))
    np.testing.assert_array_equal(np.argsort(ranks["first"]), np.argsort(-first))
    np.testing.assert_array_equal(np.argsort(ranks["second"]), np.argsort(-second))


def test_it_follows_the_params_and_breaks_ties_by_position():
    model = small.mlp()
    equal = jax.tree.map(jnp.ones_like, model.init(KEY))
    small.assert_trees_equal(
        ranks_of(neuron_importance(), sent(model, equal)), ranks_of(prefix(), sent(model, equal))
    )
    equal["Dense_0"]["bias"] = equal["Dense_0"]["bias"].at[7].set(-3.0)
    ranks = ranks_of(neuron_importance(), sent(model, equal))["first"]
    assert np.argsort(ranks)[:3].tolist() == [7, 0, 1]


def test_it_counts_both_axes_of_a_group():
    model = small.lstm(hidden=4)
    zeros = jax.tree.map(jnp.zeros_like, model.init(KEY))
    # One weight from unit 3 to unit 2, a smaller one from unit 1 to itself.
    zeros["hidden_kernel"] = zeros["hidden_kernel"].at[3, 0, 2].set(2.0).at[1, 0, 1].set(1.0)
    ranks = ranks_of(neuron_importance(), sent(model, zeros))["hidden"]
    assert np.argsort(ranks).tolist() == [2, 3, 1, 0]


def test_other_measures_use_the_clients_data():
    model = small.mlp()
    params = model.init(KEY)
    by_weights = ranks_of(neuron_importance(), sent(model, params))
    # The gradient's square is the weight's, scaled: fisher agrees with the squared norm.
    by_losses = ranks_of(neuron_importance("fisher"), sent(model, params, scales=(2.0, 0.5)))
    small.assert_trees_equal(by_losses, by_weights)


def test_unknown_measures_are_refused():
    with pytest.raises(UserError, match="unknown measure 'entropy'"):
        neuron_importance("entropy")
