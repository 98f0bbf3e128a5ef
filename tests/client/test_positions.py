"""How many positions of texts get logits."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np

import hasa_jax as hj
from hasa_jax.client.batches import Batch
from hasa_jax.client.positions import choose_number, usual_positions, wanted_targets


def texts_of(lengths, per_client, length=16, unknown=0.0):
    """Returns texts of some lengths, of which some words are unknown."""
    generator = np.random.default_rng(0)
    known = generator.random((len(lengths), length)) >= unknown
    targets = np.where(np.arange(length) < lengths[:, None], np.where(known, 1, -1), -2)
    offsets = np.concatenate([[0], np.cumsum(per_client)])
    return hj.ClientData(np.zeros_like(targets), targets.astype(np.int32), offsets, 5)


def test_logits_are_computed_at_few_more_positions_than_have_a_target():
    generator = np.random.default_rng(1)
    data = texts_of(generator.integers(2, 15, size=600), (100, 200, 300), unknown=0.1)
    positions = np.array([*usual_positions(data, 32), 32 * 16])
    assert len(positions) == 4
    assert (np.diff(positions) > 0).all()
    executed = useful = 0
    for start, stop in itertools.pairwise(data.offsets):
        targets = generator.permutation(data.targets[start:stop])
        held = [(targets[i : i + 32] >= 0).sum() for i in range(0, len(targets), 32)]
        executed += positions[np.searchsorted(positions, held)].sum()
        useful += np.sum(held)
    assert executed <= 1.2 * useful


def test_texts_without_padding_and_other_targets_have_no_usual_positions():
    full = texts_of(np.full(40, 16), (40,))
    assert usual_positions(full, 8) == ()
    assert usual_positions(texts_of(np.full(40, 16), (40,), unknown=0.5), 8) != ()
    assert usual_positions(texts_of(np.zeros(40), (40,)), 8) == ()
    single = dataclasses.replace(full, targets=full.targets[:, 0])
    assert usual_positions(single, 8) == ()
    empty = dataclasses.replace(full, targets=full.targets[:0], offsets=np.array([0, 0]))
    assert usual_positions(empty, 8) == ()


# Two texts and one of padding; three targets are words.
BATCH = Batch(
    inputs=jnp.zeros((3, 3), jnp.int32),
    targets=jnp.array([[4, -1, -2], [-2, 2, 3], [1, 1, 1]], jnp.int32),
    valid=jnp.array([True, True, False]),
)


def test_the_first_number_that_holds_all_targets_is_chosen():
    chosen = [int(choose_number(BATCH, numbers, None)) for numbers in ((1, 3), (3, 8), (1, 2))]
    assert chosen == [1, 0, 2]
    assert choose_number(BATCH, (), None) == 0


def test_wanted_targets_by_hand():
    wanted, targets, valid, misses = wanted_targets(BATCH, 4)
    assert wanted.tolist() == [0, 4, 5, 9]
    assert targets.tolist() == [4, 2, 3, hj.IGNORED]
    assert valid.tolist() == [True, True, True, False]
    assert int(misses) == 1
    everywhere = wanted_targets(BATCH, None)
    assert everywhere.wanted is None
    assert everywhere.misses == 0
    np.testing.assert_array_equal(everywhere.targets, BATCH.targets)
