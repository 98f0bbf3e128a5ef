"""Arms times seeds: what a workdir holds, and how a run goes on."""

import json
import re
import shutil
import signal

import pytest

from experiments.study import workdir
from hasa_jax.simulation.checkpoint import read_arrays
from tests.support.scripts import VECTORS, records_of, run, run_process

METRICS = (
    "method,policy,extraction,aggregation,seed,fold,round,client,num_examples,size,width,split,"
    "loss,accuracy"
)
SUMMARY = (
    "method,policy,extraction,aggregation,seed,fold,round,mean_accuracy,weighted_accuracy,"
    "worst_accuracy,"
    "tail_accuracy,std_accuracy,budget_requested,budget_width,budget_params,budget_uncut,"
    "budget_macs,budget_bytes,budget_executed,bytes_down,bytes_up,bytes_once,severed,"
    "global_mean_accuracy,global_weighted_accuracy,global_worst_accuracy,global_tail_accuracy,"
    "global_std_accuracy,updates,updates_asked"
)
ROUNDS = [*VECTORS, "--checkpoint_every=1", "--policy=hasa", "--num_rounds=3"]


def bytes_of(folder):
    """Everything that equal runs write alike."""
    (checkpoints,) = (folder / workdir.CHECKPOINTS).iterdir()
    arrays = {name: array.tobytes() for name, array in read_arrays(checkpoints).items()}
    files = ("metrics.csv", "summary.csv", "table.md")
    return arrays | {name: (folder / name).read_bytes() for name in files}


