"""Modules that are not supernets are refused with a line that says why."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.extraction.prefix import prefix
from hasa_jax.models import ResNet18, Transformer
from hasa_jax.supernet import costs, losses, units
from hasa_jax.supernet.types import Context
from tests.support import small

KEY = jax.random.key(0)


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
    def __call__(self, x, context):
        x = dense(self.hidden, (None, "hidden"), use_bias=False)(x)
        return nn.Dropout(0.5, deterministic=not context.train)(x) @ jnp.ones((self.hidden, 2))


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
    model = small.lstm(scaler="train")
    params = model.init(jax.random.key(0))
    tokens = np.full((2, small.LENGTH), 3, np.int32)

    def logits(**context):
        return model.apply(params, tokens, Context(**context))[0][0]

    whole, half = logits(width=1.0, train=True), logits(width=0.5, train=True)
    np.testing.assert_array_equal(logits(width=0.5), whole)
    bias = params["head_bias"][None, None]
    np.testing.assert_allclose(half - bias, 2 * (whole - bias), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("level", "expected"),
    [(512, 11_172_170), (256, 2_796_714), (128, 701_018), (64, 176_178), (32, 44_510)],
)
def test_resnet18_has_the_published_parameters(level, expected):
    """Those of HeteroFL's levels a to e on CIFAR-10, all tensors counted."""
    model = hj.from_linen(ResNet18(10, norm="batch"), np.zeros((1, 8, 8, 3), np.float32))
    sizes = units.sizes_of_units(model.groups, level)
    assert costs.parameter_count(model, sizes) == expected
    narrow = ResNet18(10, *(sizes[f"stage{stage}"] for stage in (1, 2, 3, 4)), norm="batch")
    shapes = hj.from_linen(narrow, np.zeros((1, 8, 8, 3), np.float32)).shapes
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == expected


def test_transformer_reaches_bert_base():
    module = Transformer(
        30_522, 4, embed=768, heads=12, head_dim=64, feedforward=3072, layers=12, causal=False
    )
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 8), jnp.int32))
    layers = 12 * 7_087_872  # Without the norm of the embeddings: norms come first here.
    ends = (30_522 + 512) * 768 + 2 * 768 + 768 * 4 + 4
    leaves = jax.tree.leaves(nn.meta.unbox(shapes))
    assert sum(leaf.size for leaf in leaves) == layers + ends


@pytest.mark.parametrize("causal", [True, False])
def test_transformer_ignores_padding_and_the_future(causal):
    model = small.transformer(causal=causal)
    params = model.init(jax.random.key(0))
    tokens = jnp.array([[3, 4, 2, 0, 0, 0], [3, 4, 5, 6, 0, 0], [0, 0, 0, 0, 0, 0]])
    logits = model.apply(params, tokens, Context())[0][0]
    assert np.isfinite(logits).all()
    short = model.apply(params, tokens[:1, :3], Context())[0][0]
    if causal:
        np.testing.assert_allclose(logits[:1, :3], short, atol=1e-5)
        np.testing.assert_allclose(logits[0, :2], logits[1, :2], atol=1e-5)
        assert not np.allclose(logits[0, 2], logits[1, 2], atol=1e-3)
    else:
        np.testing.assert_allclose(logits[:1], short, atol=1e-5)


def test_exits_share_the_decoder_only_of_words():
    words = small.transformer(**small.TWO_EXITS)
    assert words.depths["decoder"]["kernel"] == 1
    classes = small.transformer(causal=False, **small.TWO_EXITS)
    assert [classes.depths[f"head_{number}"]["kernel"] for number in (1, 2)] == [1, 2]


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(hj.UserError, match="8 x 8 or more"):
        small.cnn(side=4)
    with pytest.raises(hj.UserError, match="texts of 6 tokens but max_length=5"):
        small.transformer(max_length=5)
    with pytest.raises(hj.UserError, match="exits=2 but exit_blocks"):
        small.perceptron(exits=2)


def test_macs_refuse_loops_of_unknown_length():
    class Looping(nn.Module):
        hidden: int = 8

        @nn.compact
        def __call__(self, x):
            x = dense(self.hidden, (None, "hidden"), use_bias=False)(x)
            return jax.lax.while_loop(lambda y: y.sum() < 0, lambda y: y + 1, x)

    model = hj.from_linen(Looping(), np.zeros((1, 3), np.float32))
    with pytest.raises(hj.UserError, match="while_loop"):
        costs.cost_table(model, prefix(), "macs")


def test_a_group_of_one_unit_is_legal():
    model = small.mlp(first=1, second=12)
    assert costs.cost_table(model, prefix(), "macs")[-1] == 1


@pytest.mark.parametrize("kind", ["lstm", pytest.param("transformer", marks=pytest.mark.slow)])
def test_bfloat16_computes_nearly_the_same_with_float32_parameters(kind, monkeypatch):
    exact = small.SUPERNETS[kind]()
    monkeypatch.setattr(hj, "from_linen", functools.partial(hj.from_linen, dtype=jnp.bfloat16))
    rough = small.SUPERNETS[kind]()
    params, data = rough.init(KEY), small.client_data((6,), kind.split()[0])
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}

    def loss(model):
        def of(params):
            logits, _ = model.apply(params, data.inputs, hj.Context(train=True))
            return losses.mean_loss(losses.score_batch(logits[-1], data.targets, np.ones(6, bool)))

        return jax.jit(jax.value_and_grad(of))(params)

    (value, gradient), (rough_value, rough_gradient) = loss(exact), loss(rough)
    assert {leaf.dtype for leaf in jax.tree.leaves(rough_gradient)} == {jnp.dtype("float32")}
    assert value != rough_value, "it computes in another type"
    np.testing.assert_allclose(rough_value, value, rtol=0.03)
    norm = optax.tree.norm(gradient)
    apart = optax.tree.norm(jax.tree.map(jnp.subtract, gradient, rough_gradient))
    assert apart < 0.1 * norm
