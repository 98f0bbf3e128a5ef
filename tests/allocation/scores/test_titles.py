"""Excess divergence of the article titles, against values computed by other code."""

import dataclasses
import os
from pathlib import Path

import jax
import numpy as np
import pytest

from hasa_jax.allocation.scores.excess_divergence import excess_of
from hasa_jax.base import ClientData
from hasa_jax.datasets import dataset_builder

KNOWN = {
    "The Startup": 0.0146,
    "Towards Data Science": 0.0464,
    "Data Driven Investor": 0.0173,
    "UX Collective": 0.0282,
    "The Writing Cooperative": 0.0186,
}
"""In nats, of all titles, with 3,000 words."""

NOTHING = ("Better Marketing", "Better Humans")
"""Clients that are like random titles."""


@pytest.fixture(scope="module")
def titles():
    folder = os.environ.get("HASA_DATA_DIR")
    if not folder:
        pytest.skip("HASA_DATA_DIR names no folder of real data")
    path = Path(folder) / "medium" / "medium_data.csv"
    return dataset_builder("titles")(
        jax.random.key(0), data_path=path, vocab_size=3000, min_count=1, max_length=16
    )


def joined(dataset):
    """Returns all examples of every client, whatever their split."""
    parts = [dataset.train, dataset.validation, dataset.test]
    own = [
        np.concatenate([part.targets[part.offsets[i] : part.offsets[i + 1]] for part in parts])
        for i in range(len(dataset.client_names))
    ]
    offsets = np.cumsum([0, *map(len, own)]).astype(np.int32)
    targets = np.concatenate(own)
    return ClientData(np.zeros((len(targets), 1)), targets, offsets, parts[0].num_classes)


def test_the_excess_is_the_known_one_within_5_percent(titles):
    found = excess_of(joined(titles), jax.random.key(0))
    excess = dict(zip(titles.client_names, found.excess, strict=True))
    assert {name: excess[name] for name in KNOWN} == pytest.approx(KNOWN, rel=0.05)
    z = dict(zip(titles.client_names, found.z, strict=True))
    assert all(abs(z[name]) < 2 for name in NOTHING)
    assert min(z[name] for name in KNOWN) > 9
    # HASA's score has its highest value where there is nothing.
    assert titles.client_names[int(np.argmax(found.divergence))] == "Better Humans"


def test_dealt_at_random_no_client_has_any(titles):
    data = joined(titles)
    order = np.random.default_rng(0).permutation(len(data.targets))
    found = excess_of(dataclasses.replace(data, targets=data.targets[order]), jax.random.key(0))
    assert np.abs(found.z).max() < 3.5
