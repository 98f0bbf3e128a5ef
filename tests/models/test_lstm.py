"""The LSTM language model."""

import jax
import numpy as np

from hasa_jax.models import lstm
from hasa_jax.supernet.types import Context
from tests.support import small


def bind(**fields):
    return lstm(**fields).bind(small.dataset(kind="lstm"), norm="static", scaler="none")


def test_only_hidden_units_are_cut():
    model = bind()
    assert model.groups == {"hidden": 64}
    assert model.axes["embedding"] == ("tokens", None)
    assert model.shapes["embedding"].shape == (small.NUM_CLASSES + 2, 32)
    assert model.shapes["head_kernel"].shape == (64, small.NUM_CLASSES)
    assert bind(hidden=6, layers=2).groups == {"hidden/0": 6, "hidden/1": 6}


def test_exits_are_spread_over_the_layers():
    model = bind(embed=3, hidden=4, layers=2, exits=2)
    assert [model.depths[name] for name in ("head_kernel", "head_kernel_2")] == [1, 2]


def test_the_scaler_is_for_training_only():
    model = small.lstm(scaler="train")
    params = model.init(jax.random.key(0))
    tokens = np.full((2, small.LENGTH), 3, np.int32)

    def logits(**context):
        return model.apply(params, tokens, Context(**context))[0][0]

    full, half = logits(width=1.0, train=True), logits(width=0.5, train=True)
    np.testing.assert_array_equal(logits(width=0.5), full)
    bias = params["head_bias"][None, None]
    np.testing.assert_allclose(half - bias, 2 * (full - bias), rtol=1e-5, atol=1e-6)
