"""What several tests look at in a federated dataset."""

import numpy as np


def parts(data):
    """The three splits."""
    return data.train, data.validation, data.test


def owners(part):
    """The client of each example of a split."""
    return np.repeat(np.arange(part.num_clients), part.num_examples)


def histograms(data):
    """Label counts of each client over all splits `[N, K]`."""
    counts = np.zeros((data.train.num_clients, data.train.num_classes))
    for part in parts(data):
        np.add.at(counts, (owners(part), part.targets), 1)
    return counts


def divergence(counts):
    """Jensen-Shannon divergence of the label distributions of clients `[N, K]`, in bits."""
    shares = counts / counts.sum(-1, keepdims=True)
    return _entropy(shares.mean(0)) - _entropy(shares).mean()


def _entropy(p):
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)
