"""From a pool to clients: every example is used once, test examples never for training."""

import dataclasses

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets import fingerprint
from hasa_jax.datasets.partition import PARTITIONS
from hasa_jax.datasets.partitioned import partitioned
from hasa_jax.datasets.pool import Pool
from tests.support.federated import owners, parts

KEY = jax.random.key(0)
TRAIN, TEST, NUM_CLASSES = 600, 120, 5


def pool_of(train=TRAIN, test=TEST, groups=3, seed=0):
    """A pool whose images show their index: its four digits to base 6 are the first pixels."""
    count = train + test
    indices, generator = np.arange(count), np.random.default_rng(seed)
    inputs = np.zeros((count, 4, 2, 1), np.uint8)
    for place in range(4):
        inputs[:, place, 0, 0] = indices // 6**place % 6
    return Pool(
        inputs=inputs,
        targets=generator.integers(0, NUM_CLASSES, count).astype(np.int32),
        is_test=generator.permutation(indices) >= train,
        classes=tuple("abcde"),
        groups=(indices % groups).astype(np.int32),
        group_names=("north", "south", "east")[:groups] if groups > 1 else ("all",),
    )


def indices_of(part):
    """Finds the indices of images: a standardised digit is a position among six values."""
    values, digits = np.unique(part.inputs[:, :, 0, 0], return_inverse=True)
    assert len(values) == 6
    return digits.reshape(-1, 4) @ 6 ** np.arange(4)


def same(one, other):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in zip(parts(one), parts(other), strict=True)
        for name in ("inputs", "targets", "offsets")
    )


@pytest.mark.parametrize("test", [0, TEST])
@pytest.mark.parametrize("partition", sorted(PARTITIONS))
def test_every_example_is_used_once(partition, test):
    pool = pool_of(test=test)
    data = partitioned(pool, KEY, partition=partition, num_clients=6)
    found = [indices_of(part) for part in parts(data)]
    used = np.concatenate(found)
    np.testing.assert_array_equal(np.sort(used), np.arange(TRAIN + test))
    for part, own in zip(parts(data), found, strict=True):
        np.testing.assert_array_equal(part.targets, pool.targets[own])
        assert (part.num_examples >= 1).all()
    if test:
        # The test split is the test set of the authors.
        np.testing.assert_array_equal(np.sort(found[2]), np.flatnonzero(pool.is_test))
    own = data.train.num_examples + data.validation.num_examples
    share = data.validation.num_examples / (own if test else own + data.test.num_examples)
    np.testing.assert_allclose(share, 0.1, atol=0.05)


def test_tests_follow_the_labels_of_training():
    pool = pool_of()
    data = partitioned(pool, KEY, partition="shards", num_clients=10, classes_per_client=1)
    for client in range(10):
        labels = {
            label for part in parts(data) for label in part.targets[owners(part) == client].tolist()
        }
        assert len(labels) == 1


def test_tests_of_a_group_stay_in_it():
    pool = pool_of()
    data = partitioned(pool, KEY, partition="natural")
    assert data.client_names == ("north", "south", "east")
    for part in parts(data):
        np.testing.assert_array_equal(pool.groups[indices_of(part)], owners(part))


def test_the_default_partition_is_natural_or_iid():
    grouped, plain = pool_of(), pool_of(groups=1)
    assert same(partitioned(grouped, KEY), partitioned(grouped, KEY, partition="natural"))
    assert same(partitioned(plain, KEY), partitioned(plain, KEY, partition="iid"))
    assert partitioned(plain, KEY).client_names == tuple(f"client_{i}" for i in range(10))


