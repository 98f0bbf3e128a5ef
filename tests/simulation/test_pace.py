"""Rounds done, and the time that others take: by hand."""

import pytest

from hasa_jax.simulation.pace import Pace


def record(round, train_seconds, seed=0, policy="uniform"):
    return {
        "policy": policy,
        "seed": seed,
        "round": round,
        "train_seconds": train_seconds,
        "compile_seconds": 5.0,
    }


def test_first_rounds_are_left_out():
    pace = Pace(0.0)
    pace.add(record(5, 1.0), 100.0)
    assert pace.rounds == 5
    assert pace.seconds_of(10) is None
    pace.add(record(10, 2.0), 102.0)
    assert pace.seconds_of(10) == pytest.approx(4.0)
    # Another program is compiled.
    pace.add(record(5, 1.0, policy="hasa"), 300.0)
    assert pace.rounds == 15
    assert pace.seconds_of(10) == pytest.approx(4.0)
    pace.add(record(10, 2.0, policy="hasa"), 306.0)
    assert pace.seconds_of(10) == pytest.approx(8.0)


def test_seeds_of_one_program_share_its_time():
    pace = Pace(0.0)
    for seed in (0, 1):
        pace.add(record(5, 1.0, seed), 100.0)
    for seed in (0, 1):
        pace.add(record(10, 2.0, seed), 104.0 + 0.001 * seed)
    assert pace.rounds == 20
    assert pace.seconds_of(10) == pytest.approx(4.0)


def test_records_of_a_checkpoint_are_no_measurement():
    pace = Pace(0.0)
    for number in range(1, 5):
        pace.add(record(5 * number, 10.0 * number), 0.001 * number)
        assert pace.restored
    assert pace.rounds == 20
    assert pace.seconds_of(10) is None
    # The program is compiled for the first new rounds.
    pace.add(record(25, 50.0), 60.0)
    assert not pace.restored
    assert pace.seconds_of(10) is None
    pace.add(record(30, 60.0), 71.0)
    assert pace.seconds_of(10) == pytest.approx(22.0)
