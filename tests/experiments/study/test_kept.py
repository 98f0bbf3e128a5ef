"""A workdir without checkpoints: what its finished tables have whole does not run again."""

import csv
import json
import shutil

import pytest

from experiments.study.arm import Arm
from experiments.study.block import Block
from experiments.study.kept import COLUMNS, kept_in
from hasa_jax import UserError
from hasa_jax.simulation.writers import TABLES
from tests.support.scripts import VECTORS, records_of, run

STUDY = [
    *VECTORS,
    "--eval_folds=2",
    "--num_rounds=5",
    "--reallocate_every=2",
    "--eval_every=3",
    "--seeds_per_program=2",
    "--policies=need",
]
NEED = Arm("hasa", "need")
STAYS = "has results and no checkpoints: what finished tables have whole stays"


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
    for table, columns in COLUMNS.items():
        with (two_seeds / f"{table}.csv").open(encoding="utf-8") as file:
            assert file.readline() == f"{columns}\n"
    assert set(tables_of(two_seeds)) == {"metrics", "summary", "measured"}


def test_a_run_without_its_checkpoints_does_not_run_again(two_seeds, bare):
    printed = done(*STUDY, "--num_seeds=2", f"--workdir={bare}")
    assert f"workdir {bare} {STAYS}" in printed
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


def found_in(folder, seed):
    """The last accuracies that are kept of both folds of a seed, which share a program."""
    blocks = [Block(seed, fold) for fold in (1, 2)]
    hashes = json.loads((folder / "run.json").read_text(encoding="utf-8"))["data_sha256"]
    hashes = {**hashes, "1.1": hashes.get("1.1", "unknown")}
    last = kept_in(folder, num_rounds=5, eval_every=3).last(NEED, blocks, hashes)
    return last and [record["mean_accuracy"] for record in last]


def test_what_is_kept_are_numbers_of_whole_runs(bare):
    expected = [
        float(record["mean_accuracy"])
        for record in records_of(bare / "summary.csv")
        if (record["seed"], record["round"]) == ("1", "5")
    ]
    assert found_in(bare, 1) == expected
    assert found_in(bare, 2) is None
    assert kept_in(bare, 7, 3).last(NEED, [Block(1, 1)], {}) is None


@pytest.mark.parametrize("table", ["metrics", "summary", "timings"])
def test_a_block_that_lacks_an_evaluation_is_not_kept(table, bare):
    def cut(lines):
        return [line for line in lines if line[4:7] != ["1", "2", "5"]]

    rewrite(bare / f"{table}.csv", cut)
    assert found_in(bare, 1) is None
    assert found_in(bare, 0)


def test_tables_of_other_columns_are_not_joined_with_new_ones(bare):
    rewrite(bare / "summary.csv", lambda lines: [line[:-1] for line in lines])
    assert found_in(bare, 0) is None


def test_damaged_tables_are_refused(bare):
    rewrite(bare / "metrics.csv", lambda lines: [*lines, ["hasa", "need"]])
    with pytest.raises(UserError, match=r"metrics\.csv, line \d+: column 'extraction' holds None"):
        found_in(bare, 0)


def test_tables_of_other_data_are_refused(bare):
    found = kept_in(bare, 5, 3)
    with pytest.raises(UserError, match=r"other data \(seed 1, fold 2, by its hash in run\.json"):
        found.last(NEED, [Block(1, 2)], {"1.2": "other"})


def test_tables_that_no_run_json_vouches_for_are_not_kept(bare):
    written = json.loads((bare / "run.json").read_text(encoding="utf-8"))
    written["data_sha256"].pop("1.1")
    (bare / "run.json").write_text(json.dumps(written), encoding="utf-8")
    assert found_in(bare, 1) is None
    assert found_in(bare, 0)
    (bare / "run.json").unlink()
    assert not kept_in(bare, 5, 3).hashes
