"""The mean loss over targets, a chunk of positions at a time."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.client.batches import Batch
from hasa_jax.client.objectives import OBJECTIVES
from hasa_jax.client.target_chunks import Targets, mean_over_targets, targets_of, usual_chunk
from hasa_jax.supernet import losses
from hasa_jax.supernet.types import LinearHead
from tests.support import small

SHAPE, UNITS, CLASSES = (4, 6), 5, 7
LANES = "lanes"


def head_of(seed=0, dtype=jnp.float32):
    """Returns a head on the states of a batch of texts."""
    rng = np.random.default_rng(seed)
    shapes = (*SHAPE, UNITS), (UNITS, CLASSES), (CLASSES,)
    return LinearHead(*[jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes])


def batch_of(seed=1, known=0.6):
    """Returns a batch with words, unknown words and padding; its last text does not count."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, CLASSES, SHAPE)
    others = np.where(rng.random(SHAPE) < 0.5, hj.UNKNOWN, hj.IGNORED)
    targets = np.where(rng.random(SHAPE) < known, targets, others).astype(np.int32)
    return Batch(jnp.zeros(SHAPE), jnp.asarray(targets), jnp.array([True, True, True, False]))


def loss_of(name, heads, batch, chunk, *, lane_axis=None):
    """Returns an objective's loss on two exits, and on as many of the drawn subnet."""
    objective = OBJECTIVES[name](distillation=0.7) if name == "multi_exit" else OBJECTIVES[name]()
    present = jnp.arange(CLASSES) != 2
    step = hj.LocalStep(
        forward=lambda *, kept: ((heads[:2] if kept is None else heads[2:]), {}),
        targets=targets_of(batch, chunk, lane_axis),
        drawn=None if name == "multi_exit" else {"hidden": jnp.int32(3)},
        exits=jnp.int32(2),
        present=present,
        round=jnp.int32(1),
    )
    return objective.loss(step)


def both(name, heads, batch, chunk, **options):
    loss = functools.partial(loss_of, name, batch=batch, chunk=chunk, **options)
    return jax.value_and_grad(loss, has_aux=True)(heads)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@pytest.mark.parametrize("chunk", [1, 5, 16, 64])
def test_chunks_are_the_plain_loss_in_value_and_gradient(name, chunk):
    heads, batch = tuple(head_of(seed) for seed in range(4)), batch_of()
    plain, plain_grads = both(name, heads, batch, 0)
    chunked, grads = both(name, heads, batch, chunk)
    small.assert_trees_close((chunked, grads), (plain, plain_grads), atol=1e-6)
    value, sums = loss_of(name, heads, batch, chunk)
    small.assert_trees_close((value, sums), plain, atol=1e-6)


@pytest.mark.parametrize("chunk", [3, 16])
@pytest.mark.parametrize("known", [0.0, 1.0])
def test_batches_without_a_target_and_full_ones(known, chunk):
    heads, batch = tuple(head_of(seed) for seed in range(4)), batch_of(known=known)
    plain, plain_grads = both("cross_entropy", heads, batch, 0)
    chunked, grads = both("cross_entropy", heads, batch, chunk)
    small.assert_trees_close((chunked, grads), (plain, plain_grads), atol=1e-6)
    assert int(chunked[1].loss_count) == (18 if known else 0)
    assert (float(chunked[0]) == 0) == (known == 0)


def test_lanes_with_different_numbers_of_targets_are_single_clients():
    heads = tuple(head_of(seed) for seed in range(4))
    batches = [batch_of(seed, known) for seed, known in ((1, 0.1), (2, 0.9), (3, 0.5))]
    loss = functools.partial(both, "cross_entropy", heads, chunk=2)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
    together = functools.partial(loss, lane_axis=LANES)
    found = jax.jit(jax.vmap(together, axis_name=LANES))(stacked)
    alone = [loss(batch) for batch in batches]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    small.assert_trees_close(found, expected, atol=1e-6)


