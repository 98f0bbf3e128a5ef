"""Extractions whose ranks are no permutation are refused before a run."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.supernet import units
from tests.support import small

MODEL, DATA = small.mlp(), small.client_data()


def backwards(broadcast):
    return {group: np.arange(count)[::-1] for group, count in broadcast.model.groups.items()}


def program_of(order):
    return small.program(MODEL, DATA, method=small.plain(extraction=units.ranked(order)))


def by_loss(broadcast):
    """Ranks that depend on parameters, data, round and client."""
    gradient = jax.grad(lambda params: broadcast.sample_loss(params, jnp.arange(2)).sum())
    bias = {"first": "Dense_0", "second": "Dense_1"}
    own = gradient(broadcast.params)
    shift = broadcast.round + broadcast.client
    return {
        group: jnp.roll(jnp.argsort(jnp.argsort(own[name]["bias"])), shift)
        for group, name in bias.items()
    }


@pytest.mark.parametrize("order", [backwards, by_loss])
def test_permutations_run(order):
    assert program_of(order).extraction.order is order


WRONG = {
    "twice": lambda ranks: jnp.zeros_like(ranks),
    "from one": lambda ranks: ranks + 1,
    "constant": lambda ranks: np.minimum(ranks, 6),
    "too few": lambda ranks: ranks[:-1],
    "scores": lambda ranks: ranks / 8,
    "matrix": lambda ranks: ranks[None],
}


@pytest.mark.parametrize("kind", WRONG)
def test_other_ranks_are_refused_and_their_group_named(kind):
    def order(broadcast):
        ranks = backwards(broadcast)
        return ranks | {"second": WRONG[kind](ranks["second"])}

    words = "`extraction` custom ranks the 8 units of group 'second'.*from 0 to 7 once"
    with pytest.raises(hj.UserError, match=words):
        program_of(order)


def test_every_group_is_ranked():
    words = "ranks the units of first, but the groups of the model are first, second"
    with pytest.raises(hj.UserError, match=words):
        program_of(lambda broadcast: {"first": np.arange(12)})


def test_extractions_that_come_with_the_package_are_not_tried(monkeypatch):
    def fail(*arguments):
        raise AssertionError(arguments)

    monkeypatch.setattr(hj.simulation.program, "check_ranks", fail)
    small.program(MODEL, DATA, method=small.plain(extraction=hj.extraction.rolling()))
    named = dataclasses.replace(units.ranked(backwards), name="mine")
    with pytest.raises(AssertionError):
        small.program(MODEL, DATA, method=small.plain(extraction=named))
