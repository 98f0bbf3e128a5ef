"""Dropout: the mask of a narrow subnet is a part of the supernet's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.base import UserError
from hasa_jax.models import layers
from hasa_jax.simulation import cohorts
from hasa_jax.supernet import units
from hasa_jax.supernet.linen import from_linen, supernet_of
from hasa_jax.supernet.types import Context
from tests.support import small

KEY = jax.random.key(4)
RATE = 0.4
STATES = 1 + jax.random.uniform(KEY, (50, 3, 8))
STEP = Context(train=True, key=KEY)


def drop(inputs, context, rate=RATE, group="units", layer="one"):
    return np.asarray(layers.drop(inputs, context, rate, group, layer))


def test_what_is_not_dropped_is_larger_by_its_chance():
    """Inverted scaling: values are zero or over `1 - rate`, and the mean stays."""
    dropped = drop(STATES, STEP)
    kept = dropped != 0
    np.testing.assert_array_equal(dropped[kept], np.asarray(STATES / (1 - RATE))[kept])
    assert abs(kept.mean() - (1 - RATE)) < 0.05
    # Units, positions and layers are dropped apart from each other.
    assert (kept.mean((0, 1)) < 0.8).all()
    assert (kept[:, :, 0] != kept[:, :, 1]).any()
    assert (kept != (drop(STATES, STEP, layer="two") != 0)).any()


def test_evaluation_and_a_rate_of_zero_change_nothing():
    evaluation = Context(key=KEY)
    assert layers.drop(STATES, evaluation, RATE, "units", "one") is STATES
    assert layers.drop(STATES, STEP, 0.0, "units", "one") is STATES


def test_a_narrow_mask_is_a_part_of_the_wide_one():
    ranks = np.array([3, 0, 6, 2, 7, 1, 5, 4])
    places = units.places({"units": ranks}, {"units": 5})
    own = np.argsort(ranks)[:5]
    narrow = drop(STATES[..., own], STEP.replace(places=places))
    np.testing.assert_array_equal(narrow, drop(STATES, STEP)[..., own])
    # Units of an axis that is never cut are the same in every subnet.
    uncut = drop(STATES, STEP.replace(places=places), group=None)
    np.testing.assert_array_equal(uncut, drop(STATES, STEP, group=None))


def test_bad_rates_and_missing_keys_are_refused():
    for rate in (-0.1, 1.0):
        with pytest.raises(UserError, match=r"`dropout` is .*: it must be at least 0 and below 1"):
            drop(STATES, STEP, rate)
        with pytest.raises(UserError, match="`dropout`"):
            hj.models.lstm(dropout=rate)
        with pytest.raises(UserError, match="`dropout`"):
            hj.models.transformer(dropout=rate)
    with pytest.raises(UserError, match=r"layer 'one' drops units .* `context.key`"):
        drop(STATES, Context(train=True))


class Net(nn.Module):
    """A module of a user's own with the package's dropout."""

    hidden: int = 6
    num_classes: int | None = None
    group: str | None = "hidden"

    @nn.compact
    def __call__(self, x, context):
        x = layers.Dense(self.hidden, (None, "hidden"))(x)
        x = layers.Dropout(RATE, self.group)(x, context)
        return layers.Dense(self.num_classes, ("hidden", "classes"))(x)


COUNTS = (7, 10, 3)
SIZES = (5, 8, 5)
SGD = optax.sgd(0.1)


def round_of(model, mode, extraction=None, kind="lstm", sizes=SIZES):
    """Returns the parameters after two rounds, and after the cohort in another order."""
    data = small.client_data(COUNTS, kind)
    method = small.plain(extraction=extraction or hj.extraction.random())
    program = small.program(model, data, mode, optimizer=SGD, method=method)
    cohort = small.cohort(program, data, sizes)
    start = small.initial(program, KEY)
    return [
        hj.scan_rounds(program, start, data, cohorts.stack([own] * 2))[0].params
        for own in (cohort, small.permuted(cohort, [2, 0, 1]))
    ]


def test_masked_sliced_and_the_order_of_clients_give_the_same():
    """With units drawn at random, which stand at other positions in the narrow network."""
    model = supernet_of(Net(hidden=9, num_classes=small.NUM_CLASSES), np.zeros((1, 4), np.float32))
    masked, other_order = round_of(model, "masked", kind="mlp")
    small.assert_trees_close(other_order, masked, atol=1e-6)
    small.assert_trees_close(round_of(model, "sliced", kind="mlp")[0], masked, atol=1e-5)


@pytest.mark.slow
def test_an_lstm_masked_is_the_same_sliced():
    model = small.lstm(hidden=8, dropout=RATE)
    assert model.draws
    masked, other_order = round_of(model, "masked")
    small.assert_trees_close(other_order, masked, atol=1e-6)
    small.assert_trees_close(round_of(model, "sliced")[0], masked, atol=1e-5)
    # Other numbers than without: the masks are used.
    without = small.lstm(hidden=8)
    assert not without.draws
    assert small.max_difference(round_of(without, "masked")[0], masked) > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("extraction", ["ordered_dropout", "rolling"])
def test_a_transformer_masked_is_the_same_sliced(extraction):
    # Of few units all are dropped at times, and a norm over zeros magnifies the last bits.
    model = small.transformer(embed=16, dropout=RATE, scaler="train")
    own = hj.EXTRACTIONS[extraction]()
    masked, other_order = round_of(model, "masked", own, sizes=(10, 16, 13))
    small.assert_trees_close(other_order, masked, atol=1e-6)
    small.assert_trees_close(
        round_of(model, "sliced", own, sizes=(10, 16, 13))[0], masked, atol=1e-4
    )


def bind(module, **options):
    return from_linen(module, **options).bind(small.dataset(), norm="none", scaler="none")


def test_a_module_of_ones_own_draws_by_its_context():
    assert bind(Net()).draws
    assert bind(Net(), dtype=jnp.bfloat16).draws


def test_a_group_that_is_forgotten_is_found():
    """The trial cuts units out in another order, where the masks then differ."""
    with pytest.raises(UserError, match=r"computes something else .* of 'hidden'"):
        bind(Net(group=None))


class Twice(nn.Module):
    """Drops twice: by one module, or by two names."""

    hidden: int = 6
    layers: tuple[str, str] | None = None

    @nn.compact
    def __call__(self, x, context):
        x = layers.Dense(self.hidden, (None, "hidden"))(x)
        own = layers.Dropout(RATE, "hidden")
        for layer in self.layers or (None, None):
            x = layers.drop(x, context, RATE, "hidden", layer) if layer else own(x, context)
        return layers.Dense(2, ("hidden", "classes"))(x)


def test_two_places_of_one_name_are_refused():
    """They would draw one mask, and drop less than they say."""
    inputs = np.zeros((1, 3), np.float32)
    with pytest.raises(UserError, match=r"Twice drops units 2 times as layer 'Dropout_0', always"):
        supernet_of(Twice(), inputs)
    with pytest.raises(UserError, match=r"Twice drops units 2 times as layer 'a', always"):
        supernet_of(Twice(layers=("a", "a")), inputs)
    assert supernet_of(Twice(layers=("a", "b")), inputs).draws


class Switched(nn.Module):
    """Dropout as flax documents it, with a switch that only a loop of one's own would set."""

    hidden: int = 6

    @nn.compact
    def __call__(self, x, train=False):
        x = layers.Dense(self.hidden, (None, "hidden"))(x)
        x = nn.Dropout(0.5)(x, deterministic=not train)
        return layers.Dense(2, ("hidden", "classes"))(x)


def test_dropout_of_flax_is_refused_and_never_silently_off():
    with pytest.raises(
        UserError, match=r"Switched draws random numbers by nn.Dropout.*: use `drop`"
    ):
        supernet_of(Switched(), np.zeros((1, 3), np.float32))
