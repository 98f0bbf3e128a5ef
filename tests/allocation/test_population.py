"""A population of 100,000 clients: what it takes grows with the clients, not with their square."""

import functools

import jax
import numpy as np
import pytest

from hasa_jax.allocation import POLICIES, SCORES, BudgetSpec, ClientStats
from hasa_jax.allocation.rounding import round_to_sizes
from hasa_jax.allocation.scores import counts
from hasa_jax.base import ClientData
from tests.support.written import little_memory

NUM_CLIENTS = 100_000
NUM_CLASSES = 250


@functools.cache
def population():
    """Returns clients of two examples each."""
    generator = np.random.default_rng(0)
    offsets = np.arange(0, 2 * NUM_CLIENTS + 1, 2, dtype=np.int32)
    targets = generator.integers(0, NUM_CLASSES, offsets[-1], dtype=np.int32)
    return ClientData(np.zeros((offsets[-1], 1), np.float32), targets, offsets, NUM_CLASSES)


@pytest.mark.parametrize(
    "score", ["label_divergence", "entropy", "excess_divergence", "rarefied_divergence"]
)
def test_counts_of_all_clients_are_never_there_at_once(score):
    """They would take 200 MB."""
    data = population()
    with little_memory(2**27):
        scores = SCORES[score]()(data, None, jax.random.key(0))
    few = data.replace(offsets=data.offsets[:101], targets=data.targets[:200])
    counted = np.stack([np.bincount(t, minlength=NUM_CLASSES) for t in few.targets.reshape(100, 2)])
    assert np.array_equal(counts.label_counts(few), counted)
    assert scores.shape == (NUM_CLIENTS,)


@pytest.mark.parametrize(
    "policy", ["hasa", "inverse_hasa", "inverse_size", "random", "size_proportional"]
)
def test_a_budget_is_met_in_memory_of_the_clients(policy):
    """Ranks, projection and rounding hold some numbers a client, not one for each pair."""
    generator = np.random.default_rng(1)
    stats = ClientStats(
        generator.integers(1, 50, NUM_CLIENTS), generator.random(NUM_CLIENTS), np.ones(NUM_CLIENTS)
    )
    budget = BudgetSpec(w_max=1.0).bind(np.linspace(0, 1, 65))
    with little_memory(500 * NUM_CLIENTS):
        widths = POLICIES[policy]().widths(stats, budget, jax.random.key(0))
        sizes = round_to_sizes(widths, stats, budget)
    assert stats.shares @ budget.costs[sizes] == pytest.approx(0.5, abs=1e-4)
    assert stats.shares @ budget.costs[sizes] <= 0.5 + 1e-9


@pytest.mark.parametrize("shape", [(200,), (200, 3)])
def test_blocks_change_no_count(monkeypatch, shape):
    generator = np.random.default_rng(2)
    cuts = np.sort(generator.integers(0, 200, 20))
    values, offsets = generator.integers(-2, 7, shape), np.concatenate([[0], cuts, [200]])
    (whole,) = counts.counts_in_blocks(offsets, values, 7)
    monkeypatch.setattr(counts, "_COUNTS_OF_A_BLOCK", 7 * 4)
    blocks = list(counts.counts_in_blocks(offsets, values, 7))
    assert [len(block) for block in blocks] == [4, 4, 4, 4, 4, 1]
    assert np.array_equal(np.concatenate(blocks), whole)
    assert whole.sum() == (values >= 0).sum()
