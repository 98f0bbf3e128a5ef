"""Runs of cross-validated splits: every arm on every fold of every seed."""

import collections
import json
import re

import jax
import pytest

from experiments.analysis import reached, results
from experiments.config import with_fields
from experiments.flags import config_from_flags
from experiments.study.arm import Arm
from experiments.study.block import Block
from experiments.study.data import build_dataset
from experiments.study.run import Study, _prepared
from hasa_jax.simulation.views import chosen_clients
from tests.support.federated import parts
from tests.support.scripts import VECTORS, records_of, run

FOLDS = [*VECTORS, "--eval_folds=3", "--budget_unit=params"]
ARMS = ["--policies=uniform,random"]
TABLES = ("metrics.csv", "summary.csv")


def config_of():
    config, _ = config_from_flags(["", *FOLDS])
    return config


def done(script, *arguments):
    found = run(script, *arguments)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds") / "w"
    printed = done("compare", *FOLDS, *ARMS, "--num_seeds=2", f"--workdir={folder}")
    return folder, printed


def test_every_arm_runs_on_every_fold_of_every_seed(two_seeds):
    folder, printed = two_seeds
    summary = records_of(folder / "summary.csv")
    found = [(r["policy"], r["seed"], r["fold"]) for r in summary if r["round"] == "2"]
    each = [(seed, fold) for seed in "01" for fold in "123"]
    assert sorted(found) == sorted((arm, *own) for arm in ("uniform", "random") for own in each)
    for table in ("metrics", "summary", "timings"):
        header = (folder / f"{table}.csv").read_text().splitlines()[0].split(",")
        assert header[4:7] == ["seed", "fold", "round"]
    known = json.loads((folder / "run.json").read_text())
    names = [".".join(own) for own in each]
    assert list(known["data_sha256"]) == list(known["baseline"]) == names
    assert len(set(known["data_sha256"].values())) == 6
    assert "2 matched seeds, each the mean of its 3 folds" in " ".join(printed.split())
    assert re.search(r"uniform\)  seed 0  fold 2  round 1 ", printed)


def test_every_example_of_a_client_is_tested_once(two_seeds):
    folder, _ = two_seeds
    counts = collections.Counter()
    for record in records_of(folder / "metrics.csv"):
        if (record["round"], record["split"], record["policy"]) == ("2", "test", "uniform"):
            counts[record["seed"], record["client"]] += int(record["num_examples"])
    for seed in (0, 1):
        data = build_dataset(config_of().data, set(), seed, 2)
        every = sum(part.num_examples for part in parts(data))
        assert [counts[str(seed), name] for name in data.client_names] == every.tolist()


def test_folds_of_a_seed_have_data_and_keys_of_their_own():
    arm = Arm("hasa", "uniform")
    study = Study("train", config_of(), set(), (arm,), (3, 4))
    assert study.groups == [((3, 1),), ((3, 2),), ((3, 3),), ((4, 1),), ((4, 2),), ((4, 3),)]
    keys = set()
    for blocks in study.groups:
        (trial,) = _prepared(study, blocks, None).trials[arm]
        assert (trial.labels["seed"], trial.labels["fold"]) == blocks[0]
        keys.add(tuple(jax.random.key_data(trial.key).tolist()))
    assert len(keys) == 6
    assert not keys & {tuple(jax.random.key_data(jax.random.key(s)).tolist()) for s in (3, 4)}


def test_folds_of_a_seed_evaluate_the_same_clients():
    arm = Arm("hasa", "uniform")
    study = Study("train", config_of(), set(), (arm,), (3, 4))
    chosen = {3: set(), 4: set()}
    for blocks in study.groups:
        (trial,) = _prepared(study, blocks, None).trials[arm]
        chosen[blocks[0].seed].add(tuple(chosen_clients(trial, 2).tolist()))
    whole = with_fields(config_of(), {"eval_folds": 0})
    (trial,) = _prepared(Study("train", whole, set(), (arm,), (3,)), (Block(3),), None).trials[arm]
    assert chosen[3] == {tuple(chosen_clients(trial, 2).tolist())}
    assert len(chosen[4]) == 1


@pytest.mark.slow
def test_a_workdir_grows_by_seeds_with_all_of_their_folds(two_seeds, tmp_path):
    done("compare", *FOLDS, *ARMS, "--num_seeds=1", f"--workdir={tmp_path / 'w'}")
    printed = done("compare", *FOLDS, *ARMS, "--num_seeds=2", f"--workdir={tmp_path / 'w'}")
    assert "new: 2 seeds" in printed
    for table in TABLES:
        assert (tmp_path / "w" / table).read_bytes() == (two_seeds[0] / table).read_bytes()