def test_clients_of_domains_are_named_after_them():
    data = partitioned(pool_of(), KEY, partition="domain", num_clients=6)
    assert data.client_names == (
        *("north 0", "north 1", "south 0", "south 1"),
        *("east 0", "east 1"),
    )
    for part in parts(data):
        np.testing.assert_array_equal(indices_of(part) % 3, owners(part) // 2)


@pytest.mark.parametrize("test", [0, TEST])
def test_max_examples(test):
    data = partitioned(pool_of(test=test, groups=1), KEY, max_examples=300)
    found = [indices_of(part) for part in parts(data)]
    used = np.concatenate(found)
    assert len(set(used.tolist())) == len(used)
    assert len(used) - (len(found[2]) if test else 0) == 300
    if test:
        assert len(found[2]) == 60  # In proportion.
    # They are drawn, and not the first ones.
    assert used.max() > 0.95 * (TRAIN + test)
    other = partitioned(pool_of(test=test, groups=1), jax.random.key(1), max_examples=300)
    assert not same(data, other)


@pytest.mark.parametrize("test", [0, TEST])
def test_max_per_group_makes_groups_equal(test):
    pool = pool_of(test=test, groups=3)
    data = partitioned(pool, KEY, max_per_group=100)
    sizes = sum(part.num_examples for part in (data.train, data.validation))
    tests = data.test.num_examples
    share = np.bincount(pool.groups[pool.is_test], minlength=3)
    train = np.bincount(pool.groups[~pool.is_test], minlength=3)
    if test:
        assert sizes.tolist() == [100] * 3
        np.testing.assert_array_equal(tests, np.round(share * 100 / train))
    else:
        assert (sizes + tests).tolist() == [100] * 3
    used = np.concatenate([indices_of(part) for part in parts(data)])
    assert len(set(used.tolist())) == len(used)
    with pytest.raises(UserError, match="`max_per_group` is 500, but there are only"):
        partitioned(pool, KEY, max_per_group=500)


def test_max_examples_of_all_is_all():
    pool = pool_of()
    assert same(partitioned(pool, KEY), partitioned(pool, KEY, max_examples=TRAIN))


@pytest.mark.parametrize("partition", sorted(PARTITIONS))
def test_the_key_decides_who_has_what(partition):
    pool = pool_of()
    first, again, other = (
        partitioned(pool, jax.random.key(seed), partition=partition, num_clients=6)
        for seed in (3, 3, 4)
    )
    assert same(first, again)
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)


def test_only_training_images_set_mean_and_deviation():
    pool = pool_of()
    before = partitioned(pool, KEY)
    others = np.concatenate([indices_of(part) for part in (before.validation, before.test)])
    inputs = pool.inputs.copy()
    inputs[others] = 255
    after = partitioned(dataclasses.replace(pool, inputs=inputs), KEY)
    np.testing.assert_array_equal(before.train.inputs, after.train.inputs)
    assert after.test.inputs.min() > before.train.inputs.max()
    train = before.train.inputs.astype(float)
    np.testing.assert_allclose([train.mean(), train.std()], [0, 1], atol=1e-5)
    inputs[indices_of(before.train)[0]] = 255
    changed = partitioned(dataclasses.replace(pool, inputs=inputs), KEY)
    assert not np.array_equal(changed.train.inputs[1:], before.train.inputs[1:])


def test_resize():
    data = partitioned(pool_of(), KEY, resize=3)
    assert data.train.inputs.shape[1:] == data.test.inputs.shape[1:] == (3, 3, 1)
    np.testing.assert_allclose(data.train.inputs.astype(float).mean(), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"num_clients": 61}, "600 examples are too few for 61 clients"),
        ({"num_clients": 1}, "`num_clients` is 1"),
        ({"min_examples": 61}, "too few for 10 clients"),
        ({"min_examples": 0}, "`min_examples` is 0"),
        ({"num_clients": 300, "min_examples": 2}, "raise `min_examples`"),
        ({"num_clients": 121, "min_examples": 3}, "120 examples for testing are too few for 121"),
        ({"max_examples": 601}, "`max_examples` is 601, but there are only 600"),
        ({"max_examples": 99}, "99 examples are too few"),
        ({"max_examples": -1}, "`max_examples` is -1"),
        ({"resize": -2}, "`resize` is -2"),
        ({"partition": "natural"}, "name no clients"),
        ({"partition": "sorted"}, "unknown `partition` 'sorted': use one of"),
        ({"partition": "dirichlet", "alpha": 0.0}, "`alpha` is 0:"),
        ({"partition": "shards", "classes_per_client": 6}, "`classes_per_client` is 6"),
    ],
)
def test_wrong_arguments_are_refused(arguments, expected):
    with pytest.raises(UserError, match=expected):
        partitioned(pool_of(groups=1), KEY, **{"partition": "iid"} | arguments)
