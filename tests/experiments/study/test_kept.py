"""A workdir without checkpoints: runs that are complete in its finished tables are kept."""

import csv
import dataclasses
import json
import shutil

import pytest

from experiments.study import manifest
from experiments.study.arm import Arm
from experiments.study.block import Block
from experiments.study.kept import COLUMNS, kept_in
from hasa_jax.simulation.writers import TABLES
from tests.support.scripts import VECTORS, records_of, run

STUDY = [
    *VECTORS,
    "--eval_folds=2",
    "--num_rounds=5",
    "--reallocate_every=2",
    "--eval_every=3",
    "--eval_levels=1,.5",
    "--seeds_per_program=2",
    "--policies=need",
]
NEED = Arm("hasa", "need")
KEPT = "has no checkpoints: runs that are complete in its finished tables are kept"


def done(*arguments):
    found = run("compare", *arguments)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


def tables_of(folder, *, seconds=False):
    """The bytes of every table; those of `timings` only with seconds, which differ between runs."""
    names = [name for name in TABLES if seconds or name != "timings"]
    return {n: p.read_bytes() for n in names if (p := folder / f"{n}.csv").exists()}


def seconds_of(folder, seeds="0"):
    records = records_of(folder / "timings.csv")
    return [list(record.values()) for record in records if record["seed"] in seeds]


def rewrite(path, change):
    """Changes the lines of a table."""
    lines = change(list(csv.reader(path.read_text(encoding="utf-8").splitlines())))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "two"
    done(*STUDY, "--num_seeds=2", f"--workdir={folder}")
    return folder


@pytest.fixture
def bare(two_seeds, tmp_path):
    """A copy as it is committed: no checkpoints."""
    left_out = shutil.ignore_patterns("checkpoints")
    return shutil.copytree(two_seeds, tmp_path / "bare", ignore=left_out)


def test_the_columns_are_those_that_a_run_writes(two_seeds):
    for table in TABLES:
        with (two_seeds / f"{table}.csv").open(encoding="utf-8") as file:
            assert file.readline() == f"{COLUMNS[table]}\n"
    assert set(COLUMNS) == set(TABLES)


def test_a_run_without_its_checkpoints_does_not_run_again(two_seeds, bare):
    printed = done(*STUDY, "--num_seeds=2", f"--workdir={bare}")
    assert f"workdir {bare} {KEPT}" in printed
    assert printed.count("  restored\n") == 2 * 2 * 2
    assert tables_of(bare, seconds=True) == tables_of(two_seeds, seconds=True)
    assert not list((bare / "checkpoints").rglob("records.jsonl"))
    one, other = (json.loads((own / "run.json").read_text()) for own in (two_seeds, bare))
    assert one == other


def test_seeds_are_added_to_what_is_kept(two_seeds, bare, tmp_path):
    """Also after a run that was killed while it wrote the first of them again."""
    rows = (bare / "summary.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (bare / "summary.csv.partial").write_text("".join(rows[:2]), encoding="utf-8")
    (bare / "checkpoints").mkdir()
    done(*STUDY, "--num_seeds=3", f"--workdir={bare}")
    done(*STUDY, "--num_seeds=3", f"--workdir={tmp_path / 'once'}")
    assert tables_of(bare) == tables_of(tmp_path / "once")
    assert seconds_of(bare, "01") == seconds_of(two_seeds, "01")


def last_of(folder, seed, needed=TABLES):
    """The last accuracies that are kept of both folds of a seed, which share a program."""
    kept = kept_in(folder, manifest.read_manifest(folder))
    last = kept.last(NEED, [Block(seed, fold) for fold in (1, 2)], set(needed))
    return last and [record["mean_accuracy"] for record in last]


def test_what_is_kept_are_numbers_of_complete_runs(bare, capsys):
    expected = [
        float(record["mean_accuracy"])
        for record in records_of(bare / "summary.csv")
        if (record["seed"], record["round"]) == ("1", "5")
    ]
    assert last_of(bare, 1) == expected
    assert last_of(bare, 2) is None, "it has no record"
    assert not capsys.readouterr().out


def test_a_run_without_all_of_its_rounds_starts_over(bare, capsys):
    last = ["1", "2", "5"]
    rewrite(bare / "summary.csv", lambda lines: [own for own in lines if own[4:7] != last])
    assert last_of(bare, 1) is None
    assert capsys.readouterr().out == (
        "hasa (need), seed 1, fold 1 and 1 more: its run starts over, as finished tables do not "
        "have all of its rounds, and it has no checkpoint\n"
    )
    assert last_of(bare, 0)


@pytest.mark.parametrize("table", TABLES)
def test_a_run_needs_all_of_its_tables(table, bare, capsys):
    rewrite(bare / f"{table}.csv", lambda lines: [own[:-1] for own in lines])
    assert last_of(bare, 0) is None
    assert f"as {table}.csv has the columns of other code" in capsys.readouterr().out
    found = manifest.read_manifest(bare)
    tables = {name: own for name, own in found.tables.items() if name != table}
    manifest.write_manifest(bare, dataclasses.replace(found, tables=tables))
    assert last_of(bare, 0) is None
    said = "" if table == "summary" else f"as {table}.csv is missing"
    assert said in capsys.readouterr().out


def test_other_data_are_refused_before_run_json_has_their_hash(bare):
    """Also the second time."""
    found = manifest.read_manifest(bare)
    manifest.write_manifest(
        bare, dataclasses.replace(found, data_sha256={**found.data_sha256, "1.2": "other"})
    )
    for _ in range(2):
        refused = run("compare", *STUDY, "--num_seeds=2", f"--workdir={bare}")
        assert refused.returncode == 2
        assert "holds metrics of other data (seed 1, fold 2, by its hash" in refused.stderr


@pytest.mark.parametrize(
    ("first", "expected"),
    [(False, ["summary", "summary", 2, 4]), (True, ["summary", 2, "summary", 4])],
)
def test_measurements_come_with_the_evaluation_that_a_run_gives_them(first, expected, bare):
    """One after round 2 comes with the evaluation of round 5, or of round 2 if it decides there."""
    kept = kept_in(bare, manifest.read_manifest(bare))
    taken = []

    class Seen:
        def write(self, table, records):
            taken.extend(dict.fromkeys(own["round"] for own in records if table == "measured"))
            taken.extend(["summary"] if table == "summary" else [])

    kept = dataclasses.replace(kept, rounds=(2, 5), measures_first=first)
    kept.give(NEED, [Block(0, 1)], [Seen()])
    assert taken == expected
