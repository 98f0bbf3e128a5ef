"""What every partition promises, over seeds; and what each of them does."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasa_jax import UserError
from hasa_jax.datasets.partition import PARTITIONS, matched
from hasa_jax.datasets.partition.rows import Labels, whole_numbers, with_minimum

GROUPS = ("north", "south", "east")


def labels_of(seed, num_rows=900, num_classes=6):
    generator = np.random.default_rng(seed)
    chances = generator.dirichlet(np.ones(num_classes))
    targets = generator.choice(num_classes, num_rows, p=chances).astype(np.int32)
    groups = (np.arange(num_rows) % len(GROUPS)).astype(np.int32)
    return Labels(targets, groups, GROUPS)


def deal(name, labels, num_clients=12, seed=0, **options):
    return PARTITIONS[name](labels, num_clients, np.random.default_rng(seed), **options)


def histograms(labels, parts):
    return np.stack([np.bincount(labels.targets[part], minlength=6) for part in parts])


@pytest.mark.parametrize("name", sorted(PARTITIONS))
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_every_row_is_somebodys_once_and_all_have_enough(name, seed):
    labels = labels_of(seed)
    parts = deal(name, labels, seed=seed, min_examples=7)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(900))
    assert min(map(len, parts)) >= 7
    assert all((np.diff(part) > 0).all() for part in parts)
    for one, other in zip(parts, deal(name, labels, seed=seed, min_examples=7), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", sorted(set(PARTITIONS) - {"natural"}))
def test_another_seed_deals_otherwise(name):
    labels = labels_of(0)
    pairs = zip(deal(name, labels, seed=1), deal(name, labels, seed=2), strict=True)
    assert any(not np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("name", sorted(set(PARTITIONS) - {"natural"}))
def test_too_few_rows_are_told(name):
    with pytest.raises(UserError, match="examples"):
        deal(name, labels_of(0), min_examples=76)
    with pytest.raises(UserError, match=r"num_clients is 1"):
        deal(name, labels_of(0), num_clients=1)


@pytest.mark.parametrize("name", ["iid", "balanced_dirichlet"])
def test_equal_sizes(name):
    sizes = [len(part) for part in deal(name, labels_of(0), num_clients=7)]
    assert max(sizes) - min(sizes) <= 1


def divergence(name, **options):
    """Mean total variation of the clients' label distributions from that of all."""
    labels = labels_of(3, 6000)
    counts = histograms(labels, deal(name, labels, **options))
    own = counts / counts.sum(axis=1, keepdims=True)
    return np.abs(own - counts.sum(axis=0) / counts.sum()).sum(axis=1).mean() / 2


@pytest.mark.parametrize("name", ["dirichlet", "balanced_dirichlet"])
def test_alpha_sets_how_far_clients_differ(name):
    far, middle, near = (divergence(name, alpha=alpha) for alpha in (0.05, 0.5, 500.0))
    assert far > middle + 0.05 > near + 0.2
    assert near < 0.06
    assert divergence("iid") < 0.06


@pytest.mark.parametrize("name", ["balanced_dirichlet", "dirichlet", "quantity"])
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), float("inf"), 1e308])
def test_alpha_out_of_range(name, alpha):
    with pytest.raises(UserError, match="alpha"):
        deal(name, labels_of(0), alpha=alpha)


@pytest.mark.parametrize("name", ["dirichlet", "balanced_dirichlet"])
def test_an_alpha_near_nothing_still_deals(name):
    parts = deal(name, labels_of(0), alpha=1e-9, min_examples=3)
    assert len(np.concatenate(parts)) == 900


def test_quantity_changes_sizes_but_not_labels():
    labels = labels_of(1, 6000)
    parts = deal("quantity", labels, alpha=0.5)
    sizes = np.array([len(part) for part in parts])
    assert sizes.max() > 5 * sizes.min()
    large = histograms(labels, [parts[sizes.argmax()]])[0]
    expected = np.bincount(labels.targets, minlength=6) / 6000
    assert np.abs(large / large.sum() - expected).max() < 0.03


