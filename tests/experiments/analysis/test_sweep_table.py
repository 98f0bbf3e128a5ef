"""The table of a sweep: hand-computed means and intervals of whatever is there."""

import numpy as np
import pytest

from experiments.analysis import sweep_table
from experiments.flags import config_from_flags
from experiments.study.sweep_points import sweep_of
from experiments.study.sweep_states import State, states_of
from hasa_jax import UserError
from tests.experiments.analysis import workdirs
from tests.support.scripts import records_of

ROUNDS = 15
T_OF_TWO, T_OF_THREE = 12.706205, 4.302653
"""Quantiles of Student's t at 97.5 %, of one and two degrees of freedom."""


def made(folder, *arguments):
    flags = [f"--workdir={folder}", "--vary=client_lr=0.1,0.2", "--policy=uniform", *arguments]
    return sweep_of(*config_from_flags(["sweep", *flags]))


def write(sweep):
    """Writes the files of a sweep; returns what is printed."""
    return sweep_table.write(["markdown"], sweep)


def finish(run, accuracy, rounds=ROUNDS, model=None, **others):
    """Writes what a run would leave."""
    workdirs.write(
        run.folder,
        [workdirs.record("uniform", run.seed, accuracy, round=rounds, **others)],
        {
            "training": {"client_lr": run.config.training.client_lr},
            "allocation": {"policy": "uniform"},
            "comparison": {"seed": run.seed},
        },
        script="train",
        model=model or {},
    )


def test_means_and_intervals_are_over_the_seeds_that_are_done(tmp_path):
    sweep = made(tmp_path, "--num_seeds=3")
    for run, accuracy in zip(sweep.runs, [0.10, 0.12, 0.17, 0.30, 0.40], strict=False):
        finish(run, accuracy, tail_accuracy=accuracy / 2)
    write(sweep)
    first, second = records_of(tmp_path / "sweep.csv")
    assert (first["client_lr"], first["arm"]) == ("0.1", "hasa:uniform")
    assert (first["state"], first["seeds"], first["of"], first["round"]) == ("done", "3", "3", "15")
    assert float(first["mean_accuracy"]) == pytest.approx(0.13)
    deviation = np.sqrt((0.03**2 + 0.01**2 + 0.04**2) / 2)
    expected = T_OF_THREE * deviation / np.sqrt(3)
    assert float(first["mean_interval"]) == pytest.approx(expected, rel=1e-5)
    assert float(first["tail_accuracy"]) == pytest.approx(0.065)
    # Both clients' validation accuracy is .2 in all of these workdirs.
    assert float(first["validation_accuracy"]) == pytest.approx(0.2)
    assert float(first["validation_interval"]) == pytest.approx(0, abs=1e-12)
    assert (second["state"], second["seeds"]) == ("begun", "2")
    assert float(second["mean_accuracy"]) == pytest.approx(0.35)
    expected = T_OF_TWO * 0.05 * np.sqrt(2) / np.sqrt(2)
    assert float(second["mean_interval"]) == pytest.approx(expected, rel=1e-5)


def test_one_seed_has_no_interval_and_none_has_no_mean(tmp_path):
    sweep = made(tmp_path, "--num_seeds=2")
    finish(sweep.runs[0], 0.5)
    write(sweep)
    text = (tmp_path / "sweep.md").read_text(encoding="utf-8")
    first, second = records_of(tmp_path / "sweep.csv")
    assert (first["state"], first["mean_accuracy"], first["mean_interval"]) == ("begun", "0.5", "")
    assert (second["state"], second["mean_accuracy"]) == ("missing", "")
    assert second["arm"] == "hasa:uniform"
    assert "| 0.1       | begun   | 1 of 2 | 50.00" in text
    assert "- 4 runs: 1 done, 3 missing." in text
    missing = "missing: client_lr=0.1, seed=1; client_lr=0.2, seed=0; client_lr=0.2, seed=1."
    assert missing in " ".join(text.split())


def test_fewer_rounds_are_a_run_that_is_begun(tmp_path):
    sweep = made(tmp_path, "--num_seeds=1")
    finish(sweep.runs[0], 0.5, rounds=ROUNDS - 1)
    assert [state.what for state in states_of(sweep.runs)] == ["begun", "missing"]
    finish(sweep.runs[0], 0.5)
    assert states_of(sweep.runs) == (State("done"), State("missing"))
    # Records of a run that has not ended.
    (sweep.runs[0].folder / "summary.csv").rename(sweep.runs[0].folder / "summary.csv.partial")
    assert [state.what for state in states_of(sweep.runs)] == ["begun", "missing"]


def test_the_last_shard_writes_the_table_of_all(tmp_path, monkeypatch):
    """Another shard ends, and writes its table, between what this one reads and writes."""
    sweep, csv_of = made(tmp_path, "--num_seeds=1"), sweep_table.csv_of
    one, other = sweep.runs
    finish(one, 0.5)

    def other_ends_first(*arguments):
        if not other.folder.exists():
            finish(other, 0.25)
        return csv_of(*arguments)

    monkeypatch.setattr(sweep_table, "csv_of", other_ends_first)
    text = write(sweep)
    assert [line["mean_accuracy"] for line in records_of(tmp_path / "sweep.csv")] == ["0.5", "0.25"]
    assert "- 2 runs: 2 done." in text
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [one.folder.name, other.folder.name, "sweep.csv", "sweep.md"]
    )


def test_formats_have_files_and_links_in_their_places_are_refused(tmp_path):
    sweep = made(tmp_path, "--num_seeds=1")
    finish(sweep.runs[0], 0.5)
    shown = sweep_table.write(["csv", "latex", "html"], sweep)
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {"sweep.csv", "sweep.tex", "sweep.html"}
    assert shown.startswith("Every point of the sweep:")
    assert 'data-value="50.0"' in (tmp_path / "sweep.html").read_text(encoding="utf-8")
    (tmp_path / "sweep.md").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        write(sweep)


def test_many_missing_runs_are_counted(tmp_path):
    sweep = made(tmp_path, "--num_seeds=50")
    text = " ".join(write(sweep).split())
    assert "100 runs: 100 missing." in text
    assert "client_lr=0.1, seed=19; and 80 more." in text


def test_seeds_that_cannot_be_merged_are_said(tmp_path):
    sweep = made(tmp_path, "--num_seeds=2")
    for run in sweep.runs[:2]:
        finish(run, 0.5, model={"groups": {"hidden": 8 + run.seed}})
    text = " ".join(write(sweep).split())
    assert records_of(tmp_path / "sweep.csv")[0]["state"] == "failed"
    assert "cannot be read: client_lr=0.1: the supernet has the units" in text


def test_formulas_in_values_are_texts(tmp_path):
    sweep = made(tmp_path, "--vary=data_path==1+1", "--num_seeds=1")
    write(sweep)
    (line, _) = records_of(tmp_path / "sweep.csv")
    assert line["data_path"] == "'=1+1"


def test_a_link_in_place_of_the_table_is_refused(tmp_path):
    (tmp_path / "sweep.csv").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="is a link"):
        write(made(tmp_path))
