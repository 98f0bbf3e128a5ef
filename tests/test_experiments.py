"""The scripts, run as users run them: real processes, real files."""

import atexit
import csv
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import pytest

from experiments import compilation, devices
from hasa_jax import UserError
from tests import forks

ROOT = Path(__file__).resolve().parent.parent
SMALL = [
    "--num_titles=300",
    "--vocab_size=40",
    "--embed_dim=4",
    "--hidden_dim=8",
    "--num_rounds=2",
    "--eval_every=1",
    "--max_length=6",
]
METRICS = (
    "method,policy,extraction,aggregation,seed,round,client,num_examples,width,split,loss,accuracy"
)
SUMMARY = (
    "method,policy,extraction,aggregation,seed,round,mean_accuracy,weighted_accuracy,worst_accuracy,"
    "tail_accuracy,std_accuracy,budget_requested,budget_width,budget_params,budget_macs,"
    "budget_executed,train_seconds,compile_seconds"
)


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


def without_seconds(path):
    return [{k: v for k, v in row.items() if not k.endswith("_seconds")} for row in rows_of(path)]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "first"
    done = run("compare", f"--workdir={folder}", "--num_seeds=2", *SMALL, quick=False)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_workdir_holds_what_it_should(results):
    folder, _ = results
    assert sorted(p.name for p in folder.iterdir()) == [
        "metrics.csv",
        "run.json",
        "summary.csv",
        "table.md",
    ]
    assert (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()[0] == METRICS
    assert (folder / "summary.csv").read_text(encoding="utf-8").splitlines()[0] == SUMMARY
    assert len(without_seconds(folder / "summary.csv")) == 3 * 2 * 2
    assert len(without_seconds(folder / "metrics.csv")) == 3 * 2 * 2 * 4 * 7
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


def test_the_same_command_gives_the_same_bytes(results, tmp_path):
    folder, _ = results
    done = run("compare", f"--workdir={tmp_path}", "--num_seeds=2", *SMALL, fresh=True, quick=False)
    assert done.returncode == 0
    first, second = ((f / "metrics.csv").read_bytes() for f in (folder, tmp_path))
    assert first == second
    assert without_seconds(folder / "summary.csv") == without_seconds(tmp_path / "summary.csv")


def test_train_equals_its_part_of_compare(results, tmp_path):
    folder, _ = results
    done = run("train", f"--workdir={tmp_path}", "--policy=hasa", "--seed=1", *SMALL, quick=False)
    assert done.returncode == 0, done.stderr
    part = [
        row
        for row in without_seconds(folder / "metrics.csv")
        if (row["policy"], row["seed"]) == ("hasa", "1")
    ]
    assert without_seconds(tmp_path / "metrics.csv") == part


@pytest.mark.slow
def test_sliced_execution_gives_the_same_table_within_tolerance(results, tmp_path):
    folder, _ = results
    done = run("train", f"--workdir={tmp_path}", "--policy=hasa", "--execution=sliced", *SMALL)
    assert done.returncode == 0, done.stderr
    masked = [
        row
        for row in without_seconds(folder / "metrics.csv")
        if (row["policy"], row["seed"]) == ("hasa", "0")
    ]
    for one, other in zip(masked, without_seconds(tmp_path / "metrics.csv"), strict=True):
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
        assert float(rows_of(tmp_path / folder / "summary.csv")[0]["compile_seconds"]) > 0
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


GOOD = "title,publication\n" + "".join(
    f"the {word} of {other},{client}\n"
    for client in ("North", "South")
    for word in ("art", "joy", "cost")
    for other in ("tea", "rain")
)


def bad_file(name, content):
    def make(folder):
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["--dataset=titles", f"--data_path={path}"]

    return make


def workdir_is_a_file(folder):
    (folder / "taken").write_text("mine", encoding="utf-8")
    return [f"--workdir={folder / 'taken'}"]


def workdir_of_other_data(folder):
    path = folder / "a.csv"
    path.write_text(GOOD, encoding="utf-8")
    arguments = ["--dataset=titles", f"--data_path={path}", f"--workdir={folder / 'w'}"]
    assert run("train", *SMALL, "--min_count=1", *arguments).returncode == 0
    path.write_text(GOOD + "the art of the cost,North\n", encoding="utf-8")
    return [*arguments, "--min_count=1"]


def workdir_of_other_flags(folder):
    assert run("train", f"--workdir={folder / 'w'}", *SMALL, "--num_rounds=1").returncode == 0
    return [f"--workdir={folder / 'w'}"]


def workdir_without_manifest(folder):
    (folder / "metrics.csv").write_text("mine", encoding="utf-8")
    return [f"--workdir={folder}"]


BAD_INPUT = {
    "missing file": (lambda _: ["--dataset=titles", "--data_path=no.csv"], "no.csv"),
    "no path": (lambda _: ["--dataset=titles"], "--data_path"),
    "missing column": (bad_file("a.csv", "text,publication\na b,N\n"), "title"),
    "empty text": (bad_file("a.csv", GOOD + ",North\n"), "line 14"),
    "one client": (bad_file("a.csv", GOOD.replace("South", "North")), "North"),
    "two titles": (bad_file("a.csv", GOOD + "a b,East\nc d,East\n"), "East"),
    "not utf-8": (bad_file("a.csv", GOOD.encode() + b"\xff\xfe,North\n"), "UTF-8"),
    "low budget": (lambda _: ["--budget=.1"], "[0.2000, 0.8000]"),
    "high budget": (lambda _: ["--budget=.7", f"--capacities={','.join(['.6'] * 7)}"], "0.6000]"),
    "unknown policy": (lambda _: ["--policy=best"], "policy"),
    "negative rate": (lambda _: ["--client_lr=-1"], "client_lr"),
    "zero rounds": (lambda _: ["--num_rounds=0"], "num_rounds"),
    "no number": (lambda _: ["--budget=half"], "budget"),
    "bare argument": (lambda _: ["hasa"], "'hasa'"),
    "unknown flag": (lambda _: ["--wdith=1"], "wdith"),
    "bad list": (lambda _: ["--policy=fixed", "--widths=.5,x"], "--widths"),
    "missing flagfile": (lambda _: ["--flagfile=no.flags"], "no.flags"),
    "workdir is a file": (workdir_is_a_file, "is a file"),
    "workdir not writable": (lambda _: ["--workdir=/proc/results"], "cannot be written"),
    "workdir of other flags": (workdir_of_other_flags, "num_rounds=1 there, 2 here"),
    "workdir of other data": (workdir_of_other_data, "other data"),
    "not a number": (lambda _: ["--tail_fraction=nan"], "finite"),
    "seed too large": (lambda _: ["--seed=4294967296"], "2**32"),
    "exits": (lambda _: ["--method=scalefl"], "exits"),
    "single parameters sliced": (
        lambda _: ["--method=fiarse", "--execution=sliced", "--budget_unit=params"],
        "single parameters",
    ),
    "single parameters by width": (lambda _: ["--method=fiarse"], "state its budget in params"),
    "model does not fit": (lambda _: ["--model=resnet18"], "use lstm, transformer"),
    "too many exits": (lambda _: ["--exits=3"], "depth 1"),
    "teacher without draws": (lambda _: ["--objective=self_distillation"], "go together"),
    "nobody holds it all": (lambda _: ["--policy=exclusive"], "capacity is 1"),
    "too large a cohort": (lambda _: ["--clients_per_round=8"], "7 clients"),
    "momentum of Adam": (lambda _: ["--client_momentum=.9"], "client_optimizer sgd"),
    "option of another method": (lambda _: ["--rolling_step=2"], "extraction rolling"),
    "dealt anew": (lambda _: ["--dynamic"], "policy levels or random"),
    "flags of compare": (lambda _: ["--methods=fjord"], "is for compare"),
    "batch too large": (lambda _: ["--batch_size=3000000000"], "too large"),
    "bad levels": (lambda _: ["--policy=levels", "--levels=1,2"], "(0, 1]"),
    "no capacities": (lambda _: ["--policy=capacity"], "--capacities"),
    "diverging": (lambda _: ["--client_optimizer=sgd", "--client_lr=1e38"], "learning rate"),
    "workdir without manifest": (workdir_without_manifest, "without a run.json"),
}


@pytest.mark.parametrize("case", sorted(BAD_INPUT))
def test_bad_input_ends_in_one_line(case, tmp_path):
    make, expected = BAD_INPUT[case]
    arguments = [*SMALL, f"--workdir={tmp_path / 'fresh'}", *make(tmp_path)]
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    done = run("train", *arguments)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert expected in lines[0]
    # No result is shown; only what a run would need may be.
    assert all(line.startswith("memory of a device") for line in done.stdout.splitlines())
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert {p: content for p, content in after.items() if p in before} == before


def test_help_lists_the_flags():
    done = run("compare", "--helpshort")
    assert "--budget_projection" in done.stdout
    for name in ("fedavg", "federated_dropout", "fiarse", "fjord", "fedrolex", "scalefl"):
        assert f"{name}: " in done.stdout
    assert "Traceback" not in done.stderr


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


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--policies=uniform,best"], "policies"),
        (["--methods=hasa,best"], "methods"),
        (["--methods=hasa:best"], "methods"),
        (["--methods=hasa,hasa:hasa"], "twice"),
        (["--methods=hasa", "--policies=uniform"], "method:policy"),
        (["--policy=uniform"], "--policies"),
        (["--methods=hasa", "--method=fjord"], "method:policy"),
        (["--reference=best"], "use one of hasa:uniform"),
    ],
)
def test_unknown_arms_of_compare_are_refused(arguments, expected):
    done = run("compare", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert expected in done.stderr


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
    sizes = ["--num_images=200", "--num_clients=5", "--hidden_dim=4", "--num_rounds=1"]
    done = run("train", *SMALL, *sizes, *COMMANDS[case], f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (row,) = without_seconds(tmp_path / "summary.csv")
    assert 0 <= float(row["mean_accuracy"]) <= 1


@pytest.mark.slow
def test_methods_of_compare_bring_their_policies(tmp_path):
    methods = "--methods=hasa,fiarse:uniform"
    done = run(
        "compare", *SMALL, methods, "--num_seeds=1", "--budget_unit=params", "--budget=.7",
        "--num_rounds=1", "--execution=auto", f"--workdir={tmp_path}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = without_seconds(tmp_path / "summary.csv")
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
    rows = without_seconds(tmp_path / "metrics.csv")
    assert len({row["client"] for row in rows}) == 7