@pytest.mark.slow
def test_folds_share_programs_as_seeds_do(two_seeds, tmp_path):
    """Six blocks in programs of four: a program has folds of two seeds."""
    together = ["--num_seeds=2", "--seeds_per_program=4", f"--workdir={tmp_path / 'w'}"]
    done("compare", *FOLDS, *ARMS, *together)
    expected, found = (
        {
            (r["policy"], r["seed"], r["fold"], r["round"]): float(r["mean_accuracy"])
            for r in records_of(folder / "summary.csv")
        }
        for folder in (two_seeds[0], tmp_path / "w")
    )
    assert found == pytest.approx(expected, abs=0.02)
    names = sorted(path.name for path in (tmp_path / "w" / "checkpoints").iterdir())
    assert names == [
        f"hasa-{arm}-{own}"
        for arm in ("random", "uniform")
        for own in ("0.1-0.2-0.3-1.1", "1.2-1.3")
    ]


def test_train_runs_the_folds_of_its_seed(two_seeds, tmp_path):
    own = ["--policy=uniform", "--seed=1", f"--workdir={tmp_path / 'w'}"]
    done("train", *FOLDS, *own)
    expected = [
        line
        for line in (two_seeds[0] / "metrics.csv").read_text().splitlines()
        if line.startswith("hasa,uniform") and line.split(",")[4] == "1"
    ]
    assert (tmp_path / "w" / "metrics.csv").read_text().splitlines()[1:] == expected


@pytest.mark.slow
def test_a_sweep_has_a_value_for_each_seed(tmp_path):
    sweep = [*VECTORS, "--vary=eval_folds=0,2", "--num_seeds=2", f"--workdir={tmp_path / 'w'}"]
    done("sweep", *sweep)
    printed = done("sweep", *sweep)
    assert "4 of them are done" in printed
    lines = records_of(tmp_path / "w" / "sweep.csv")
    assert [(line["eval_folds"], line["seeds"]) for line in lines] == [("0", "2"), ("2", "2")]
    records = records_of(tmp_path / "w" / "eval_folds=2+seed=0" / "summary.csv")
    records += records_of(tmp_path / "w" / "eval_folds=2+seed=1" / "summary.csv")
    means = [float(r["mean_accuracy"]) for r in records if r["round"] == "2"]
    assert float(lines[1]["mean_accuracy"]) == pytest.approx(sum(means) / 4)


def test_runs_with_and_without_folds_are_not_merged(two_seeds, tmp_path):
    done(
        "compare",
        *VECTORS,
        "--budget_unit=params",
        *ARMS,
        "--num_seeds=1",
        f"--workdir={tmp_path / 'w'}",
    )
    found = run("tables", f"--workdir={two_seeds[0]},{tmp_path / 'w'}")
    assert found.returncode == 2
    assert "--eval_folds is 3 in" in found.stderr


@pytest.mark.slow
def test_pictures_sizes_and_needs_are_over_seeds(tmp_path):
    """A seed is one value of each of them, however many folds it has."""
    common = [*FOLDS, "--eval_folds=2", "--num_rounds=1", "--num_seeds=2", "--checkpoint_every=0"]
    for name, budget in (("narrow", 0.4), ("wide", 0.8)):
        own = ["--policies=uniform", "--eval_levels=1,0.5", f"--budget={budget}"]
        done("compare", *common, *own, f"--workdir={tmp_path / name}")
    wide = tmp_path / "wide"
    sizes = records_of(wide / "sizes.csv")
    means = {
        seed: 100 * sum(float(r["global_accuracy"]) for r in sizes if r["seed"] == seed) / 4
        for seed in "01"
    }
    done("by_size", f"--workdir={wide}")
    found = reached.read(results.read([wide]))[0]
    by_level = [found.global_at[level] for level in ("1", "0.5")]
    assert [len(own) for own in by_level] == [2, 2]
    for seed, mean in means.items():
        assert 100 * sum(own[int(seed)] for own in by_level) / 2 == pytest.approx(mean)
    done("plots", f"--workdir={wide}")
    printed = done("need", f"--workdir={tmp_path / 'narrow'},{wide}", *common)
    assert " of 4\n" in printed
    assert {(r["seed"], r["fold"]) for r in records_of(wide / "need.csv")} == {
        (seed, fold) for seed in "01" for fold in "12"
    }
    refused = run("need", f"--workdir={tmp_path / 'narrow'},{wide}", *common, "--eval_folds=3")
    assert "the workdirs have other folds than --eval_folds says" in refused.stderr
    scored = ["--policies=uniform,hasa@file", f"--score_path={wide / 'need.csv'}"]
    done("compare", *common, *scored, f"--workdir={tmp_path / 'scored'}")
