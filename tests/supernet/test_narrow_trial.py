"""Modules whose narrow network is not the wide one with zeros are refused."""

import flax.linen as nn
import jax.numpy as jnp
import pytest

from hasa_jax.base import UserError
from hasa_jax.models.cnn import CNN
from hasa_jax.models.mlp import MLP
from hasa_jax.models.transformer import Transformer
from hasa_jax.supernet import narrow_trial
from hasa_jax.supernet.linen import from_linen
from tests.support import small


def bind(module, kind="mlp", norm="none", scaler="none"):
    return from_linen(module).bind(small.dataset(kind=kind), norm=norm, scaler=scaler)


def named(init, *names):
    return nn.with_logical_partitioning(init, names)


class Layers(nn.Module):
    """Two linear maps with something between them."""

    hidden: int = 6
    other: int = 4

    def between(self, x):
        return nn.relu(x)

    @nn.compact
    def __call__(self, x):
        def dense(size, *names):
            kernel = named(nn.initializers.lecun_normal(), *names)
            return nn.Dense(size, kernel_init=kernel, use_bias=False)

        x = nn.relu(dense(self.other, None, "other")(x))
        x = self.between(dense(self.hidden, "other", "hidden")(x))
        return dense(small.NUM_CLASSES, "hidden", None)(x)


class LayerNormed(Layers):
    def between(self, x):
        one, zero = (
            named(init, "hidden") for init in (nn.initializers.ones, nn.initializers.zeros)
        )
        return nn.LayerNorm(scale_init=one, bias_init=zero)(x)


class Softmax(Layers):
    def between(self, x):
        return nn.softmax(x)


class Centred(Layers):
    def between(self, x):
        return x - jnp.mean(x, axis=-1, keepdims=True)


class Neighbours(Layers):
    """Units depend on their position, so a subnet in another order is another network."""

    def between(self, x):
        return x + 0.5 * jnp.pad(x, ((0, 0), (0, 1)))[:, 1:]


class Scale(Layers):
    """Each unit has a factor that depends on how many there are."""

    def between(self, x):
        return x * jnp.sqrt(self.hidden)


@pytest.mark.parametrize(
    ("module", "where"),
    [
        (LayerNormed(), "LayerNorm_0/"),
        # What has no parameters is seen at the next ones.
        (Softmax(), "Dense_2/kernel"),
        (Centred(), "Dense_2/kernel"),
        (Neighbours(), "Dense_"),
        (Scale(), "Dense_2/kernel"),
    ],
)
def test_what_mixes_units_is_refused(module, where):
    name = type(module).__name__
    words = f"`model` {name} computes something else when units of 'hidden' are cut .* {where}"
    with pytest.raises(UserError, match=words):
        bind(module)


class Folded(Layers):
    def between(self, x):
        return x.reshape(x.shape[0], 2, -1).swapaxes(1, 2).reshape(x.shape)


class Least(nn.Module):
    hidden: int = 8

    @nn.compact
    def __call__(self, x):
        kernel = named(nn.initializers.lecun_normal(), None, "hidden")
        x = nn.Dense(max(self.hidden, 3), kernel_init=kernel, use_bias=False)(x)
        kernel = named(nn.initializers.lecun_normal(), "hidden", None)
        return nn.Dense(small.NUM_CLASSES, kernel_init=kernel, use_bias=False)(x)


def test_modules_that_do_not_follow_their_sizes_are_refused():
    with pytest.raises(UserError, match=r"Folded does not run with .*'hidden': 3.* cannot reshape"):
        bind(Folded())
    with pytest.raises(UserError, match=r"Dense_0/kernel .* should have shape \(4, 1\)"):
        bind(Least())


@pytest.mark.parametrize(
    ("module", "kind", "norm"),
    [
        (Layers(), "mlp", "none"),
        (small.MLP(), "mlp", "none"),
        (MLP(small.NUM_CLASSES, 9, 2, exits=2, exit_blocks=(1, 2)), "perceptron", "group"),
        (CNN(small.NUM_CLASSES, **small.STAGES), "cnn", "static"),
        pytest.param(
            Transformer(small.NUM_CLASSES + 2, small.NUM_CLASSES, **small.HEADS, max_length=7),
            "lstm",
            "none",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_good_modules_pass(module, kind, norm):
    assert bind(module, kind, norm).groups


def test_large_modules_are_tried_at_a_smaller_size(monkeypatch):
    tried = []
    monkeypatch.setattr(narrow_trial, "_MOST_PARAMETERS", 60)
    monkeypatch.setattr(narrow_trial, "_cuts", lambda model, _: tried.append(model.groups) or [])
    # 4 a + a b + 5 b parameters with a and b units: 16 + 16 + 20 = 52 of 4 and 4.
    assert bind(Layers(hidden=100, other=100)).groups == {"hidden": 100, "other": 100}
    assert tried == [{"hidden": 4, "other": 4}]
    monkeypatch.setattr(narrow_trial, "_MOST_PARAMETERS", 1)
    bind(Softmax())
    assert len(tried) == 1


def test_models_of_the_package_are_not_tried(monkeypatch):
    monkeypatch.setattr(narrow_trial, "_random_params", None)
    assert small.cnn().groups
