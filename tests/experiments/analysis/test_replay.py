"""Which units clients trained: against the cohorts of a run, by hand, and through the script."""

import csv
import dataclasses
import json

import jax
import numpy as np
import pytest

import hasa_jax as hj
from experiments.analysis import replay
from experiments.config import RunConfig, to_json, with_fields
from experiments.study.arm import Arm
from experiments.study.data import build_dataset
from hasa_jax import UserError
from hasa_jax.datasets import fingerprint
from hasa_jax.extraction import EXTRACTIONS
from tests.experiments.analysis.workdirs import records, write_csv
from tests.support.scripts import run

KEY = jax.random.key(3)
ROUNDS = 8
LEVELS = (1.0, 0.5, 0.25)


@pytest.fixture(scope="module")
def dataset():
    generator = np.random.default_rng(0)
    clients = {
        f"c{i}": (generator.normal(size=(12, 5)).astype(np.float32), np.arange(12) % 3)
        for i in range(6)
    }
    return hj.from_arrays(clients, KEY)


def algorithm_of(dataset, method, **training):
    return hj.build(
        method,
        hj.models.mlp(hidden=8, layers=1),
        dataset,
        key=KEY,
        training=hj.Training(batch_size=4, **training),
        num_rounds=ROUNDS,
    )


def shares_of(algorithm):
    assert replay.why_not(algorithm.program, algorithm.trial, ROUNDS) == ""
    return replay.trained_shares(algorithm.program, algorithm.trial, ROUNDS)


def sizes_of(algorithm):
    """Sizes of all clients of all rounds, as the run draws them."""
    state, found = algorithm.init(KEY), []
    for round in range(ROUNDS):
        slots = algorithm.sample(state.replace(round=jax.numpy.int32(round))).slots
        (kept,) = slots.kept.values()  # Of the one group of units.
        found.extend(kept[slots.client >= 0].tolist())
    return np.array(found)


@pytest.mark.parametrize("drawn", [0, 2])
def test_a_prefix_trains_the_first_units_of_the_clients_that_are_drawn(dataset, drawn):
    algorithm = algorithm_of(dataset, hj.methods.heterofl(levels=LEVELS), clients_per_round=drawn)
    sizes = sizes_of(algorithm)
    assert len(sizes) == ROUNDS * (drawn or 6)
    ((_, found),) = shares_of(algorithm).items()
    np.testing.assert_allclose(found, np.mean(np.arange(8) < sizes[:, None], axis=0))
    assert found[0] == 1 > found[-1]


def test_a_window_trains_all_units_equally_often(dataset):
    """Eight rounds take the window of eight units round once."""
    algorithm = algorithm_of(dataset, hj.methods.fedrolex(levels=LEVELS))
    ((_, found),) = shares_of(algorithm).items()
    np.testing.assert_allclose(found, sizes_of(algorithm).mean() / 8)


def test_random_units_are_those_of_each_client_and_round(dataset):
    algorithm = algorithm_of(dataset, hj.methods.federated_dropout(levels=LEVELS))
    ((group, found),) = shares_of(algorithm).items()
    sizes, total = algorithm.allocation.sizes, np.zeros(8)
    for round in range(ROUNDS):
        for client in range(6):
            key = hj.keys.address(KEY, hj.keys.Stream.ORDER, round, client)
            ranks = jax.random.permutation(jax.random.fold_in(key, 0), 8)
            total += np.asarray(ranks) < sizes[client]
    np.testing.assert_allclose(found, total / (6 * ROUNDS))
    assert group in algorithm.program.model.groups


def test_steps_of_ordered_dropout_count_with_their_chance(dataset):
    """A client of width 1 draws .5 or 1, so half of its steps train the second half."""
    method = hj.methods.fjord(levels=(1.0,), dropout_levels=(0.5, 1.0))
    ((_, found),) = shares_of(algorithm_of(dataset, method)).items()
    assert found.tolist() == [1.0] * 4 + [0.5] * 4


def test_what_the_run_decides_is_not_replayed(dataset):
    algorithm = algorithm_of(dataset, hj.methods.heterofl(levels=LEVELS))
    program, trial = algorithm.program, algorithm.trial
    for name, reason in (("importance", "single parameters"), ("neuron_importance", "rank")):
        method = dataclasses.replace(program.method, extraction=EXTRACTIONS[name]())
        assert reason in replay.why_not(dataclasses.replace(program, method=method), trial, ROUNDS)
    training = dataclasses.replace(
        program.training, sampling="power_of_choice", clients_per_round=2, candidates=4
    )
    assert "losses" in replay.why_not(
        dataclasses.replace(program, training=training), trial, ROUNDS
    )


