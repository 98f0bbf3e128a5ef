"""From a pool to clients: every example once, test examples never in training."""

import inspect

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets import DATASETS, fingerprint
from hasa_jax.datasets.dealt import builder, dealt
from hasa_jax.datasets.partition import PARTITIONS
from hasa_jax.datasets.pool import Pool
from tests.support import written

KEY = jax.random.key(0)
TRAIN, TEST, CLASSES = 600, 120, 5


def pool_of(train=TRAIN, test=TEST, groups=3, seed=0):
    """A pool whose images tell their number: its four digits to base 6, in the first pixels."""
    count = train + test
    rows, generator = np.arange(count), np.random.default_rng(seed)
    inputs = np.zeros((count, 4, 2, 1), np.uint8)
    for place in range(4):
        inputs[:, place, 0, 0] = rows // 6**place % 6
    return Pool(
        inputs=inputs,
        targets=generator.integers(0, CLASSES, count).astype(np.int32),
        is_test=generator.permutation(rows) >= train,
        classes=tuple("abcde"),
        groups=(rows % groups).astype(np.int32),
        group_names=("north", "south", "east")[:groups] if groups > 1 else ("all",),
    )


def rows_of(part):
    """Finds the numbers of the images: a standardised digit is a position among the six."""
    values, digits = np.unique(part.inputs[:, :, 0, 0], return_inverse=True)
    assert len(values) == 6
    return digits.reshape(-1, 4) @ 6 ** np.arange(4)


def parts(data):
    return data.train, data.validation, data.test


def clients(part):
    return np.repeat(np.arange(part.num_clients), part.num_examples)


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
    data = dealt(pool, KEY, partition=partition, num_clients=6)
    rows = [rows_of(part) for part in parts(data)]
    together = np.concatenate(rows)
    np.testing.assert_array_equal(np.sort(together), np.arange(TRAIN + test))
    for part, own in zip(parts(data), rows, strict=True):
        np.testing.assert_array_equal(part.targets, pool.targets[own])
        assert (part.num_examples >= 1).all()
    if test:
        # What its authors set apart is tested on, and nothing else is.
        np.testing.assert_array_equal(np.sort(rows[2]), np.flatnonzero(pool.is_test))
    held = data.train.num_examples + data.validation.num_examples
    share = data.validation.num_examples / (held if test else held + data.test.num_examples)
    np.testing.assert_allclose(share, 0.1, atol=0.05)


def test_tests_follow_the_labels_of_training():
    pool = pool_of()
    data = dealt(pool, KEY, partition="shards", num_clients=10, classes_per_client=1)
    for client in range(10):
        labels = {
            label
            for part in parts(data)
            for label in part.targets[clients(part) == client].tolist()
        }
        assert len(labels) == 1


def test_tests_of_a_group_stay_in_it():
    pool = pool_of()
    data = dealt(pool, KEY, partition="natural")
    assert data.client_names == ("north", "south", "east")
    for part in parts(data):
        np.testing.assert_array_equal(pool.groups[rows_of(part)], clients(part))


def test_who_asks_for_no_partition_gets_the_natural_one_or_iid():
    grouped, plain = pool_of(), pool_of(groups=1)
    assert same(dealt(grouped, KEY), dealt(grouped, KEY, partition="natural"))
    assert same(dealt(plain, KEY), dealt(plain, KEY, partition="iid"))
    assert dealt(plain, KEY).client_names == tuple(f"client_{i}" for i in range(10))


def test_clients_of_domains_are_named_after_them():
    data = dealt(pool_of(), KEY, partition="domain", num_clients=6)
    assert data.client_names == (
        *("north 0", "north 1", "south 0", "south 1"),
        *("east 0", "east 1"),
    )
    for part in parts(data):
        np.testing.assert_array_equal(rows_of(part) % 3, clients(part) // 2)


@pytest.mark.parametrize("test", [0, TEST])
def test_max_examples(test):
    data = dealt(pool_of(test=test, groups=1), KEY, max_examples=300)
    rows = [rows_of(part) for part in parts(data)]
    together = np.concatenate(rows)
    assert len(set(together.tolist())) == len(together)
    assert len(together) - (len(rows[2]) if test else 0) == 300
    if test:
        assert len(rows[2]) == 60  # As large a part of them.
    # Drawn, not cut off.
    assert together.max() > 0.95 * (TRAIN + test)
    assert not same(data, dealt(pool_of(test=test, groups=1), jax.random.key(1), max_examples=300))


@pytest.mark.parametrize("test", [0, TEST])
def test_max_per_group_makes_groups_equal(test):
    pool = pool_of(test=test, groups=3)
    data = dealt(pool, KEY, max_per_group=100)
    sizes = sum(part.num_examples for part in (data.train, data.validation))
    tests = data.test.num_examples
    share = np.bincount(pool.groups[pool.is_test], minlength=3)
    train = np.bincount(pool.groups[~pool.is_test], minlength=3)
    if test:
        assert sizes.tolist() == [100] * 3
        np.testing.assert_array_equal(tests, np.round(share * 100 / train))
    else:
        assert (sizes + tests).tolist() == [100] * 3
    rows = np.concatenate([rows_of(part) for part in parts(data)])
    assert len(set(rows.tolist())) == len(rows)
    with pytest.raises(UserError, match="max_per_group is 500, but only"):
        dealt(pool, KEY, max_per_group=500)


def test_max_examples_of_all_is_all():
    pool = pool_of()
    assert same(dealt(pool, KEY), dealt(pool, KEY, max_examples=TRAIN))


@pytest.mark.parametrize("partition", sorted(PARTITIONS))
def test_the_key_decides(partition):
    pool = pool_of()
    first, again, other = (
        dealt(pool, jax.random.key(seed), partition=partition, num_clients=6) for seed in (3, 3, 4)
    )
    assert same(first, again)
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)


