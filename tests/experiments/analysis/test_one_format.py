"""Scripts and `Result.save` write one format: the same files, of the same bytes."""

import csv
import dataclasses
import json

import jax
import optax
import pytest

import hasa_jax as hj
from experiments.analysis import results, tables
from experiments.rooms import ComparisonConfig
from tests.support.scripts import VECTORS, compiled_programs, run


def result_of(levels, num_rounds=2, **parts):
    """The run of the library that `train` with VECTORS is, and with other parts of the method."""
    key = jax.random.key(0)
    dataset = hj.datasets.synthetic_images(
        key, num_images=120, image_size=4, num_classes=3, num_clients=4
    )
    return hj.simulate(
        dataclasses.replace(hj.methods.hasa(), norm="layer", **parts),
        hj.models.mlp(hidden=4),
        dataset,
        num_rounds=num_rounds,
        key=key,
        client_optimizer=optax.sgd(0.1),
        execution=hj.Execution("masked", mesh="clients:1"),
        reporting=hj.Reporting(eval_every=1, levels=levels),
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The workdirs of a script and of the library, each of one seed."""
    folder = tmp_path_factory.mktemp("formats")
    done = run("train", f"--workdir={folder / 'script'}", *VECTORS)
    assert done.returncode == 0, done.stderr
    with compiled_programs():
        result = result_of({})
    result.save(folder / "library")
    result.save(folder / "fold", seed=3, fold=1)
    return folder


def header_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def test_the_files_have_the_same_bytes(folders):
    script, library = folders / "script", folders / "library"
    for name in ("metrics.csv", "summary.csv"):
        assert (library / name).read_bytes() == (script / name).read_bytes(), name
    assert header_of(library / "timings.csv") == header_of(script / "timings.csv")
    assert {path.name for path in library.iterdir()} <= {path.name for path in script.iterdir()}


@pytest.mark.slow
def test_sizes_have_the_same_bytes(tmp_path):
    done = run("train", f"--workdir={tmp_path / 'script'}", "--eval_levels=1,0.5", *VECTORS)
    assert done.returncode == 0, done.stderr
    result_of({"1": 4, "0.5": 2}).save(tmp_path / "library")
    for name in ("metrics.csv", "summary.csv", "sizes.csv"):
        own, other = (tmp_path / folder / name for folder in ("library", "script"))
        assert own.read_bytes() == other.read_bytes(), name


@pytest.mark.slow
def test_measurements_have_the_same_bytes(tmp_path):
    own = ["--policy=need", "--reallocate_every=2", "--num_rounds=4"]
    done = run("train", f"--workdir={tmp_path / 'script'}", *VECTORS, *own)
    assert done.returncode == 0, done.stderr
    policy = hj.POLICIES["need"](reallocate_every=2)
    result_of({}, num_rounds=4, policy=policy).save(tmp_path / "library")
    for name in ("metrics.csv", "summary.csv", "measured.csv"):
        own, other = (tmp_path / folder / name for folder in ("library", "script"))
        assert own.read_bytes() == other.read_bytes(), name


def test_what_both_say_of_a_run_is_equal(folders):
    script, library = (
        json.loads((folders / name / "run.json").read_text(encoding="utf-8"))
        for name in ("script", "library")
    )
    for name in ("data_sha256", "baseline", "scores"):
        assert script[name] == library[name] != {}
    assert script["model"]["groups"] == library["model"]["groups"]


def test_tables_merge_both(folders):
    """Equal results of one arm and seed count once, whoever wrote them."""
    found = results.read([folders / "library", folders / "script"])
    single = results.read([folders / "script"])
    assert [arm.name for arm in found.arms] == ["hasa:hasa"]
    assert len(found.summary) == len(single.summary)
    first, second = (tables.tables_of(own, ComparisonConfig()) for own in (found, single))
    assert [table.rows for table in first] == [table.rows for table in second]
    assert first[0].name == "headline"


def test_a_fold_of_the_library_is_a_fold(folders):
    found = results.read([folders / "fold"])
    assert found.folds == 1
    assert {results.block_of(record).name for record in found.summary} == {"3.1"}