@pytest.mark.parametrize(("count", "classes"), [(12, 2), (100, 2), (6, 1), (7, 3), (12, 6)])
def test_shards_have_exactly_so_many_classes(count, classes):
    labels = Labels(np.arange(1200) % 6, np.zeros(1200, int), ("all",))
    parts = deal("shards", labels, count, classes_per_client=classes, min_examples=1)
    held = (histograms(labels, parts) > 0).sum(axis=1)
    assert (held == classes).all()
    if count * classes % 6 == 0:
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= classes


def test_shards_pair_classes_at_random():
    labels = Labels(np.arange(1200) % 6, np.zeros(1200, int), ("all",))
    held = histograms(labels, deal("shards", labels, 100, min_examples=1)) > 0
    assert len({tuple(row) for row in held}) >= 12  # Of 15 pairs.


@pytest.mark.parametrize(("count", "classes"), [(2, 2), (12, 7), (12, 0)])
def test_shards_that_leave_something_out_are_refused(count, classes):
    with pytest.raises(UserError, match="classes_per_client"):
        deal("shards", labels_of(0), count, classes_per_client=classes, min_examples=1)


def test_natural_clients_are_the_groups():
    labels = labels_of(0)
    for group, part in enumerate(deal("natural", labels)):
        assert (labels.groups[part] == group).all()
    with pytest.raises(UserError, match="tell no clients"):
        deal("natural", Labels(labels.targets, labels.groups, ("all",)))


def test_domains_are_split_among_as_many_clients_each():
    labels = labels_of(0)
    parts = deal("domain", labels, 6)
    assert [set(labels.groups[part]) for part in parts] == [{0}, {0}, {1}, {1}, {2}, {2}]
    with pytest.raises(UserError, match="multiple of the 3"):
        deal("domain", labels, 7)
    small = Labels(labels.targets[:40], np.minimum(np.arange(40) // 18, 2), GROUPS)
    with pytest.raises(UserError, match="'east' has 4"):
        PARTITIONS["domain"](small, 3, np.random.default_rng(0))


def test_tests_follow_the_training_labels():
    labels = labels_of(2, 6000)
    dealt = deal("dirichlet", labels, alpha=0.3)
    counts, owners = histograms(labels, dealt), np.empty(6000, int)
    for client, part in enumerate(dealt):
        owners[part] = client
    tests = np.repeat(np.arange(6), 200)
    one = np.zeros(1200, int)
    parts = matched(
        dataclasses.replace(labels, groups=np.zeros(6000, int)),
        owners,
        Labels(tests, one, ("all",)),
        12,
        np.random.default_rng(0),
    )
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1200))
    found = np.stack([np.bincount(tests[part], minlength=6) for part in parts])
    expected = 200 * counts / np.maximum(counts.sum(axis=0), 1)
    assert np.abs(found - expected).max() <= 2


def test_tests_that_nobody_trains_for_stay_in_their_group():
    """North is clients 0 and 1, by 3 to 1; nobody has its class 2, and nobody has the west."""
    train = Labels(np.array([0, 1, 0, 1, 2]), np.array([0, 0, 0, 0, 1]), ("north", "south", "west"))
    owners = np.array([0, 0, 0, 1, 2])
    test = Labels(
        np.array([2] * 8 + [0] * 6), np.array([0] * 8 + [2] * 6), ("north", "south", "west")
    )
    parts = matched(train, owners, test, 3, np.random.default_rng(0))
    held = [np.bincount(test.groups[part], minlength=3).tolist() for part in parts]
    assert held == [[6, 0, 2], [2, 0, 2], [0, 0, 2]]


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=20), st.integers(0, 1000))
def test_whole_numbers_add_up_and_are_near(parts, total):
    parts = np.array(parts)
    numbers = whole_numbers(parts, total)
    assert numbers.sum() == total
    assert np.abs(numbers - parts / parts.sum() * total).max() < 1 + 1e-9


def test_the_minimum_is_taken_from_the_largest():
    parts = with_minimum(
        [np.arange(50), np.arange(50, 52), np.array([], int)], 10, np.random.default_rng(0)
    )
    assert min(map(len, parts)) == 10
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(52))