def stop_after(round):
    """Watches what a run prints, and sends a signal after one of its rounds."""

    def seen(line):
        if f"  round {round}  " in line:
            signal.raise_signal(signal.SIGTERM)

    return seen


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared") / "first"
    done = run("compare", f"--workdir={folder}", "--num_seeds=2", *VECTORS)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A run that nothing stopped."""
    folder = tmp_path_factory.mktemp("full") / "run"
    done = run("train", *ROUNDS, f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_workdir_holds_what_it_should(compared):
    folder, _ = compared
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints",
        "metrics.csv",
        "run.json",
        "summary.csv",
        "table.md",
        "timings.csv",
    ]
    assert (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()[0] == METRICS
    assert (folder / "summary.csv").read_text(encoding="utf-8").splitlines()[0] == SUMMARY
    assert len(records_of(folder / "summary.csv")) == 3 * 2 * 2
    assert len(records_of(folder / "metrics.csv")) == 3 * 2 * 2 * 4 * 4
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert manifest["script"] == "compare"
    assert manifest["config"]["model"]["hidden_dim"] == 4
    assert manifest["methods"]["hasa"]["extraction"] == "prefix"
    assert "shape=by_width" in manifest["methods"]["hasa"]["extraction_options"]
    assert list(manifest["model"]["groups"].values()) == [4]
    assert {"jax", "numpy", "python", "hasa_jax"} <= set(manifest["versions"])
    shares = manifest["execution"].pop("bucket_shares")
    assert len(set(shares.values())) == 1
    assert min(shares.values()) > 0.3
    assert manifest["execution"] == {
        "backend": "cpu",
        "processes": 1,
        "mesh": "seeds:1,clients:1,model:1",
        "client_block": 1,
        "modes": {f"hasa:{name}": "masked" for name in ("uniform", "hasa", "inverse_hasa")},
        "quick": {f"hasa:{name}": True for name in ("uniform", "hasa", "inverse_hasa")},
    }
    assert set(manifest["data_sha256"]) == {"0", "1"}
    assert len(set(manifest["data_sha256"].values())) == 2


def test_the_table_is_printed_with_a_row_for_each_policy(compared):
    folder, output = compared
    table = (folder / "table.md").read_text(encoding="utf-8")
    for policy in ("uniform", "hasa", "inverse_hasa"):
        assert f"| {policy} " in table
        assert f"\n{policy} " in output
    assert "Mean accuracy of the clients at round " in output
    assert max(map(len, output.partition("Mean accuracy")[2].splitlines())) <= 100
    # The arms need the same memory, and one line says so.
    assert output.count("memory of ") == 2
    assert "memory of a device for hasa (uniform, hasa, inverse_hasa), masked: " in output
    assert "hasa (inverse_hasa)  seed 1  round 2" in output


def test_train_in_a_process_of_its_own_equals_its_part_of_compare(compared, tmp_path):
    folder, _ = compared
    done = run_process("train", f"--workdir={tmp_path}", "--policy=hasa", "--seed=1", *VECTORS)
    assert done.returncode == 0, done.stderr
    part = [
        record
        for record in records_of(folder / "metrics.csv")
        if (record["policy"], record["seed"]) == ("hasa", "1")
    ]
    assert records_of(tmp_path / "metrics.csv") == part


@pytest.mark.slow
def test_sliced_execution_gives_the_same_losses_within_tolerance(compared, tmp_path):
    folder, _ = compared
    sliced = [*VECTORS, "--execution=sliced", "--policies=hasa", "--num_seeds=1"]
    done = run("compare", f"--workdir={tmp_path}", *sliced)
    assert done.returncode == 0, done.stderr
    masked = [
        record
        for record in records_of(folder / "metrics.csv")
        if (record["policy"], record["seed"]) == ("hasa", "0")
    ]
    for one, other in zip(masked, records_of(tmp_path / "metrics.csv"), strict=True):
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), abs=1e-3)


def test_a_stopped_run_goes_on_to_the_same_bytes(full, tmp_path):
    arguments = [*ROUNDS, f"--workdir={tmp_path}"]
    done = run("train", *arguments, seen=stop_after(1))
    assert (done.returncode, done.stderr) == (143, "")
    last = done.stdout.splitlines()[-1]
    assert re.match(r"stopped after round 1 of hasa \(hasa\): run the same command again", last)
    assert not (tmp_path / "metrics.csv").exists()
    done = run("train", *arguments)
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path) == bytes_of(full)
    assert "round 3 " in done.stdout


def test_a_run_stops_between_arms(tmp_path):
    arguments = [*VECTORS, "--policies=uniform,hasa", "--num_seeds=1", "--checkpoint_every=1"]
    done = run("compare", *arguments, f"--workdir={tmp_path}", seen=stop_after(2))
    assert done.returncode == 143
    assert done.stdout.splitlines()[-1].startswith("stopped before hasa (hasa): ")
    done = run("compare", *arguments, f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert len(records_of(tmp_path / "summary.csv")) == 4


def test_more_rounds_go_on_and_other_configurations_are_refused(full, tmp_path):
    arguments = [*ROUNDS, f"--workdir={tmp_path}"]
    assert run("train", *arguments, "--num_rounds=1").returncode == 0
    done = run("train", *arguments, "--budget=0.7")
    assert done.returncode == 2
    assert "budget=0.5 there, 0.7 here" in done.stderr
    done = run("train", *arguments)
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path) == bytes_of(full)
    done = run("train", *arguments, "--num_rounds=1")
    assert done.returncode == 2
    assert "num_rounds=3 there, 1 here" in done.stderr


def tables_of(folder):
    return {
        name: (folder / name).read_bytes() for name in ("metrics.csv", "summary.csv", "table.md")
    }


@pytest.mark.slow
@pytest.mark.parametrize("per_program", [1, 2])
def test_a_workdir_grows_to_the_bytes_of_a_run_at_once(per_program, tmp_path):
    """By a policy, by a method, by seeds and rounds; what is there does not run again."""
    common = [*VECTORS, "--checkpoint_every=1", f"--seeds_per_program={per_program}"]
    grown = [*common, f"--workdir={tmp_path / 'grown'}"]
    first = ["--policies=uniform,hasa", "--num_seeds=2", "--num_rounds=1"]
    steps = [
        (first, 4),
        (["--policies=full", "--num_seeds=1", "--num_rounds=1"], 2),
        (["--methods=fjord", "--num_seeds=3", "--num_rounds=2"], 4 * 3 * 2 - 6),
    ]
    for arguments, rounds_run in steps:
        before = seconds_of(tmp_path / "grown")
        done = run("compare", *grown, *arguments)
        assert done.returncode == 0, done.stderr
        after = seconds_of(tmp_path / "grown")
        assert before.items() <= after.items()
        assert len(after) - len(before) == rounds_run
    at_once = ["--methods=hasa:uniform,hasa:hasa,hasa:full,fjord", "--num_seeds=3"]
    done = run("compare", *common, *at_once, f"--workdir={tmp_path / 'once'}")
    assert done.returncode == 0, done.stderr
    assert tables_of(tmp_path / "grown") == tables_of(tmp_path / "once")
    # The first command again gives the table of all of it.
    before = seconds_of(tmp_path / "grown")
    done = run("compare", *grown, *first[:2], "--num_rounds=2")
    assert done.returncode == 0, done.stderr
    assert tables_of(tmp_path / "grown") == tables_of(tmp_path / "once")
    assert seconds_of(tmp_path / "grown") == before


def seconds_of(folder):
    """The seconds of every round that a workdir has: what runs again takes others."""
    path = folder / "timings.csv"
    records = records_of(path) if path.exists() else []
    return {
        tuple(r[name] for name in ("method", "policy", "seed", "round")): r["train_seconds"]
        for r in records
    }


def test_updates_that_never_arrive_are_counted_and_said(tmp_path):
    arguments = [*VECTORS, "--checkpoint_every=1", "--client_dropout=1", f"--workdir={tmp_path}"]
    done = run("train", *arguments, "--num_rounds=1")
    assert "warning: hasa:hasa, seed 0: no update arrived in 4 of 4 client-rounds" in done.stdout
    # The count goes on with the run.
    done = run("train", *arguments, "--num_rounds=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "warning: hasa:hasa, seed 0: no update arrived in 8 of 8 client-rounds" in done.stdout
    counts = [(r["updates"], r["updates_asked"]) for r in records_of(tmp_path / "summary.csv")]
    assert counts == [("0", "4"), ("0", "8")]


def test_checkpoints_are_not_left_beside_newer_tables(full, tmp_path):
    folder = shutil.copytree(full, tmp_path / "run")
    before = bytes_of(folder)
    done = run("train", *ROUNDS, "--num_rounds=4", f"--workdir={folder}", "--checkpoint_every=0")
    assert done.returncode == 2
    assert "holds checkpoints, which a run with --checkpoint_every=0 would" in done.stderr
    assert bytes_of(folder) == before


def test_compare_runs_on_the_real_file(data_dir, tmp_path):
    done = run(
        "compare",
        "--dataset=titles",
        f"--data_path={data_dir / 'medium' / 'medium_data.csv'}",
        f"--workdir={tmp_path}",
        "--policies=uniform,hasa",
        "--num_seeds=1",
        "--vocab_size=50",
        "--embed_dim=2",
        "--hidden_dim=4",
        "--num_rounds=1",
    )
    assert done.returncode == 0, done.stderr
    assert len({record["client"] for record in records_of(tmp_path / "metrics.csv")}) == 7


def test_what_readers_left_out_is_printed_and_recorded(tmp_path):
    lines = [f"the art of tea {i},{('North', 'South')[i % 2]}" for i in range(12)]
    path = tmp_path / "titles.csv"
    path.write_text("\n".join(["title,publication", *lines, "short"]) + "\n", encoding="utf-8")
    arguments = ["--dataset=titles", f"--data_path={path}", "--min_count=1", "--bad_rows=skip"]
    small = ["--num_rounds=1", "--hidden_dim=4", "--embed_dim=4", "--execution=masked"]
    done = run("train", *arguments, *small, "--host_devices=1", f"--workdir={tmp_path / 'w'}")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "w" / "run.json").read_text())
    assert manifest["config"]["model"]["model"] == "lstm", "what the data decided is recorded"
    (note,) = manifest["data_notes"]["0"]
    assert "1 of 13 rows" in note
    assert f"data: {note}" in done.stdout.splitlines()


def test_a_sample_of_clients_is_evaluated_and_said(tmp_path):
    arguments = [*VECTORS, "--policies=uniform,hasa", "--num_seeds=2", "--eval_clients=2"]
    run("compare", *arguments, f"--workdir={tmp_path}")
    records = records_of(tmp_path / "metrics.csv")
    chosen = {
        (policy, seed): {r["client"] for r in records if (r["policy"], r["seed"]) == (policy, seed)}
        for policy in ("uniform", "hasa")
        for seed in "01"
    }
    assert all(len(clients) == 2 for clients in chosen.values())
    assert all(chosen["uniform", seed] == chosen["hasa", seed] for seed in "01")
    written = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert written["config"]["reporting"]["eval_clients"] == 2
    text = " ".join((tmp_path / "table.md").read_text(encoding="utf-8").split())
    assert "Evaluated on 2 clients of each seed, drawn once." in text
