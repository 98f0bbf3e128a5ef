"""The scripts, run as users run them: real processes, real files."""

import atexit
import csv
import functools
import inspect
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import pytest

from experiments.study import compilation, devices
from hasa_jax import DATASETS, UserError
from hasa_jax.datasets import dataset_builder
from tests.support import forks

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "--num_titles=300",
    "--vocab_size=40",
    "--embed_dim=4",
    "--hidden_dim=8",
    "--num_rounds=2",
    "--eval_every=1",
    "--max_length=6",
]
OF_DATA = ("num_titles", "vocab_size", "max_length")
METRICS = (
    "method,policy,extraction,aggregation,seed,round,client,num_examples,units,width,split,"
    "loss,accuracy"
)
SUMMARY = (
    "method,policy,extraction,aggregation,seed,round,mean_accuracy,weighted_accuracy,worst_accuracy,"
    "tail_accuracy,std_accuracy,budget_requested,budget_width,budget_params,budget_macs,"
    "budget_executed"
)


def small(*arguments):
    """SMALL without the sizes that the data set of these arguments does not have."""
    flag = "--dataset="
    dataset = next((a.removeprefix(flag) for a in arguments if a.startswith(flag)), None)
    try:
        builder = dataset_builder(dataset or "synthetic_titles")
    except UserError:  # Told whatever else is given.
        builder = DATASETS["synthetic_titles"]
    read = inspect.signature(builder).parameters
    unread = tuple(f"--{name}=" for name in OF_DATA if name not in read)
    return [argument for argument in SMALL if not argument.startswith(unread)]


@functools.cache
def compiled():
    """A folder that the runs of this session share their compiled programs in."""
    folder = tempfile.TemporaryDirectory(prefix="hasa_jax-tests-")
    atexit.register(folder.cleanup)
    return folder.name


def environment_of(*, fresh=False, quick=True):
    """The environment of a user's shell; `fresh` has no programs yet, `quick` compiles worse."""
    ours = ("JAX_PLATFORMS", "XLA_FLAGS")
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    environment["PYTHONPATH"] = str(ROOT)
    if quick:
        environment["XLA_FLAGS"] = forks.COMPILES_QUICKLY
    if fresh:
        environment["JAX_ENABLE_COMPILATION_CACHE"] = "0"
    else:
        environment["JAX_COMPILATION_CACHE_DIR"] = compiled()
    return environment


def run(script, *arguments, cwd=None, fresh=False, quick=True):
    return forks.run(
        script,
        [str(argument) for argument in arguments],
        cwd=cwd or ROOT,
        environment=environment_of(fresh=fresh, quick=quick),
    )


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "first"
    done = run("compare", f"--workdir={folder}", "--num_seeds=2", *SMALL, quick=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_workdir_holds_what_it_should(results):
    folder, _ = results
    assert sorted(p.name for p in folder.iterdir()) == [
        "checkpoints",
        "metrics.csv",
        "run.json",
        "summary.csv",
        "table.md",
        "timings.csv",
    ]
    assert (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()[0] == METRICS
    assert (folder / "summary.csv").read_text(encoding="utf-8").splitlines()[0] == SUMMARY
    assert len(rows_of(folder / "summary.csv")) == 3 * 2 * 2
    assert len(rows_of(folder / "metrics.csv")) == 3 * 2 * 2 * 4 * 7
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert manifest["flags"]["hidden_dim"] == 8
    assert manifest["methods"]["hasa"]["extraction"] == "prefix"
    assert {"jax", "numpy", "python", "hasa_jax"} <= set(manifest["versions"])
    cores = min(devices.usable_cores(), 8)
    assert manifest["execution"] == {"backend": "cpu", "devices": cores, "client_block": 1}
    assert len(manifest["device"]) == cores
    assert set(manifest["data_sha256"]) == {"0", "1"}
    assert len(set(manifest["data_sha256"].values())) == 2


def test_the_table_is_printed_with_a_row_for_each_policy(results):
    folder, output = results
    table = (folder / "table.md").read_text(encoding="utf-8")
    assert table in output
    for policy in ("uniform", "hasa", "inverse_hasa"):
        assert f"| {policy} " in table
    assert "hasa (inverse_hasa)  seed 1  round 2" in output


def test_train_equals_its_part_of_compare(results, tmp_path):
    folder, _ = results
    done = run("train", f"--workdir={tmp_path}", "--policy=hasa", "--seed=1", *SMALL, quick=False)
    assert done.returncode == 0, done.stderr
    part = [
        row
        for row in rows_of(folder / "metrics.csv")
        if (row["policy"], row["seed"]) == ("hasa", "1")
    ]
    assert rows_of(tmp_path / "metrics.csv") == part


@pytest.mark.slow
def test_sliced_execution_gives_the_same_table_within_tolerance(results, tmp_path):
    folder, _ = results
    done = run("train", f"--workdir={tmp_path}", "--policy=hasa", "--execution=sliced", *SMALL)
    assert done.returncode == 0, done.stderr
    masked = [
        row
        for row in rows_of(folder / "metrics.csv")
        if (row["policy"], row["seed"]) == ("hasa", "0")
    ]
    for one, other in zip(masked, rows_of(tmp_path / "metrics.csv"), strict=True):
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), abs=1e-3)


