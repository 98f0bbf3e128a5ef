"""Federated Dropout: with and without the 1/p of inverted dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.supernet import units
from tests.support import small

KEPT = {"hidden/0": 2}


def logits_of(scaler, *, train, masked, norm="none"):
    """Two of four hidden units with weights 1, 2, 3, 4 see an input of 1; classes sum them up."""
    model = small.perceptron(hidden=4, layers=1, norm=norm, scaler=scaler)
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), model.shapes)
    params["dense_1"]["kernel"] = jnp.zeros((6, 4)).at[0].set(jnp.array([1.0, 2.0, 3.0, 4.0]))
    params["head_1"]["kernel"] = jnp.ones((4, small.NUM_CLASSES))
    params["head_1"]["bias"] = jnp.full(small.NUM_CLASSES, 0.25)
    # Units 3 and 1 have the ranks 0 and 1.
    ranks = {"hidden/0": jnp.array([3, 1, 2, 0])}
    inputs = jnp.zeros((1, 2, 3)).at[0, 0, 0].set(1.0)
    if masked:
        held = units.masks(params, model.axes, ranks, KEPT)
        params = jax.tree.map(jnp.multiply, held, params)
        return model.apply(params, inputs, hj.Context(0.5, ranks, KEPT, train=train))[0][0]
    narrow = units.gather(params, model.axes, ranks, KEPT)
    return model.narrow(KEPT, 1)(narrow, inputs, hj.Context(0.5, train=train))[0][0]


@pytest.mark.parametrize("masked", [False, True])
def test_kept_activations_count_twice_at_half_width_in_training_only(masked):
    """The kept units are 2 and 4: their sum is 6, and 12 with 1/p; the head's bias is .25."""
    for scaler, train, expected in (
        ("none", True, 6.25),
        ("inverted_dropout", True, 12.25),
        ("inverted_dropout", False, 6.25),
        # HeteroFL's scaler is before the nonlinearity; without a norm and bias it does the same.
        ("train", True, 12.25),
        ("train", False, 6.25),
    ):
        np.testing.assert_allclose(logits_of(scaler, train=train, masked=masked), expected)


def test_the_method_has_it_as_an_option():
    assert hj.methods.federated_dropout().scaler == "none"
    assert hj.methods.federated_dropout(scaler="inverted_dropout").scaler == "inverted_dropout"
    with pytest.raises(hj.UserError, match="unknown `scaler`"):
        hj.methods.federated_dropout(scaler="half")
