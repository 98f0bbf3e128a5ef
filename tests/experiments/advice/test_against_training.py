"""What advice says is what a run with the same devices and budget records."""

import json

import pytest

from tests.support.scripts import VECTORS, records_of, run

CAPS = "client;examples;cap\nclient_0;1;0,5\nclient_1;1;1\nclient_2;1;\nclient_3;1;0,3\n"
OF_TRAINING = ("--num_rounds", "--eval_every", "--client_lr", "--execution", "--mesh")


@pytest.mark.slow
def test_advice_is_what_a_run_records(tmp_path):
    path = tmp_path / "caps.csv"
    path.write_text(CAPS, encoding="utf-8")
    trained, advised = tmp_path / "trained", tmp_path / "advised"
    done = run(
        *("train", *VECTORS, "--policy=hasa", "--budget=0.45", f"--capacities={path}"),
        *("--checkpoint_every=0", f"--workdir={trained}"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    shared = [flag for flag in VECTORS if not flag.startswith(OF_TRAINING)]
    done = run(
        *("advise", *shared, "--policies=hasa", "--budgets=0.45", f"--clients_path={path}"),
        f"--workdir={advised}",
    )
    assert (done.returncode, done.stderr) == (0, "")
    (option,) = records_of(advised / "advise.csv")
    summary = records_of(trained / "summary.csv")[-1]
    for column in ("width", "params", "macs"):
        assert float(option[column]) == pytest.approx(float(summary[f"budget_{column}"]))
    # A run records the mean over clients, advice the sum.
    for column in ("bytes_down", "bytes_up"):
        assert float(option[column]) == pytest.approx(4 * float(summary[column]))
    clients = {own["client"]: own for own in records_of(advised / "advise_clients.csv")}
    metrics = {
        own["client"]: own
        for own in records_of(trained / "metrics.csv")
        if own["split"] == "test"  # Of other splits are the supernet's.
    }
    assert len({own["size"] for own in metrics.values()}) > 1
    for name, own in metrics.items():
        assert clients[name]["size"] == own["size"]
        assert float(clients[name]["width"]) == pytest.approx(float(own["width"]))
    ran, asked = (
        json.loads(found.read_text(encoding="utf-8"))
        for found in (trained / "run.json", advised / "advise.json")
    )
    caps = {name: float(own["cap"]) for name, own in clients.items()}
    assert caps == ran["by_client"]["capacities"]
    assert asked["data_sha256"]["0"] == ran["data_sha256"]["0"]
