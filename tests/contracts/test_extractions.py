"""What every extraction promises."""

import dataclasses
import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.simulation import cohorts
from hasa_jax.supernet import units
from hasa_jax.supernet.linen import supernet_of
from hasa_jax.supernet.types import Broadcast
from tests.support import small

KEY = jax.random.key(4)

VARIANTS = {
    **hj.EXTRACTIONS,
    "importance by layer": functools.partial(hj.EXTRACTIONS["importance"], threshold="layer"),
    "importance by stage": functools.partial(hj.EXTRACTIONS["importance"], threshold="stage"),
    "importance by fisher": functools.partial(hj.EXTRACTIONS["importance"], measure="fisher"),
    "neurons by taylor": functools.partial(hj.EXTRACTIONS["neuron_importance"], measure="taylor"),
    "random shared": functools.partial(hj.EXTRACTIONS["random"], shared=True),
    "rolling by 5": functools.partial(hj.EXTRACTIONS["rolling"], step=5),
}
RANKED = sorted(name for name in VARIANTS if VARIANTS[name]().order is not None)
PARAMETER_WISE = sorted(name for name in VARIANTS if VARIANTS[name]().mask is not None)


class TwoExits(nn.Module):
    """Two hidden layers of different sizes, with an exit after each."""

    first: int = 12
    second: int = 8
    exits: int = 2

    @nn.compact
    def __call__(self, inputs):
        def dense(name, features, names):
            kernel = nn.with_logical_partitioning(nn.initializers.lecun_normal(), names)
            bias = nn.with_logical_partitioning(nn.initializers.normal(0.1), names[1:])
            return nn.Dense(features, kernel_init=kernel, bias_init=bias, name=name)

        hidden = nn.relu(dense("first", self.first, (None, "first"))(inputs))
        logits = (dense("exit", small.NUM_CLASSES, ("first", "classes"))(hidden),)
        if self.exits > 1:
            hidden = nn.relu(dense("second", self.second, ("first", "second"))(hidden))
            logits += (dense("head", small.NUM_CLASSES, ("second", "classes"))(hidden),)
        return logits


@functools.cache
def two_exits():
    model = supernet_of(TwoExits(), np.zeros((1, 4), np.float32))
    return model, model.init(KEY)


