"""A subnet is the same at full size with zeros outside it, and truly narrow."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.execution.broadcast import broadcast_to
from hasa_jax.execution.layout import Bucket, Slot, place
from hasa_jax.execution.subnets import masked_subnet, sliced_subnet
from hasa_jax.supernet.subnet import confine, forward, insert
from tests.support import small

SGD = optax.sgd(0.2)
EXTRACTIONS = {name: hj.EXTRACTIONS[name]() for name in ("prefix", "random")}
# Of the 9 sizes of the perceptron, the first 4 have one exit of two.
DEEP = hj.EXTRACTIONS["depth_width"]()


def slot_of(shape):
    """Returns the slot of client 1."""
    return Slot(
        entry=jnp.int32(0),
        client=jnp.int32(1),
        local=jnp.int32(1),
        width=jnp.float32(shape.width),
        kept={group: jnp.int32(count) for group, count in shape.kept},
        exits=jnp.int32(shape.exits),
        weight=jnp.float32(1),
        steps=jnp.int32(9),
        hostile=jnp.bool_(False),
    )


@functools.partial(jax.jit, static_argnames=("model", "extraction", "size", "bucket"))
def seen(state, data, model, extraction, size, bucket):
    """Returns logits, and masks and a change in supernet coordinates, of one client's subnet."""
    shape = extraction.shape(model, size)
    slot = slot_of(shape)
    sent = broadcast_to(slot.client, slot.local, model, state, data, 4)
    if bucket is None:
        subnet = masked_subnet(model, extraction, sent, slot, None)
    else:
        subnet = sliced_subnet(model, extraction, sent, slot, bucket)
    logits = forward(subnet, subnet.params, jnp.asarray(data.inputs)[:3])[0]
    change = confine(subnet, jax.tree.map(lambda x: x + 1, subnet.params))
    ones = jax.tree.map(jnp.ones_like, state.params)
    masks = jax.tree.map(jnp.multiply, ones, subnet.masks)
    return logits[: shape.exits], masks, jax.tree.map(jnp.multiply, insert(subnet, change), masks)


@pytest.mark.parametrize(
    ("kind", "extraction", "size", "larger"),
    [
        ("mlp", EXTRACTIONS["prefix"], 5, 12),
        ("mlp", EXTRACTIONS["random"], 7, 10),
        ("perceptron two exits", DEEP, 4, 9),
    ],
)
def test_masked_exact_and_shared_subnets_are_the_same(kind, extraction, size, larger):
    model, data = small.supernet(kind), small.client_data(kind=kind.split()[0])
    state = hj.ServerState(model.init(small.KEY), None, jnp.int32(0), small.KEY)
    exact = Bucket(extraction.shape(model, size), exact=True)
    shared = Bucket(extraction.shape(model, larger), exact=False)
    reference = seen(state, data, model, extraction, size, None)
    assert all(np.abs(logits).max() > 1e-3 for logits in reference[0])
    for bucket in (exact, shared):
        found = seen(state, data, model, extraction, size, bucket)
        small.assert_trees_close(found[0], reference[0], atol=1e-5)
        small.assert_trees_equal(found[1:], reference[1:])


def one_round(kind, sizes, mode, *, examples, layout=None):
    """Trains a round with two lanes; returns parameters."""
    data = small.client_data(examples, kind)
    program = small.program(small.supernet(kind), data, mode, optimizer=SGD, client_block=2)
    cohort = small.cohort(program, data, sizes)
    if layout is not None:
        changed = layout(cohort.layout)
        clients = np.arange(len(sizes))
        examples = data.num_examples
        cohort = place(changed, clients, sizes, examples, examples)
    return small.one_round(program, data, cohort)[1].params


def share_largest(layout):
    """Runs clients of sizes 11 and 12 in one bucket, and those of size 5 in their own."""
    at_full, at_five = layout.buckets[0].shape, layout.buckets[2].shape
    buckets = (Bucket(at_full, exact=False), Bucket(at_five, exact=True))
    turns = layout.num_clients
    return dataclasses.replace(layout, bucket_of=(1, 0, 0), buckets=buckets, turns=turns)


def test_clients_that_share_a_bucket_train_as_if_they_had_their_own():
    sizes, examples = np.array([12, 11, 5, 11]), (7, 12, 3, 9)
    shared = one_round("mlp", sizes, "sliced", examples=examples, layout=share_largest)
    masked = one_round("mlp", sizes, "masked", examples=examples)
    small.assert_trees_close(shared, masked, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", "lstm", "perceptron"])
def test_all_sizes_at_once_share_buckets_and_train_as_if_they_had_their_own(kind):
    every = np.arange(1, max(small.supernet(kind).groups.values()) + 1)
    examples = tuple(range(3, 3 + len(every)))
    shared = one_round(kind, every, "sliced", examples=examples)
    masked = one_round(kind, every, "masked", examples=examples)
    small.assert_trees_close(shared, masked, atol=2e-5)
