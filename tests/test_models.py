"""Modules that are not supernets are refused with a line that says why."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from tests import small


def dense(size, names, **options):
    kernel = nn.with_logical_partitioning(nn.initializers.ones, names)
    return nn.Dense(size, kernel_init=kernel, **options)


class Unnamed(nn.Module):
    hidden: int = 4

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.Dense(self.hidden)(x))


class NoField(nn.Module):
    @nn.compact
    def __call__(self, x):
        return dense(2, ("units", None))(dense(4, (None, "units"))(x))


class ForgottenBias(nn.Module):
    hidden: int = 4

    @nn.compact
    def __call__(self, x):
        return dense(2, ("hidden", None))(dense(self.hidden, (None, "hidden"))(x))


class Statistics(nn.Module):
    hidden: int = 4

    @nn.compact
    def __call__(self, x):
        x = dense(self.hidden, (None, "hidden"), use_bias=False)(x)
        return nn.BatchNorm(use_running_average=False)(x)


class Dropping(nn.Module):
    hidden: int = 4

    @nn.compact
    def __call__(self, x, train):
        x = dense(self.hidden, (None, "hidden"), use_bias=False)(x)
        return nn.Dropout(0.5, deterministic=not train)(x) @ jnp.ones((self.hidden, 2))


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (Unnamed(), "names no axis"),
        (NoField(), "'units' .4 units. must be a field of NoField"),
        (ForgottenBias(), "parameter Dense_1/bias .* name its cut axes"),
        (Statistics(), "batch_stats"),
        (Dropping(), "draws random numbers"),
    ],
)
def test_refusals(module, match):
    with pytest.raises(hj.UserError, match=match):
        hj.from_linen(module, np.zeros((1, 3), np.float32))


def test_the_scaler_is_for_training_only():
    model = small.lstm(scaler=True)
    params = model.init(jax.random.key(0))
    tokens = np.full((2, small.LENGTH), 3, np.int32)
    whole = model.apply(params, tokens, width=1.0, train=True)
    half = model.apply(params, tokens, width=0.5, train=True)
    asked = model.apply(params, tokens, width=0.5, train=False)
    np.testing.assert_array_equal(asked, whole)
    bias = params["head_bias"][None, None]
    np.testing.assert_allclose(half - bias, 2 * (whole - bias), rtol=1e-5, atol=1e-6)


def test_macs_refuse_loops_of_unknown_length():
    class Looping(nn.Module):
        hidden: int = 8

        @nn.compact
        def __call__(self, x):
            x = dense(self.hidden, (None, "hidden"), use_bias=False)(x)
            return jax.lax.while_loop(lambda y: y.sum() < 0, lambda y: y + 1, x)

    model = hj.from_linen(Looping(), np.zeros((1, 3), np.float32))
    from hasa_jax import costs

    with pytest.raises(hj.UserError, match="while_loop"):
        costs.cost_table(model, "macs")


def test_a_group_of_one_unit_is_legal():
    from hasa_jax import costs

    model = small.mlp(first=1, second=12)
    assert costs.cost_table(model, "macs")[-1] == 1
