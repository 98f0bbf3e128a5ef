"""Runs of policy need: what a workdir holds of measurements."""

import json

import pytest

from tests.support.scripts import VECTORS, records_of, run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("need") / "run"
    options = ["--policies=uniform,need", "--num_seeds=1", "--num_rounds=5", "--reallocate_every=2"]
    done = run("compare", *VECTORS, *options, f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def test_measurements_are_a_table_of_their_own(folder):
    found = records_of(folder / "measured.csv")
    assert list(found[0])[:6] == ["method", "policy", "extraction", "aggregation", "seed", "fold"]
    assert list(found[0])[6:] == [
        *("round", "client", "measured_width", "loss", "targets", "given_size", "given_width"),
    ]
    assert {record["policy"] for record in found} == {"need"}
    assert sorted({int(record["round"]) for record in found}) == [2, 4]
    # All four units: the widths 1/4, 2/4 and 3/4 lie between the bounds.
    widths = sorted({float(record["measured_width"]) for record in found})
    assert len(found) == 2 * len(widths) * 4
    assert widths == [0.25, 0.5, 0.75]


def test_matched_policies_have_the_same_data_and_baseline(folder):
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert manifest["config"]["allocation"]["reallocate_every"] == 2
    assert manifest["config"]["allocation"]["need_objective"] == "mean"
    by_policy = {}
    for record in records_of(folder / "metrics.csv"):
        key = (record["round"], record["client"], record["split"])
        by_policy.setdefault(record["policy"], {})[key] = record["num_examples"]
    assert by_policy["uniform"] == by_policy["need"]
    assert "need" in (folder / "table.md").read_text(encoding="utf-8")


def test_a_measurement_is_paid_for(folder):
    spent = {r["policy"]: r for r in records_of(folder / "summary.csv") if r["round"] == "5"}
    assert float(spent["uniform"]["budget_executed"]) == 1
    assert float(spent["need"]["budget_executed"]) > 1
    assert float(spent["need"]["budget_width"]) <= 0.5 + 1e-9
    assert float(spent["need"]["bytes_down"]) > float(spent["need"]["bytes_up"])


def test_need_that_never_measures_is_said_and_recorded(tmp_path):
    options = ["--policies=uniform,need", "--num_seeds=1", "--checkpoint_every=1"]
    done = run("compare", *VECTORS, *options, "--num_rounds=2", f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    line = "need never measures: it would after round 5, but the run has 2 rounds"
    assert sum(line in own for own in done.stdout.splitlines()) == 1
    notes = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["data_notes"]
    ((note,),) = notes.values()
    assert line in note
    # More rounds measure, so nothing is said of it any more.
    done = run("compare", *VECTORS, *options, "--num_rounds=6", f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "never measures" not in done.stdout
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["data_notes"] == {}
