import jax
import numpy as np
import pytest

from hasa_jax import UserError, keys
from hasa_jax.datasets.splits import (
    assemble,
    counts_of_marks,
    generators_of_clients,
    least_examples,
    marks_of,
    split,
    split_clients,
)


@pytest.mark.parametrize("num_examples", [3, 4, 7, 10, 28, 101, 3041])
def test_split_is_a_partition(num_examples):
    parts = split(num_examples, jax.random.key(0))
    assert all(len(part) >= 1 for part in parts)
    assert all((np.diff(part) > 0).all() for part in parts)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(num_examples))


@pytest.mark.parametrize(
    ("num_examples", "sizes"), [(3, (1, 1, 1)), (28, (22, 3, 3)), (3041, (2433, 304, 304))]
)
def test_split_sizes(num_examples, sizes):
    assert tuple(map(len, split(num_examples, jax.random.key(0)))) == sizes


def test_split_fractions():
    sizes = [len(part) for part in split(100, jax.random.key(0), 0.25, 0.05)]
    assert sizes == [70, 25, 5]


def test_split_depends_only_on_the_key():
    one, same, other = (split(100, jax.random.key(seed)) for seed in (1, 1, 2))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one[2], other[2])


@pytest.mark.parametrize(("num_examples", "fractions"), [(2, (0.1, 0.1)), (10, (0.5, 0.5))])
def test_split_without_training_examples(num_examples, fractions):
    with pytest.raises(UserError, match="none for training"):
        split(num_examples, jax.random.key(0), *fractions)


def test_clients_split_by_their_own_address():
    key = jax.random.key(3)
    splits = split_clients({"a": 20, "b": 20}, key, "texts")
    for i, found in enumerate(splits):
        expected = split(20, keys.address(key, keys.Stream.SPLIT, client=i))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(splits[0][1], splits[1][1])


def test_a_client_does_not_depend_on_the_size_of_another():
    key = jax.random.key(3)
    few = split_clients({"a": 20, "b": 5}, key, "texts")
    many = split_clients({"a": 20, "b": 50}, key, "texts")
    np.testing.assert_array_equal(few[0][0], many[0][0])


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "no client in the data: .*at least two"),
        ({"solo": 9}, "only one client .'solo'.*at least two"),
        ({"a": 9, "tiny": 2}, "client 'tiny' has 2 texts"),
    ],
)
def test_split_clients_errors(counts, message):
    with pytest.raises(UserError, match=message):
        split_clients(counts, jax.random.key(0), "texts")


def test_assemble_joins_clients_in_order():
    clients = {
        "a": (np.arange(4.0), np.arange(4)),
        "b": (np.arange(10.0, 13.0), np.arange(10, 13)),
    }
    splits = [
        (np.array([0, 3]), np.array([1]), np.array([2])),
        (np.array([2]), np.array([0]), np.array([1])),
    ]
    data = assemble(clients, splits, 13)
    np.testing.assert_array_equal(data.train.inputs, [0, 3, 12])
    np.testing.assert_array_equal(data.train.targets, [0, 3, 12])
    np.testing.assert_array_equal(data.train.offsets, [0, 2, 3])
    np.testing.assert_array_equal(data.validation.targets, [1, 10])
    np.testing.assert_array_equal(data.test.targets, [2, 11])
    assert data.train.offsets.dtype == np.int32
    assert data.client_names == ("a", "b")
    assert data.test.num_classes == 13


def test_all_small_clients_are_counted():
    counts = {"a": 20, **{f"c{i}": 2 for i in range(5)}}
    with pytest.raises(UserError, match=r"5 of 6 clients have fewer than three texts") as caught:
        split_clients(counts, jax.random.key(0), "texts")
    assert "'c0' (2), 'c1' (2), 'c2' (2) and 2 more; add some" in str(caught.value)


@pytest.mark.parametrize(("stream", "first"), [(keys.Stream.SPLIT, 0), (keys.Stream.DATA, 1)])
@pytest.mark.parametrize("count", [5, 2 * 4096 + 5])
def test_clients_have_the_generators_of_their_addresses(stream, first, count):
    key = jax.random.key(3)
    found = list(generators_of_clients(key, count, stream, first))
    assert len(found) == count
    for client in {0, 1, 4095, 4096, count - 1} & {*range(count)}:
        expected = keys.generator(keys.address(key, stream, client=first + client))
        assert found[client].integers(2**60) == expected.integers(2**60)


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
def test_every_example_is_for_test_in_one_fold(folds):
    counts = np.array([max(folds, 4), 10, 11, 28, 101])
    key = jax.random.key(3)
    marks = [marks_of(counts, key, folds=folds, fold=fold + 1) for fold in range(folds)]
    np.testing.assert_array_equal(np.sum([own == 2 for own in marks], axis=0), 1)
    for own in marks:
        train, validation, _ = counts_of_marks(own, counts)
        assert (train >= 1).all()
        np.testing.assert_array_equal(validation, np.maximum(1, np.rint(0.1 * counts)))
    tests = np.array([counts_of_marks(own, counts)[2] for own in marks])
    assert (tests.max(0) - tests.min(0) <= 1).all()
    assert (tests >= 1).all()


def test_the_folds_of_a_client_are_parts_of_one_permutation():
    key = jax.random.key(3)
    order = keys.generator(keys.address(key, keys.Stream.SPLIT, client=1)).permutation(28)
    names = {"a": 9, "b": 28}
    # Seven positions each; three for validation come after them, from the start again at the end.
    for fold, (test, validation) in enumerate([([0, 7], [7, 10]), ([21, 28], [0, 3])]):
        found = split_clients(names, key, "texts", folds=4, fold=[1, 4][fold])[1]
        np.testing.assert_array_equal(found[2], np.sort(order[slice(*test)]))
        np.testing.assert_array_equal(found[1], np.sort(order[slice(*validation)]))
        np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(28))


@pytest.mark.parametrize("folds", [2, 3, 4, 7])
def test_the_least_examples_leave_one_in_each_split(folds):
    least = np.array([least_examples(folds)])
    for fold in range(1, folds + 1):
        marks = marks_of(least, jax.random.key(0), folds=folds, fold=fold)
        assert set(marks.tolist()) == {0, 1, 2}
    tight = [
        set(marks_of(least - 1, jax.random.key(0), folds=folds, fold=fold + 1).tolist())
        for fold in range(folds)
    ]
    assert any(own < {0, 1, 2} for own in tight)


@pytest.mark.parametrize(
    ("folds", "fold", "message"),
    [
        (1, 0, "`folds` is 1: it must be 0 for none, or at least 2"),
        (-2, 0, "`folds` is -2"),
        (3, 0, "`fold` is 0: it must be from 1 to 3"),
        (3, 4, "`fold` is 4: it must be from 1 to 3"),
        (0, 1, "`fold` is 1: it must be 0, as there are no folds"),
    ],
)
def test_folds_that_there_are_not(folds, fold, message):
    with pytest.raises(UserError, match=message):
        split_clients({"a": 20, "b": 20}, jax.random.key(0), "texts", folds, fold)


def test_clients_with_too_few_examples_for_the_folds_are_counted():
    counts = {"a": 20, "b": 9, "c": 4}
    with pytest.raises(UserError, match="`folds` is 10, which needs 10 texts of each") as caught:
        split_clients(counts, jax.random.key(0), "texts", 10, 1)
    assert "2 of 3 have fewer: 'b' (9), 'c' (4); lower it, add some" in str(caught.value)