def test_kept_programs_are_used_again_and_change_no_byte(tmp_path):
    cache, held = tmp_path / "kept" / "programs", []
    for folder in ("cold", "warm"):
        for path in sorted(cache.glob("*"))[:3]:
            path.write_bytes(path.read_bytes()[:99])  # As if the first run had been killed.
        done = run(
            "train",
            f"--workdir={tmp_path / folder}",
            f"--compilation_cache={cache}",
            *SMALL,
            "--num_rounds=1",
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        held.append({p.name for p in cache.iterdir()})
        # Fetching a program counts as compiling it.
        assert float(rows_of(tmp_path / folder / "timings.csv")[0]["compile_seconds"]) > 0
    assert held[0] == held[1] != set()
    cold, warm = ((tmp_path / f / "metrics.csv").read_bytes() for f in ("cold", "warm"))
    assert cold == warm


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_earns_one_warning(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine", encoding="utf-8")
    where = f"--compilation_cache={taken / 'programs'}"
    done = run("train", where, f"--workdir={tmp_path / 'w'}", *SMALL, "--num_rounds=1")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: ")
    assert "--compilation_cache" in line
    assert (tmp_path / "w" / "table.md").exists()


def test_the_cache_goes_where_the_environment_says(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert compilation.default_folder() == "~/.cache/hasa_jax/xla"
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert compilation.default_folder() == "/caches/hasa_jax/xla"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/programs")
    assert compilation.default_folder() == "/programs"


def test_devices_that_are_not_there_are_refused():
    there = jax.device_count()
    assert devices.device_count(0) == devices.device_count(there) == there
    with pytest.raises(UserError, match=f"JAX has {there} "):
        devices.device_count(there + 1)


@pytest.mark.slow
def test_default_workdirs_differ_by_flags(tmp_path):
    for seed in (0, 1):
        done = run("train", f"--seed={seed}", *SMALL, "--num_rounds=1", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_figure_is_drawn(results):
    folder, _ = results
    done = run("plots", f"--workdir={folder},{folder}")
    assert done.returncode == 0, done.stderr
    picture = folder / "accuracy.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()


def test_help_lists_the_flags():
    done = run("compare", "--helpshort")
    assert "--budget_projection" in done.stdout
    for name in ("fedavg", "federated_dropout", "fiarse", "fjord", "fedrolex", "scalefl"):
        assert f"{name}: " in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path):
    command = (
        f"{sys.executable} -m experiments.train --workdir={tmp_path} {' '.join(SMALL)} | head -c 1"
    )
    done = subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=environment_of(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert (tmp_path / "table.md").exists()


# One command runs any method on any model that it fits, on data that the model fits.
COMMANDS = {
    "fjord lstm": ["--method=fjord", "--dropout_levels=.25,.5,1", "--objective=self_distillation"],
    "scalefl lstm": ["--method=scalefl", "--layers=2", "--exits=2", "--distillation=.05"],
    "heterofl transformer": ["--method=heterofl", "--model=transformer", "--policy=levels"],
    "fedrolex mlp": ["--method=fedrolex", "--model=mlp", "--dataset=synthetic_images"],
    "fiarse topics": [
        "--method=fiarse",
        "--model=transformer",
        "--dataset=synthetic_topics",
        "--budget_unit=params",
        "--threshold=layer",
    ],
    "dropout cnn, drawn clients": [
        "--method=federated_dropout",
        "--model=cnn",
        "--dataset=synthetic_images",
        "--clients_per_round=3",
        "--policy=random",
        "--dynamic",
    ],
}


# One for each kind of data, and a drawn cohort; the methods' own contracts are everyday.
QUICK = ("fiarse topics",)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[] if case in QUICK else pytest.mark.slow)
        for case in sorted(COMMANDS)
    ],
)
def test_methods_run_from_the_command_line(case, tmp_path):
    images = ["--num_images=200", "--num_clients=5"]
    sizes = [*(images if "--dataset=synthetic_images" in COMMANDS[case] else []), "--num_rounds=1"]
    arguments = [*small(*COMMANDS[case]), "--hidden_dim=4", *sizes, *COMMANDS[case]]
    done = run("train", *arguments, f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(tmp_path / "summary.csv")
    assert 0 <= float(row["mean_accuracy"]) <= 1


@pytest.mark.slow
def test_methods_of_compare_bring_their_policies(tmp_path):
    methods = "--methods=hasa,fiarse:uniform"
    done = run(
        "compare", *SMALL, methods, "--num_seeds=1", "--budget_unit=params", "--budget=.7",
        "--num_rounds=1", "--execution=auto", f"--workdir={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "summary.csv")
    arms = dict.fromkeys((row["method"], row["policy"]) for row in rows)
    assert list(arms) == [("hasa", "hasa"), ("fiarse", "uniform")]
    for row in rows:
        assert float(row["budget_params"]) == pytest.approx(0.7, abs=0.05)


def test_compare_runs_on_the_real_file(data_dir, tmp_path):
    path = data_dir / "medium" / "medium_data.csv"
    done = run(
        "compare",
        "--dataset=titles",
        f"--data_path={path}",
        f"--workdir={tmp_path}",
        "--policies=uniform,hasa",
        "--num_seeds=1",
        "--vocab_size=50",
        "--embed_dim=2",
        "--hidden_dim=4",
        "--num_rounds=1",
    )
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "metrics.csv")
    assert len({row["client"] for row in rows}) == 7
