"""Rounds done, and the time that others take: by hand."""

import pytest

from hasa_jax.simulation.pace import Pace


def record(round, seed=0, policy="uniform"):
    return {
        "policy": policy,
        "seed": seed,
        "round": round,
        "train_seconds": 1.0,
        "compile_seconds": 5.0,
    }


def test_only_steady_rounds_are_measured():
    pace = Pace(0.0)
    pace.add(record(5), 100.0, steady=False)
    assert pace.rounds == 5
    assert pace.seconds_of(10) is None
    pace.add(record(10), 102.0, steady=True)
    assert pace.seconds_of(10) == pytest.approx(4.0)
    # Another program is compiled.
    pace.add(record(5, policy="hasa"), 300.0, steady=False)
    assert pace.rounds == 15
    assert pace.seconds_of(10) == pytest.approx(4.0)
    pace.add(record(10, policy="hasa"), 306.0, steady=True)
    assert pace.seconds_of(10) == pytest.approx(8.0)
    assert pace.rate == pytest.approx(10 / 8)


def test_seeds_of_one_program_share_its_time():
    pace = Pace(0.0)
    for seed in (0, 1):
        pace.add(record(5, seed), 100.0, steady=False)
    for seed in (0, 1):
        pace.add(record(10, seed), 104.0 + 0.001 * seed, steady=True)
    assert pace.rounds == 20
    assert pace.seconds_of(10) == pytest.approx(4.0)
