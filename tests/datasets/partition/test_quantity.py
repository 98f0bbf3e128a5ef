import numpy as np

from tests.support.labels import NUM_CLASSES, label_counts, labels_of, partition


def test_sizes_differ_but_labels_do_not():
    labels = labels_of(1, 6000)
    parts = partition("quantity", labels, alpha=0.5)
    sizes = np.array([len(part) for part in parts])
    assert sizes.max() > 5 * sizes.min()
    largest = label_counts(labels, [parts[sizes.argmax()]])[0]
    expected = np.bincount(labels.targets, minlength=NUM_CLASSES) / 6000
    assert np.abs(largest / largest.sum() - expected).max() < 0.03
