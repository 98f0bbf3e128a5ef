"""Which model fits which data."""

import dataclasses
import inspect

import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.models import MODELS, default_model
from hasa_jax.models.fit import FITS
from tests.support import small

LISTS = {
    "lstm": "lstm, transformer",
    "topics": "transformer",
    "mlp": "mlp",
    "cnn": "mlp, cnn, resnet18",
}
"""Models that fit the data of each kind."""

KINDS = {
    "lstm": "texts with next words",
    "topics": "texts with labels",
    "mlp": "4 numbers with labels",
    "cnn": "8 x 8 x 3 numbers with labels",
}


def test_only_models_of_the_table_are_advised():
    assert {*FITS} <= {*MODELS}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_that_does_not_fit_is_refused(name, kind):
    dataset = small.dataset(kind=kind)
    if name in LISTS[kind].split(", "):
        # Small, so that the test is fast.
        sizes = {"embed": 2, "feedforward": 2} if name == "transformer" else {"hidden": 2}
        model = MODELS[name](**sizes).bind(dataset, norm="none", scaler="none")
        assert model.input_shape == dataset.train.inputs.shape[1:]
        return
    with pytest.raises(UserError) as raised:
        MODELS[name]().bind(dataset, norm="none", scaler="none")
    expected = f"`model` {name} does not fit a `dataset` of {KINDS[kind]}: use {LISTS[kind]}"
    assert str(raised.value) == expected


def test_data_that_no_model_fits_are_refused():
    dataset = small.dataset()
    train = dataclasses.replace(dataset.train, targets=np.zeros((52, 2), np.int32))
    dataset = dataclasses.replace(dataset, train=train)
    with pytest.raises(UserError, match="several targets: make a model by from_linen"):
        MODELS["mlp"]().bind(dataset, norm="none", scaler="none")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("lstm", "lstm"), ("topics", "transformer"), ("mlp", "mlp"), ("perceptron", "mlp"),
     ("cnn", "cnn")],
)  # fmt: skip
def test_the_default_model_fits(kind, expected):
    assert default_model(small.dataset(kind=kind)) == expected


def test_small_images_have_another_default():
    dataset = small.dataset(kind="cnn")
    train = dataclasses.replace(dataset.train, inputs=dataset.train.inputs[:, :7])
    assert default_model(dataclasses.replace(dataset, train=train)) == "mlp"


@pytest.mark.parametrize(
    ("name", "depth", "advice"),
    [("cnn", 4, ""), ("resnet18", 4, ""), ("mlp", 1, ", or raise `layers`"),
     ("transformer", 1, ", or raise `layers`"), ("lstm", 1, ", or raise `layers`")],
)  # fmt: skip
def test_more_exits_than_blocks_are_refused(name, depth, advice):
    with pytest.raises(UserError) as raised:
        MODELS[name](exits=5).bind(small.dataset(kind=name), norm="none", scaler="none")
    start = f"`exits`=5 but `model` {name} has depth {depth} here: lower `exits`"
    assert str(raised.value) == start + advice


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [("cnn", "hidden", 0), ("lstm", "embed", -1), ("transformer", "head_dim", 1.5),
     ("mlp", "layers", 0), ("resnet18", "exits", None)],
)  # fmt: skip
def test_counts_below_one_are_refused(name, argument, value):
    with pytest.raises(UserError, match=f"`{argument}`={value!r}: use an integer of 1 or more"):
        MODELS[name](**{argument: value})


COUNTS = [
    (name, argument)
    for name, factory in MODELS.items()
    for argument, given in inspect.signature(factory).parameters.items()
    if isinstance(given.default, int)
]


@pytest.mark.parametrize(("name", "argument"), COUNTS)
@pytest.mark.parametrize("value", [10**12, 2**63, 10**40])
def test_counts_beyond_any_memory_are_refused_before_anything_is_traced(name, argument, value):
    with pytest.raises(UserError, match=f"`{argument}`={value} is too large: it takes .* GiB"):
        MODELS[name](**{argument: value})
