"""Traces of clients from a file."""

import dataclasses

import jax
import numpy as np
import pytest

import hasa_jax as hj
from experiments.rooms import TrainingConfig
from experiments.study.availability import availability_of, read_availability, with_note
from hasa_jax.base import UserError

CLIENTS = ("Ann", "Bob", "=Cy")


def at(traces, rounds=4):
    return [np.flatnonzero(traces.at(round, len(CLIENTS))).tolist() for round in range(rounds)]


def read(folder, content):
    path = folder / "traces.csv"
    path.write_text(content, encoding="utf-8")
    return read_availability(path, CLIENTS)


def test_stretches_and_single_rounds_are_read(tmp_path):
    """Rounds count from 1; names are as results spell them."""
    stretches = "last_round;client;first_round\n2;Bob;1\n3;Ann;3\n3;Ann;2\n9;'=Cy;4\n"
    assert at(read(tmp_path, stretches)) == [[1], [0, 1], [0], [2]]
    singles = "client,round\nBob,1\nBob,2\nAnn, 3 \nAnn,2\n'=Cy,4\n"
    assert at(read(tmp_path, singles)) == [[1], [0, 1], [0], [2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("client,round\nAnn,1\nDan,1\nEve,2\n", r"line 3: no client is called 'Dan' \(and 1 more"),
        ("client,round\nAnn,0\n", "line 2: a round must be an integer from 1, not '0'"),
        ("client,round\nAnn,1.5\n", "line 2: a round must be an integer from 1, not '1.5'"),
        ("client,round\nAnn,1\nAnn,99999999999999999999\n", "line 3: a round must be"),
        ("client,round\nAnn,1\nAnn,3000000000\n", "line 3: a round must be"),
        ("client,first_round,last_round\nAnn,2,1\n", "line 2: first_round 2 is after last_round 1"),
        ("client,first_round\nAnn,2\n", "column 'last_round' is not there"),
        ("client,round\n", "no rows"),
        ("", "is empty"),
    ],
)
def test_bad_traces_are_refused(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, content)


def test_only_one_sampling_reads_traces(tmp_path):
    assert availability_of(TrainingConfig(), CLIENTS) is None
    with pytest.raises(UserError, match="name it with `availability_path`"):
        availability_of(TrainingConfig(sampling="availability"), CLIENTS)


def test_what_traces_leave_out_is_noted(tmp_path):
    dataset = hj.from_arrays([(np.zeros((5, 1)), np.arange(5) % 2)] * 3, jax.random.key(0))
    dataset = dataclasses.replace(dataset, client_names=CLIENTS, notes=("one",))
    assert with_note(dataset, TrainingConfig()) is dataset
    path = tmp_path / "traces.csv"
    path.write_text("client,first_round,last_round\nAnn,1,3\nBob,3,3\n", encoding="utf-8")
    training = TrainingConfig(
        sampling="availability", availability_path=str(path), clients_per_round=2, num_rounds=4
    )
    assert with_note(dataset, training).notes == (
        "one",
        "traces: 1 of 3 clients are not available in any round",
        "traces: 3 of 4 rounds have fewer than 2 available clients, so 4 places in them stay empty",
    )


def test_a_hundred_thousand_lines_are_read_as_columns(tmp_path):
    names = [f"client {i}" for i in range(50_000)]
    lines = "".join(f"{name},{i % 7 + 1}\n{name},9\n" for i, name in enumerate(names))
    (tmp_path / "traces.csv").write_text("client,round\n" + lines, encoding="utf-8")
    traces = read_availability(tmp_path / "traces.csv", names)
    assert traces.at(8, 50_000).all()
    np.testing.assert_array_equal(np.flatnonzero(traces.at(3, 50_000)) % 7, 3)
