"""The Transformer, for the next word and for the class of a text."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.models import Transformer, transformer
from hasa_jax.supernet.types import Context, LinearHead
from tests.support import small


def test_it_reaches_bert_base():
    module = Transformer(
        30_522,
        4,
        embed=768,
        heads=12,
        head_dim=64,
        feedforward=3072,
        layers=12,
        causal=False,
        max_length=512,
    )
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 8), jnp.int32))
    layers = 12 * 7_087_872  # Without the norm of the embeddings: norms come first here.
    ends = (30_522 + 512) * 768 + 2 * 768 + 768 * 4 + 4
    leaves = jax.tree.leaves(nn.meta.unbox(shapes))
    assert sum(leaf.size for leaf in leaves) == layers + ends


@pytest.mark.parametrize("causal", [True, False])
def test_it_ignores_padding_and_the_future(causal):
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


@pytest.mark.parametrize(("kind", "causal"), [("transformer", True), ("topics", False)])
def test_the_data_decide_whether_it_is_causal(kind, causal):
    model = transformer().bind(small.dataset(kind=kind), norm="static", scaler="none")
    assert model.groups == {"embed": 32, "head_dim/0": 8, "feedforward/0": 64}
    assert model.shapes["positions"].shape == (small.LENGTH, 32)
    assert model.shapes["layer_1_attention"]["query_kernel"].shape == (32, 4, 8)
    assert ("decoder" in model.shapes) == causal
    deferred = functools.partial(model.apply, context=Context(defer_logits=True))
    inputs = jax.ShapeDtypeStruct((2, *model.input_shape), model.input_dtype)
    outputs = jax.eval_shape(deferred, model.shapes, inputs)[0]
    assert isinstance(outputs[-1], LinearHead) == causal


def test_long_texts_are_refused():
    with pytest.raises(UserError, match="texts of 6 tokens but `max_length`=5"):
        small.transformer(max_length=5)