def test_every_extraction_is_replayed_or_said_not_to_be():
    """A new one must be one of them: one that ranks units needs no weights, or it is not listed."""
    ranks = {name for name, make in EXTRACTIONS.items() if make().order is not None}
    assert ranks - {"neuron_importance"} == {*replay._BY_KEYS}


def test_the_table_is_read_as_it_was_written(tmp_path):
    found = {
        Arm("hasa", "=hasa"): replay.Replayed({"a": np.array([1.0, 0.25]), "b": np.ones(1)}, ""),
        Arm("fiarse", "levels"): replay.Replayed({}, "weights decide"),
    }
    replay.write(found, tmp_path / "coverage.csv")
    again = replay.read(tmp_path / "coverage.csv")
    assert list(again) == list(found)
    assert {g: v.tolist() for g, v in again[Arm("hasa", "=hasa")].shares.items()} == {
        "a": [1.0, 0.25],
        "b": [1.0],
    }
    assert again[Arm("fiarse", "levels")].reason == "weights decide"
    for text in ("method,policy\na,b\n", ""):
        (tmp_path / "coverage.csv").write_text(text)
        with pytest.raises(UserError, match="is damaged: run coverage again"):
            replay.read(tmp_path / "coverage.csv")


@pytest.fixture
def workdir(tmp_path):
    """A workdir as compare writes it, of two policies and two seeds, without a run."""
    values = {
        **{"dataset": "synthetic_images", "model": "mlp", "num_images": 120, "image_size": 4},
        **{"num_classes": 3, "num_clients": 4, "hidden_dim": 4, "num_rounds": 2},
        **{"policies": ("uniform", "hasa"), "execution": "masked"},
    }
    config = with_fields(RunConfig(), values)
    data = {str(seed): fingerprint(build_dataset(config.data, set(), seed)) for seed in (0, 1)}
    known = {"script": "compare", "config": to_json(config), "data_sha256": data}
    (tmp_path / "run.json").write_text(json.dumps(known), encoding="utf-8")
    summary = records("uniform", [0.1, 0.2]) + records("hasa", [0.1, 0.2])
    of_client = {"accuracy": "0.1", "client": "client_0", "split": "test"}
    write_csv(tmp_path / "summary.csv", summary)
    write_csv(tmp_path / "metrics.csv", [own | of_client for own in summary])
    return tmp_path


def test_the_script_writes_the_table_and_the_picture(workdir):
    done = run("coverage", f"--workdir={workdir}", "--picture_formats=svg")
    assert (done.returncode, done.stderr) == (0, "")
    names = [str(workdir / name) for name in ("coverage.csv", "coverage.svg")]
    assert done.stdout.splitlines() == names
    with (workdir / "coverage.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["policy"] for line in lines} == {"uniform", "hasa"}
    assert all(0 <= float(line["share"]) <= 1 for line in lines)
    uniform = [float(line["share"]) for line in lines if line["policy"] == "uniform"]
    assert set(uniform) == {0.0, 1.0}  # All clients have one width.


def test_sizes_that_clients_measured_are_those_of_the_table(workdir):
    """Of six rounds, 2 and 4 draw sizes to train all units, 3 and 5 have those of measurements."""
    path = workdir / "run.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    known["config"]["allocation"]["reallocate_every"] = 2
    known["config"]["training"]["num_rounds"] = 6
    path.write_text(json.dumps(known), encoding="utf-8")
    write_csv(workdir / "summary.csv", records("need", [0.1, 0.2]))
    assert "need is not replayed: measurements" in run("coverage", f"--workdir={workdir}").stdout
    shares = {}
    for size in (1, 4):
        lines = [
            {**own, "client": f"client_{client}", "given_size": size}
            for round in (2, 4)
            for own in records("need", [0.1, 0.2], round=round)
            for client in range(4)
        ]
        write_csv(workdir / "measured.csv", lines)
        ((_, found),) = replay.replay(RunConfig(), set(), workdir).items()
        (shares[size], *_) = found.shares.values()
    np.testing.assert_allclose(shares[4] - shares[1], [0, 1 / 3, 1 / 3, 1 / 3], atol=1e-12)


def test_other_data_and_fields_are_refused(workdir):
    done = run("coverage", f"--workdir={workdir}", "--hidden_dim=8")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--hidden_dim is in run.json of" in done.stderr
    path = workdir / "run.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(known | {"data_sha256": {"0": "other"}}), encoding="utf-8")
    done = run("coverage", f"--workdir={workdir}")
    assert done.returncode == 2
    assert (
        "ran on other data than --dataset=synthetic_images gives here (seed 0): use" in done.stderr
    )
    path.write_text(json.dumps(known | {"script": "simulate"}), encoding="utf-8")
    done = run("coverage", f"--workdir={workdir}")
    assert done.returncode == 2
    assert "is a run of the library" in done.stderr
