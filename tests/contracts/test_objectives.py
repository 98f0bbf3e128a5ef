"""What every objective of the table promises, on one local step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import IGNORED, UNKNOWN
from hasa_jax.client.objectives import OBJECTIVES, LocalStep
from hasa_jax.client.target_chunks import Targets

NUM_CLASSES = 4
PRESENT = np.array([True, True, False, True])
LABELS = {
    "labels": np.array([0, 3, 1, 1, UNKNOWN, 3], np.int32),
    "next words": np.array(
        [[0, 1, IGNORED], [3, UNKNOWN, 1], [1, 1, 1], [0, IGNORED, IGNORED], [3, 3, 0], [1, 0, 3]],
        np.int32,
    ),
}
# The last example fills up the batch.
VALID = np.array([True, True, True, True, True, False])


def logits_of(targets, seed=0):
    """Logits of two exits, and of the subnet that ordered dropout drew."""
    rng = np.random.default_rng(seed)
    shape = (*targets.shape, NUM_CLASSES)
    return {name: rng.normal(size=(2, *shape)).astype(np.float32) for name in ("own", "drawn")}


def loss_of(name, logits, targets, valid=VALID):
    """Returns the loss and the metrics of a client that has both exits."""

    def forward(*, kept):
        return tuple(logits["own" if kept is None else "drawn"]), {}

    step = LocalStep(
        forward=forward,
        targets=Targets(jnp.asarray(targets), jnp.asarray(valid)),
        drawn={"hidden": jnp.int32(3)},
        exits=2,
        present=jnp.asarray(PRESENT),
        round=jnp.int32(1),
    )
    return OBJECTIVES[name]().loss(step)


def gradient_of(name, logits, targets, valid=VALID):
    loss = functools.partial(loss_of, name, targets=targets, valid=valid)
    return jax.grad(loss, has_aux=True)(logits)[0]


def cases():
    return pytest.mark.parametrize("kind", sorted(LABELS))


@cases()
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_a_finite_loss_and_the_counts_of_the_batch(name, kind):
    targets = LABELS[kind]
    loss, sums = loss_of(name, logits_of(targets), targets)
    assert np.shape(loss) == ()
    assert np.isfinite(loss)
    assert loss > 0
    counted = targets[VALID]
    assert sums.count == np.sum(counted != IGNORED)
    assert sums.loss_count == np.sum(counted >= 0)
    assert 0 <= sums.correct <= sums.loss_count
    assert sums.count.dtype == sums.correct.dtype == jnp.int32


@cases()
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_padding_counts_nowhere(name, kind):
    targets = LABELS[kind]
    logits = logits_of(targets)
    gradient = gradient_of(name, logits, targets)
    for leaf in jax.tree.leaves(gradient):
        assert not np.asarray(leaf)[:, ~VALID].any()
        assert not np.asarray(leaf)[:, targets < 0].any()
    other = {key: np.array(value) for key, value in logits.items()}
    for value in other.values():
        value[:, ~VALID] = 7.0
        value[:, targets == IGNORED] = -7.0
    np.testing.assert_array_equal(
        loss_of(name, other, targets)[0], loss_of(name, logits, targets)[0]
    )


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_a_batch_without_targets_has_no_loss_and_no_gradient(name):
    targets = np.array([UNKNOWN, IGNORED, UNKNOWN], np.int32)
    logits, valid = logits_of(targets), np.array([True, True, False])
    loss, sums = loss_of(name, logits, targets, valid)
    assert loss == 0
    assert (sums.loss_count, sums.count) == (0, 1)
    for leaf in jax.tree.leaves(gradient_of(name, logits, targets, valid)):
        assert not np.asarray(leaf).any()


@cases()
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_the_order_of_the_examples_does_not_matter(name, kind):
    targets = LABELS[kind]
    logits, order = logits_of(targets), np.random.default_rng(1).permutation(len(targets))
    permuted = {key: value[:, order] for key, value in logits.items()}
    np.testing.assert_allclose(
        loss_of(name, permuted, targets[order], VALID[order])[0],
        loss_of(name, logits, targets)[0],
        rtol=1e-6,
    )


@cases()
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_a_step_along_the_gradient_lowers_the_loss(name, kind):
    targets = LABELS[kind]
    logits = logits_of(targets)
    gradient = gradient_of(name, logits, targets)
    assert any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))
    after = jax.tree.map(lambda x, g: x - 0.1 * g, logits, gradient)
    assert loss_of(name, after, targets)[0] < loss_of(name, logits, targets)[0]


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_absent_classes_get_a_gradient_unless_they_are_hidden(name):
    targets = LABELS["labels"]
    gradient = gradient_of(name, logits_of(targets), targets)
    absent = np.stack([leaf[..., ~PRESENT] for leaf in jax.tree.leaves(gradient)])
    assert OBJECTIVES[name]().own_classes == (not absent.any())


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_what_it_says_of_itself(name):
    """It reads every exit and a teacher exactly if it says so."""
    targets, objective = LABELS["labels"], OBJECTIVES[name]()
    gradient = gradient_of(name, logits_of(targets), targets)
    used = {key: [bool(np.asarray(exit).any()) for exit in leaf] for key, leaf in gradient.items()}
    assert (used["own"][0] or used["drawn"][0]) == objective.all_exits
    both = used["own"][1] and used["drawn"][1]
    assert both == objective.teacher
