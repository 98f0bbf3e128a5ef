"""Runs on data that stay in their file: the same as on data in memory."""

import dataclasses
import sys

import jax
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.base import UserError
from hasa_jax.datasets import npz
from hasa_jax.datasets.mapped import Mapped
from hasa_jax.simulation.sampling import SAMPLERS
from tests.support.population import write_population

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """The same 300 clients in their file and in memory."""
    path = write_population(tmp_path_factory.mktemp("population") / "a.npz", 300)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys.modules["hasa_jax.datasets.npz"], "_READ", 0)
        mapped = npz(KEY, data_path=path)
    return mapped, npz(KEY, data_path=path)


def run(dataset, method="hasa", norm="layer", stream=True, num_rounds=2, **training):
    result = hj.simulate(
        dataclasses.replace(hj.METHODS[method](), norm=norm),
        hj.MODELS["mlp"](hidden=8),
        dataset,
        num_rounds=num_rounds,
        key=KEY,
        training=hj.Training(**{"clients_per_round": 5} | training),
        execution=hj.Execution(mode="masked", stream=stream),
        reporting=hj.Reporting(eval_every=2, eval_clients=20),
    )
    return result, jax.tree.leaves(result.state.params)


@pytest.mark.parametrize(
    ("method", "norm", "stream"),
    [
        ("hasa", "layer", True),
        pytest.param("heterofl", "static", False, marks=pytest.mark.slow),
        ("fiarse", "layer", True),
    ],
)
def test_a_run_on_a_file_is_that_in_memory(datasets, method, norm, stream):
    assert isinstance(datasets[0].train.inputs, Mapped)
    (one, params), (other, expected) = (run(data, method, norm, stream) for data in datasets)
    for own, leaf in zip(params, expected, strict=True):
        np.testing.assert_array_equal(own, leaf)
    assert one.records["metrics"] == other.records["metrics"]
    (_, narrow), (_, known) = (result.subnet("7") for result in (one, other))
    for own, leaf in zip(jax.tree.leaves(narrow), jax.tree.leaves(known), strict=True):
        np.testing.assert_array_equal(own, leaf)


def test_a_stream_reads_only_examples_of_clients_at_hand(datasets, monkeypatch):
    read, indexed = Mapped._read, []

    def noted(self, places):
        indexed.append(np.size(places))
        return read(self, places)

    monkeypatch.setattr(Mapped, "_read", noted)
    run(datasets[0])
    # Two rounds of 5 clients, and one evaluation of 20 clients, who have 8 examples each.
    assert 0 < sum(indexed) <= (2 * 5 + 20) * 8


@pytest.mark.parametrize("score", sorted(hj.SCORES))
def test_scores_of_a_file_are_those_in_memory(datasets, score):
    program = hj.make_program(
        dataclasses.replace(hj.METHODS["hasa"](), norm="layer"),
        hj.MODELS["mlp"](hidden=8),
        datasets[0],
    )
    one, other = (hj.SCORES[score]()(data.train, program.model, KEY) for data in datasets)
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("sampling", SAMPLERS)
def test_every_sampling_runs_the_same_on_the_device_and_streamed(datasets, sampling):
    given = {"sampling": sampling}
    if sampling == "power_of_choice":
        given["candidates"] = 12
    if sampling == "availability":
        # Two clients in rounds 1 and 3, none in rounds 2 and 4.
        rounds = np.array([1, 1, 3, 3])
        given["availability"] = hj.Availability(np.arange(4), rounds, rounds)
    (one, params), (_, expected) = (
        run(datasets[1], stream=stream, num_rounds=4, **given) for stream in (True, False)
    )
    for own, leaf in zip(params, expected, strict=True):
        np.testing.assert_array_equal(own, leaf)
    asked = 4 if sampling == "availability" else 4 * 5
    summary = one.records["summary"][-1]
    assert summary["updates"] == summary["updates_asked"] == asked


def test_a_round_without_clients_changes_nothing(datasets):
    availability = hj.Availability(np.array([3]), np.array([1]), np.array([1]))
    given = {"sampling": "availability", "availability": availability}
    (_, one), (_, other) = (run(datasets[1], num_rounds=n, **given) for n in (1, 3))
    for own, leaf in zip(one, other, strict=True):
        np.testing.assert_array_equal(own, leaf)


def test_more_candidates_than_clients_are_refused(datasets):
    with pytest.raises(UserError, match="`candidates` is 301: 300 clients take part"):
        run(datasets[1], sampling="power_of_choice", candidates=301)
