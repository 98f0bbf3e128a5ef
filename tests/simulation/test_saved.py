"""The files of a run of the library."""

import csv
import dataclasses
import json
import pathlib

import jax
import pytest

import hasa_jax as hj
from hasa_jax.datasets import fingerprint
from hasa_jax.simulation.resuming import SECONDS
from hasa_jax.simulation.run_json import named, scores_of
from tests.simulation.simulated import DATASET, result


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return result().save(tmp_path_factory.mktemp("saved") / "new" / "run")


def records_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_tables_have_all_records_to_the_last_bit(folder):
    for table in ("metrics", "summary", "timings"):
        found, records = records_of(folder / f"{table}.csv"), result().records[table]
        assert len(found) == len(records)
        for line, record in zip(found, records, strict=True):
            assert (line["method"], line["policy"], line["seed"]) == ("hasa", "hasa", "5")
            for name in set(record) - {*SECONDS}:
                assert line[name] == str(record[name])
    assert not (folder / "sizes.csv").exists()
    assert not list(folder.glob("*.partial"))


def test_run_json_has_what_is_known(folder):
    found = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert found["script"] == "simulate"
    assert found["config"]["training"] == {
        "num_rounds": 3,
        "local_epochs": 1,
        "batch_size": 8,
        "clients_per_round": 3,
        "sampling": "uniform",
        "candidates": 0,
        "drop_nonfinite": False,
        "augment": [],
    }
    budget = {"budget": 0.5, "budget_unit": "width", "w_min": 0.2, "w_max": 0.8}
    assert found["config"]["allocation"] == budget
    assert found["config"]["method"] == {"trim": 0.2, "proximal": 0.0, "supernet_width": 1.0}
    assert found["config"]["faults"]["client_dropout"] == 0
    parts = found["methods"]["hasa"]
    assert (parts["projection"], parts["score"]) == ("paper", "label_divergence")
    assert "step_size=-0.1" in parts["client_update"]
    assert found["model"] | {"clients_sha256": ""} == {
        "groups": {"hidden/0": 6},
        "classes": 5,
        "tokens": 0,
        "input_shape": [2, 3],
        "clients_sha256": "",
    }
    assert found["settings"] == {}
    assert found["data_sha256"] == {"5": fingerprint(DATASET)}
    assert found["methods"]["hasa"]["extraction"] == "prefix"
    assert found["execution"]["modes"] == {"hasa:hasa": "masked"}
    assert 0 < found["baseline"]["5"]["mean_accuracy"] < 1
    assert {"jax", "numpy", "python"} <= set(found["versions"])


@pytest.mark.parametrize(
    ("key", "seed"),
    [
        (jax.random.key(7), 7),
        (jax.random.key(2**32 - 1), 2**32 - 1),
        (jax.random.PRNGKey(7), 7),
        (jax.random.wrap_key_data(jax.numpy.array([1, 2], "uint32")), 2**32 + 2),
    ],
)
def test_the_seed_is_the_key_as_an_integer(key, seed):
    assert named(result().trial._replace(key=key), None, 0).seed == seed


def test_a_seed_and_a_fold_can_be_named(tmp_path):
    folder = result().save(tmp_path / "run", seed=3, fold=2)
    found = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert [list(found[name]) for name in ("data_sha256", "baseline")] == [["3.2"]] * 2
    assert list(found["scores"]["hasa:hasa"]) == ["3.2"]
    lines = records_of(folder / "summary.csv")
    assert {(line["seed"], line["fold"]) for line in lines} == {("3", "2")}
    for bad in ({"seed": -1}, {"fold": "2"}, {"seed": True}):
        with pytest.raises(hj.UserError, match="give an integer of 0 or more"):
            result().save(tmp_path / "other", **bad)


def test_scores_are_recorded_where_the_policy_follows_them(folder):
    found = json.loads((folder / "run.json").read_text(encoding="utf-8"))["scores"]
    scores = result().trial.allocation.stats.scores
    assert found == {
        "hasa:hasa": {"5": dict(zip(DATASET.client_names, map(float, scores), strict=True))}
    }
    policy = hj.POLICIES["uniform"]()
    assert scores_of(policy, result().trial) == {}


def test_results_are_not_overwritten(folder):
    before = (folder / "summary.csv").read_bytes()
    with pytest.raises(hj.UserError, match=r"has a run.json already: name another `folder`"):
        result().save(folder)
    (folder / "run.json").rename(folder / "kept")
    with pytest.raises(hj.UserError, match=r"has a metrics.csv already"):
        result().save(str(folder))
    (folder / "kept").rename(folder / "run.json")
    assert (folder / "summary.csv").read_bytes() == before


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(hj.UserError, match="cannot be written"):
        result().save(tmp_path / "file" / "run")
    with pytest.raises(hj.UserError, match="is no path"):
        result().save("")


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert result().save("~/runs/one") == pathlib.Path(tmp_path / "runs" / "one")


@pytest.mark.parametrize("name", ["metrics.csv.partial", "run.json.new", "summary.csv", "run.json"])
def test_nothing_is_written_through_a_link(name, tmp_path):
    target, folder = tmp_path / "outside", tmp_path / "run"
    target.write_text("not yours", encoding="utf-8")
    folder.mkdir()
    (folder / name).symlink_to(target)
    with pytest.raises(hj.UserError, match=f"{name} is a link.*another folder with `folder`"):
        result().save(folder)
    assert target.read_text(encoding="utf-8") == "not yours"
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"batch_size": 9}, "'batch_size', what the run records itself"),
        ({"projection": "exact"}, "'projection', what the run records itself"),
        ({3: 9}, "3, a name that is no text"),
        ({"client_lr": float("nan")}, "a float as 'client_lr': give a text, a finite number"),
        ({"client_optimizer": jax.numpy.ones(3)}, "as 'client_optimizer': give a text"),
        ({"decay": [0.1, {}]}, "a dict as 'decay'"),
    ],
)
def test_settings_that_cannot_be_recorded_are_refused(settings, expected, tmp_path):
    with pytest.raises(hj.UserError, match=f"`settings` has .*{expected}"):
        result().save(tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_settings_are_recorded(tmp_path):
    settings = {"client_optimizer": "sgd", "client_lr": 0.1, "milestones": [3, 5], "warm": None}
    folder = result().save(tmp_path / "run", settings)
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["settings"] == settings


def test_scores_of_the_user_are_recorded_as_given(tmp_path):
    allocation = result().trial.allocation
    ledger = dataclasses.replace(
        allocation.ledger, bytes_once=4.0
    )  # As `allocate_clients` sets it.
    trial = result().trial._replace(allocation=dataclasses.replace(allocation, ledger=ledger))
    folder = dataclasses.replace(result(), trial=trial).save(tmp_path / "run")
    found = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert found["methods"]["hasa"]["score"] == "file"