def sent(params, client=3, round=7):
    """A broadcast to a client with a sample of 3 examples, which has room for 4."""
    model, _ = two_exits()
    scales = jnp.array([0.5, -2.0, 1.0, 0.0]) + jnp.float32(client) * jnp.array([1, 1, 1, 0])

    def sample_loss(params, positions):
        total = sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(params))
        return scales[positions] * total

    return Broadcast(
        model, params, jnp.int32(round), jnp.int32(client), KEY, sample_loss, jnp.int32(3), 4
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_it_keeps_units_or_parameters(name):
    extraction = VARIANTS[name]()
    assert (extraction.order is None) != (extraction.mask is None)
    assert extraction.prepare is None or extraction.mask is not None


@pytest.mark.parametrize("name", VARIANTS)
def test_shapes_grow_to_full_size(name):
    model, params = two_exits()
    extraction = VARIANTS[name]()
    shapes = [extraction.shape(model, size) for size in range(1, 13)]
    for small_one, large_one in itertools.pairwise(shapes):
        assert 0 < small_one.width <= large_one.width
        assert 1 <= small_one.exits <= large_one.exits
        for (group, kept), (other, more) in zip(small_one.kept, large_one.kept, strict=True):
            assert group == other
            assert 1 <= kept <= more
    assert hash(shapes[-1]) == hash(extraction.shape(model, 12))
    assert (shapes[-1].width, shapes[-1].exits) == (1.0, 2)
    full = dict(shapes[-1].kept)
    if extraction.order is not None:
        assert full == dict(model.groups)
    else:
        assert sum(full.values()) == sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize("name", RANKED)
def test_ranks_are_permutations_and_repeatable(name):
    model, params = two_exits()
    order = VARIANTS[name]().order
    mapped = jax.jit(jax.vmap(lambda client, round: order(sent(params, client, round))))
    ranks = mapped(jnp.array([0, 3, 3]), jnp.array([0, 7, 7]))
    single = order(sent(params))
    assert set(ranks) == set(model.groups)
    for group, count in model.groups.items():
        positions = np.tile(np.arange(count), (3, 1))
        np.testing.assert_array_equal(np.sort(ranks[group], axis=1), positions)
        np.testing.assert_array_equal(ranks[group][1], ranks[group][2])
        np.testing.assert_array_equal(ranks[group][1], single[group])


@pytest.mark.parametrize("name", RANKED)
def test_counts_nesting_and_full_width(name):
    model, params = two_exits()
    extraction = VARIANTS[name]()
    ranks = extraction.order(sent(params))
    previous = None
    for size in range(1, 13):
        kept = dict(extraction.shape(model, size).kept)
        masks = units.masks(model.shapes, model.axes, ranks, kept)
        assert masks["first"]["bias"].sum() == kept["first"]
        assert masks["second"]["kernel"].sum() == kept["first"] * kept["second"]
        if previous is not None:
            jax.tree.map(lambda a, b: np.testing.assert_array_less(a, b + 0.5), previous, masks)
        previous = masks
    assert all(np.all(mask == 1) for mask in jax.tree.leaves(previous))


def mask_function(name):
    """Returns `(params, client, kept) -> (masks, effective params, gradient of ones)`."""
    model, _ = two_exits()
    extraction = VARIANTS[name]()

    @jax.jit
    def evaluate(params, client, kept):
        prepared = extraction.prepare and extraction.prepare(params, model)
        choice = extraction.mask(sent(params, client), kept, prepared)
        effective, pull_back = jax.vjp(choice.view, params)
        return choice.masks, effective, *pull_back(jax.tree.map(jnp.ones_like, params))

    return extraction, evaluate


@pytest.mark.parametrize("name", PARAMETER_WISE)
def test_parameter_counts_nesting_and_gradients(name):
    model, params = two_exits()
    extraction, evaluate = mask_function(name)
    previous = jax.tree.map(jnp.zeros_like, params)
    for size in (1, 5, 11, 12):
        kept = dict(extraction.shape(model, size).kept)
        masks, effective, gradient = evaluate(params, 3, kept)
        assert sum(mask.sum() for mask in jax.tree.leaves(masks)) == sum(kept.values())
        jax.tree.map(lambda a, b: np.testing.assert_array_less(a, b + 0.5), previous, masks)
        small.assert_trees_equal(effective, jax.tree.map(jnp.multiply, params, masks))
        jax.tree.map(lambda g, m: np.testing.assert_array_equal(g != 0, m), gradient, masks)
        previous = masks
    small.assert_trees_equal(effective, params)
    small.assert_trees_equal(gradient, jax.tree.map(jnp.ones_like, params))


@pytest.mark.parametrize("name", PARAMETER_WISE)
def test_parameter_masks_of_a_cohort_are_those_of_its_clients(name):
    model, params = two_exits()
    extraction, evaluate = mask_function(name)
    kept = [dict(extraction.shape(model, size).kept) for size in (3, 9)]
    stacked = jax.tree.map(lambda *leaves: jnp.array(leaves), *kept)
    cohort = jax.vmap(evaluate, (None, 0, 0))(params, jnp.array([3, 5]), stacked)
    for lane, client in enumerate((3, 5)):
        single = evaluate(params, client, kept[lane])
        small.assert_trees_close(
            [leaf[lane] for leaf in jax.tree.leaves(cohort)], jax.tree.leaves(single)
        )


def trained(mode, name):
    """Returns the supernet after a round of clients of two sizes."""
    model, _ = two_exits()
    data, extraction = small.client_data((7, 8, 6, 5)), VARIANTS[name]()
    objective = "multi_exit" if extraction.all_exits else "cross_entropy"
    method = small.plain(extraction=extraction, objective=hj.OBJECTIVES[objective]())
    program = small.program(model, data, mode, method=method)
    cohort = small.cohort(program, data, [12, 5, 5, 12])
    return small.one_round(program, data, cohort)[1].params


@functools.cache
def trained_masked(name):
    return trained("masked", name)


@pytest.mark.parametrize("name", sorted({*RANKED} - {"random shared", "rolling by 5"}))
def test_sliced_agrees_with_masked(name):
    small.assert_trees_close(trained("sliced", name), trained_masked(name), atol=1e-5)


@pytest.mark.parametrize("size", [pytest.param(5, marks=pytest.mark.slow), 9])
def test_groups_of_neighbours_in_rank_are_the_same_in_every_execution(size):
    """Group norm depends on the ranks, also at full size."""
    model, data = small.perceptron(norm="group"), small.client_data(kind="perceptron")
    method = small.plain(extraction=hj.EXTRACTIONS["rolling"]())
    ends = []
    for mode in ("masked", "sliced"):
        program = small.program(model, data, mode, method=method)
        cohort = small.cohort(program, data, np.full(4, size))
        start = dataclasses.replace(small.initial(program), round=jnp.int32(3))
        ends.append(hj.scan_rounds(program, start, data, cohorts.stack([cohort]))[0].params)
    # Norms of two units each magnify rounding.
    small.assert_trees_close(*ends, atol=2e-4)


@pytest.mark.parametrize("name", PARAMETER_WISE)
def test_single_parameters_are_masked_only(name):
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(trained_masked(name)))
    with pytest.raises(hj.UserError, match="single parameters"):
        trained("sliced", name)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_clients_of_one_size_hold_the_same_if_by_size(name):
    model, params = two_exits()
    extraction = VARIANTS[name]()
    if extraction.order is not None:
        one, other = (extraction.order(sent(params, client)) for client in (3, 5))
    else:
        _, evaluate = mask_function(name)
        kept = dict(extraction.shape(model, 7).kept)
        one, other = (evaluate(params, client, kept)[0] for client in (3, 5))
    same = all(map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(other)))
    # Scores on data may rank alike by chance.
    assert same or not extraction.by_size
    assert extraction.by_size or name in ("random", "importance by fisher", "neurons by taylor")
    assert not (same and name == "random")