def test_only_training_images_are_standardised_by():
    pool = pool_of()
    before = dealt(pool, KEY)
    seen = np.concatenate([rows_of(part) for part in (before.validation, before.test)])
    inputs = pool.inputs.copy()
    inputs[seen] = 255
    after = dealt(
        Pool(inputs, pool.targets, pool.is_test, pool.classes, pool.groups, pool.group_names), KEY
    )
    np.testing.assert_array_equal(before.train.inputs, after.train.inputs)
    assert after.test.inputs.min() > before.train.inputs.max()
    train = before.train.inputs.astype(float)
    np.testing.assert_allclose([train.mean(), train.std()], [0, 1], atol=1e-5)
    inputs[rows_of(before.train)[0]] = 255
    changed = Pool(inputs, pool.targets, pool.is_test, pool.classes, pool.groups, pool.group_names)
    assert not np.array_equal(dealt(changed, KEY).train.inputs[1:], before.train.inputs[1:])


def test_resize():
    data = dealt(pool_of(), KEY, resize=3)
    assert data.train.inputs.shape[1:] == data.test.inputs.shape[1:] == (3, 3, 1)
    np.testing.assert_allclose(data.train.inputs.astype(float).mean(), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"num_clients": 61}, "600 examples are too few for 61 clients"),
        ({"num_clients": 1}, "num_clients is 1"),
        ({"min_examples": 61}, "too few for 10 clients"),
        ({"min_examples": 0}, "min_examples is 0"),
        ({"num_clients": 300, "min_examples": 2}, "raise --min_examples"),
        ({"num_clients": 121, "min_examples": 3}, "120 examples for testing are too few for 121"),
        ({"max_examples": 601}, "max_examples is 601, but only 600 are there"),
        ({"max_examples": 99}, "99 examples are too few"),
        ({"max_examples": -1}, "max_examples is -1"),
        ({"resize": -2}, "resize is -2"),
        ({"partition": "natural"}, "tell no clients"),
        ({"partition": "sorted"}, "unknown partition 'sorted': use one of"),
        ({"partition": "dirichlet", "alpha": 0.0}, "alpha is 0:"),
        ({"partition": "shards", "classes_per_client": 6}, "classes_per_client is 6"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(arguments, expected):
    with pytest.raises(UserError, match=expected):
        dealt(pool_of(groups=1), KEY, **{"partition": "iid"} | arguments)


@pytest.mark.parametrize("name", sorted({reader for reader, _ in written.LAYOUTS.values()}))
def test_a_builder_reads_and_deals(name, tmp_path):
    layout = next(layout for layout, (reader, _) in written.LAYOUTS.items() if reader == name)
    read, pool = written.write(layout, tmp_path)
    arguments = {"partition": "iid", "num_clients": 3, "min_examples": 5, "max_examples": 50}
    data = DATASETS[name](KEY, data_dir=str(tmp_path), **arguments)
    assert same(data, dealt(pool, KEY, **arguments))
    signature = inspect.signature(DATASETS[name]).parameters
    assert list(signature)[:2] == ["key", "data_dir"]
    of_images = set(inspect.signature(dealt).parameters) - {"pool", "vocab_size", "max_length"}
    assert of_images | {"data_dir"} == set(signature)
    assert DATASETS[name].__doc__ == read.__doc__


def test_a_builder_passes_what_is_left_out_to_neither():
    def read(data_dir, flavour="plain"):
        assert data_dir.name == "here"
        return pool_of(groups=1 if flavour == "plain" else 3)

    build = builder(read)
    assert len(build(KEY, data_dir="far/here").client_names) == 10
    assert build(KEY, data_dir="here", flavour="mixed").client_names[0] == "north"
    with pytest.raises(TypeError, match="colour"):
        build(KEY, data_dir="here", colour="red")