def test_the_mean_is_scaled_and_metrics_have_no_gradient():
    head, batch = head_of(), batch_of()

    def loss(head, factor):
        targets = targets_of(batch, 4, None)
        mean, sums = mean_over_targets(targets, (head,), losses.score_exit, (1, None))
        return factor * mean + 0 * sums.loss

    once, thrice = (jax.grad(loss)(head, factor) for factor in (1.0, 3.0))
    small.assert_trees_close(jax.tree.map(lambda x: 3 * x, once), thrice, atol=1e-6)


def test_products_are_in_the_models_type_and_sums_in_float32():
    head, batch = head_of(dtype=jnp.bfloat16), batch_of()

    def loss(head):
        targets = targets_of(batch, 4, None)
        return mean_over_targets(targets, (head,), losses.score_exit, (1, None))[0]

    value, gradient = jax.value_and_grad(loss)(head)
    assert value.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype(jnp.bfloat16)}
    exact = jax.grad(loss)(jax.tree.map(lambda x: x.astype(jnp.float32), head))
    small.assert_trees_close(gradient.kernel.astype(jnp.float32), exact.kernel, atol=0.02)


def test_no_array_holds_all_logits():
    head, batch = head_of(), batch_of()

    def loss(head, chunk):
        targets = targets_of(batch, chunk, None)
        return mean_over_targets(targets, (head,), losses.score_exit, (1, None))

    trace = functools.partial(jax.value_and_grad(loss, has_aux=True), chunk=3)
    text = str(jax.make_jaxpr(trace)(head))
    assert f"f32[3,{CLASSES}]" in text
    assert f"f32[{SHAPE[0] * SHAPE[1]},{CLASSES}]" not in text
    assert f"f32[{SHAPE[0]},{SHAPE[1]},{CLASSES}]" not in text


def test_logits_need_no_chunks():
    logits, batch = head_of().logits(), batch_of()
    targets = targets_of(batch, 4, None)
    mean, sums = mean_over_targets(targets, (logits,), losses.score_exit, (1, None))
    values, known = losses.target_losses(logits, batch.targets, batch.valid)
    np.testing.assert_allclose(mean, jnp.sum(values) / jnp.sum(known), rtol=1e-6)
    assert int(sums.loss_count) == int(jnp.sum(known))


def test_targets_are_of_the_batch():
    batch = batch_of()
    assert targets_of(batch, 8, "lanes") == Targets(batch.targets, batch.valid, 8, "lanes")


def texts_of(lengths, per_client, length=16, unknown=0.0, num_classes=5):
    """Returns texts of some lengths, of which some words are unknown."""
    generator = np.random.default_rng(0)
    known = generator.random((len(lengths), length)) >= unknown
    targets = np.where(np.arange(length) < lengths[:, None], np.where(known, 1, -1), -2)
    offsets = np.concatenate([[0], np.cumsum(per_client)])
    inputs = np.zeros_like(targets)
    return hj.ClientData(inputs, targets.astype(np.int32), offsets, num_classes)


def test_chunks_are_computed_at_few_more_positions_than_have_a_target():
    generator = np.random.default_rng(1)
    lengths = generator.integers(2, 15, size=600)
    data = texts_of(lengths, (100, 200, 300), unknown=0.1)
    chunk = usual_chunk(data, 32)
    executed = useful = 0
    for start in range(0, 600, 30):
        held = (data.targets[start : start + 30] >= 0).sum()
        executed += -(-held // chunk) * chunk
        useful += held
    assert executed <= 1.25 * useful
    assert chunk % 16 == 0


def test_full_batches_are_one_chunk_and_others_have_none():
    full = texts_of(np.full(40, 16), (40,))
    assert usual_chunk(full, 8) == 8 * 16
    assert usual_chunk(dataclasses.replace(full, targets=full.targets[:, 0]), 8) == 0
    empty = dataclasses.replace(full, targets=full.targets[:0], offsets=np.array([0, 0]))
    assert usual_chunk(empty, 8) == 0


def test_large_vocabularies_have_small_chunks():
    data = texts_of(np.full(640, 16), (640,), num_classes=100_000)
    assert usual_chunk(data, 64) <= 2**22 // 100_000
