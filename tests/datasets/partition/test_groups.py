import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets.partition.labels import Labels
from tests.support.labels import GROUPS, labels_of, partition


def test_natural_clients_are_the_groups():
    labels = labels_of(0)
    for group, part in enumerate(partition("natural", labels)):
        assert (labels.groups[part] == group).all()
    with pytest.raises(UserError, match="name no clients: set `partition`"):
        partition("natural", Labels(labels.targets, labels.groups, ("all",)))


def test_domains_have_equal_numbers_of_clients():
    labels = labels_of(0)
    parts = partition("domain", labels, 6)
    assert [set(labels.groups[part]) for part in parts] == [{0}, {0}, {1}, {1}, {2}, {2}]
    with pytest.raises(UserError, match="multiple of the 3"):
        partition("domain", labels, 7)
    small = Labels(labels.targets[:40], np.minimum(np.arange(40) // 18, 2), GROUPS)
    with pytest.raises(UserError, match=r"'east' has 4 .*`min_examples`"):
        partition("domain", small, 3)


def test_all_small_groups_are_counted():
    small = Labels(np.zeros(40, int), np.minimum(np.arange(40) // 4, 3), ("a", "b", "c", "d"))
    with pytest.raises(
        UserError, match=r"3 of 4 groups have fewer than 10 examples: 'a' \(4\), 'b'"
    ):
        partition("natural", small)
