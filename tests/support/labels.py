"""Random labels for partitions, and what partitions make of them."""

import numpy as np

from hasa_jax.datasets.partition import PARTITIONS
from hasa_jax.datasets.partition.labels import Labels

GROUPS = ("north", "south", "east")
NUM_CLASSES = 6


def labels_of(seed, num_examples=900):
    """Labels with unequal classes and three equal groups."""
    generator = np.random.default_rng(seed)
    chances = generator.dirichlet(np.ones(NUM_CLASSES))
    targets = generator.choice(NUM_CLASSES, num_examples, p=chances).astype(np.int32)
    groups = (np.arange(num_examples) % len(GROUPS)).astype(np.int32)
    return Labels(targets, groups, GROUPS)


def equal_labels(num_examples=1200):
    """Labels with equal classes and one group."""
    indices = np.arange(num_examples)
    return Labels(indices % NUM_CLASSES, np.zeros(num_examples, int), ("all",))


def partition(name, labels, num_clients=12, seed=0, **options):
    """The indices of each client."""
    return PARTITIONS[name](labels, num_clients, np.random.default_rng(seed), **options)


def label_counts(labels, parts):
    """Label counts of each client `[N, NUM_CLASSES]`."""
    return np.stack([np.bincount(labels.targets[part], minlength=NUM_CLASSES) for part in parts])
