"""Which clients a round draws."""

import jax
import numpy as np
import pytest

from hasa_jax import UserError, keys
from hasa_jax.simulation.options import Training
from hasa_jax.simulation.sampling import (
    AVAILABILITY,
    SAMPLERS,
    Availability,
    Population,
    draw_clients,
    shortfall,
)

KEY = jax.random.key(0)
SIZES = np.array([1, 2, 3, 4, 90])
EVERYONE = np.ones(5, bool)
TRACES = Availability(np.array([4, 0, 2, 2]), np.array([1, 2, 2, 3]), np.array([1, 3, 2, 3]))
"""Client 4 in round 1; client 0 in rounds 2 and 3; client 2 in rounds 2 and 3, by two lines."""


def drawn(sampling, count, *, round=0, key=KEY, takes_part=EVERYONE, sizes=SIZES):
    return draw_clients(sampling, count, takes_part, sizes, key, round)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("count", [1, 7, 40])
@pytest.mark.parametrize("clients", [None, np.arange(3, 83, 2)])
def test_every_sampler_draws_clients_of_the_population_once_each(name, count, clients):
    sizes = np.random.default_rng(0).integers(1, 50, 100 if clients is not None else 40)
    population = Population(clients, sizes)

    def drawn_by(seed):
        return SAMPLERS[name](population, count, np.random.default_rng(seed))

    for seed in range(10):
        found = drawn_by(seed)
        assert len(found) == count
        assert (np.diff(found) > 0).all()
        assert np.isin(found, np.arange(40) if clients is None else clients).all()
        np.testing.assert_array_equal(found, drawn_by(seed))
    if count < 40:
        assert len({tuple(drawn_by(seed)) for seed in range(10)}) > 1


def test_uniform_draws_are_those_of_the_ids_themselves():
    """Drawing positions, and not ids, gives the same clients as ever."""
    takes_part = np.random.default_rng(0).random(20_000) < 0.8
    for own in (takes_part, np.ones(20_000, bool)):
        for count in (5, 700):
            generator = keys.generator(keys.address(KEY, keys.Stream.COHORT, 3))
            expected = np.sort(generator.choice(np.flatnonzero(own), size=count, replace=False))
            found = drawn("uniform", count, round=3, takes_part=own, sizes=np.ones(20_000))
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("sampling", ["size", "power_of_choice"])
def test_the_first_client_is_drawn_in_proportion_to_its_examples(sampling):
    generator = np.random.default_rng(0)
    population = Population(None, SIZES)
    found = [int(SAMPLERS[sampling](population, 1, generator)[0]) for _ in range(20_000)]
    shares = np.bincount(found, minlength=5) / 20_000
    # Four standard deviations of the largest share.
    np.testing.assert_allclose(shares, SIZES / 100, atol=4 * np.sqrt(0.25 / 20_000))


def test_pairs_are_drawn_by_size_one_after_the_other():
    """`P({i, j}) = q_i q_j / (1 - q_i) + q_j q_i / (1 - q_j)`."""
    q = np.array([0.2, 0.3, 0.5])
    generator, population = np.random.default_rng(1), Population(None, 10 * q)
    found = [tuple(SAMPLERS["size"](population, 2, generator)) for _ in range(20_000)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        expected = q[i] * q[j] / (1 - q[i]) + q[j] * q[i] / (1 - q[j])
        assert found.count((i, j)) / 20_000 == pytest.approx(expected, abs=0.015)


def test_clients_that_take_no_part_are_not_drawn():
    takes_part = np.array([True, True, True, True, False])
    for name in SAMPLERS:
        assert set(drawn(name, 4, takes_part=takes_part)) == {0, 1, 2, 3}
    np.testing.assert_array_equal(drawn("uniform", 0, takes_part=takes_part), np.arange(4))


def test_only_available_clients_are_drawn():
    def available(round, count, takes_part=EVERYONE):
        return draw_clients(AVAILABILITY, count, takes_part, SIZES, KEY, round, TRACES).tolist()

    assert [available(round, 2) for round in range(4)] == [[4], [0, 2], [0, 2], []]
    assert [available(round, 0) for round in range(4)] == [[4], [0, 2], [0, 2], []]
    assert all(available(1, 1) in ([0], [2]) for _ in range(5))
    assert available(1, 2, np.array([False, True, True, True, True])) == [2]


def test_rounds_with_too_few_clients_are_counted():
    assert shortfall(TRACES, 2, EVERYONE, 4) == (2, 3)
    assert shortfall(TRACES, 1, EVERYONE, 3) == (0, 0)
    assert shortfall(TRACES, 0, EVERYONE, 4) == (1, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sampling": "best"}, "unknown `sampling` 'best': use one of availability"),
        ({"sampling": "size"}, "set `clients_per_round` above 0"),
        ({"sampling": "availability"}, "needs `availability`"),
        ({"availability": TRACES}, "needs `availability`, and only it does"),
        ({"candidates": 3}, "`candidates` is read only with"),
        ({"sampling": "power_of_choice", "clients_per_round": 3}, "`candidates` is 0"),
    ],
)
def test_samplings_that_do_not_fit_are_refused(given, message):
    with pytest.raises(UserError, match=message):
        Training(**given)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_cohort_of_a_hundred_thousand_takes_a_few_arrays(name):
    from tests.support.written import little_memory

    sizes = np.random.default_rng(0).integers(1, 50, 100_000)
    with little_memory(32 * len(sizes) + 2**20):
        found = drawn(name, 10_000, takes_part=np.ones(len(sizes), bool), sizes=sizes)
    assert len(np.unique(found)) == 10_000
