import pytest

from hasa_jax import UserError
from tests.support.labels import equal_labels, label_counts, labels_of, partition


@pytest.mark.parametrize(("count", "classes"), [(12, 2), (100, 2), (6, 1), (7, 3), (12, 6)])
def test_every_client_has_exactly_this_many_classes(count, classes):
    labels = equal_labels()
    parts = partition("shards", labels, count, classes_per_client=classes, min_examples=1)
    assert ((label_counts(labels, parts) > 0).sum(axis=1) == classes).all()
    if count * classes % 6 == 0:
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= classes


def test_classes_are_paired_at_random():
    labels = equal_labels()
    has = label_counts(labels, partition("shards", labels, 100, min_examples=1)) > 0
    assert len({tuple(of_client) for of_client in has}) >= 12  # Of 15 pairs.


@pytest.mark.parametrize(("count", "classes"), [(2, 2), (12, 7), (12, 0)])
def test_shards_that_leave_classes_without_a_client_are_refused(count, classes):
    with pytest.raises(UserError, match="`classes_per_client`"):
        partition("shards", labels_of(0), count, classes_per_client=classes, min_examples=1)
