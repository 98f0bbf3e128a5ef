"""The script advise, on a file of clients and on data, without training."""

import csv
import json

import numpy as np
import pytest

from experiments.advice import advice
from experiments.config import RunConfig, with_fields
from experiments.study import run as study_run
from experiments.study.arm import Arm
from tests.support.scripts import run

CLIENTS = "client;examples;cap;score\nA;100;0,3;0,1\nB;200;0,6;0,4\nC;1000;1;0,2\nD;50;0,1;0,9\n"
MLP = ("--model=mlp", "--hidden_dim=16", "--image_size=4", "--num_classes=3")
DATA = (
    *("--dataset=synthetic_images", "--num_images=120", "--image_size=4", "--num_classes=3"),
    *("--num_clients=4", "--model=mlp", "--hidden_dim=16"),
)


@pytest.fixture
def clients(tmp_path):
    path = tmp_path / "clients.csv"
    path.write_text(CLIENTS, encoding="utf-8-sig")
    return f"--clients_path={path}"


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_file_of_clients(tmp_path, clients):
    folder = tmp_path / "out"
    done = run("advise", clients, *MLP, "--macs_per_second=1e9", f"--workdir={folder}")
    assert (done.returncode, done.stderr) == (0, "")
    # A path may be longer.
    assert max(len(line) for line in done.stdout.splitlines() if str(tmp_path) not in line) <= 100
    shown = " ".join(done.stdout.split())
    (header,) = [line for line in done.stdout.splitlines() if "MB down" in line]
    assert header.startswith("policy ")
    assert header.endswith(" s/round")
    assert "infeasible clients: 1 of 4 hold less than the smallest width 0.2" in shown
    assert "['D']" in shown
    assert "infeasible at budget 0.75: uniform" in shown
    assert "left out: need: follows losses that clients measure while they train" in shown
    assert "Largest budget of 0.25, 0.5, 0.75 (width) that can be met: 0.5." in shown
    assert sorted(path.name for path in folder.iterdir()) == [
        *("advise.csv", "advise.json", "advise.png", "advise_clients.csv"),
    ]
    options = {(own["policy"], own["budget"]): own for own in read(folder / "advise.csv")}
    assert options["uniform", "0.75"]["feasible"] == "0"
    assert options["hasa", "0.5"]["feasible"] == "1"
    assert options["need", ""]["reason"].startswith("follows losses")
    by_client = read(folder / "advise_clients.csv")
    own = {c["client"]: c for c in by_client if (c["policy"], c["budget"]) == ("uniform", "0.5")}
    assert sorted(own) == ["A", "B", "C"]
    total = sum(float(c["bytes_down"]) for c in own.values())
    assert total == float(options["uniform", "0.5"]["bytes_down"])
    q = {name: int(c["examples"]) / 1300 for name, c in own.items()}
    width = sum(q[name] * float(c["width"]) for name, c in own.items())
    assert width == pytest.approx(float(options["uniform", "0.5"]["width"]))
    assert all(float(c["width"]) <= float(c["cap"]) for c in own.values())
    assert max(float(c["round_seconds"]) for c in own.values()) == pytest.approx(
        float(options["uniform", "0.5"]["round_seconds"])
    )
    (unable,) = [c for c in by_client if c["client"] == "D"]
    assert (unable["feasible"], unable["size"]) == ("0", "0")


def test_columns_that_are_not_read_stay_beside_their_clients(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(
        "client,examples,cap,class,width\na,30,1,high,x\nb,10,0.1,low,=1\nc,20,0.5,low,\n",
        encoding="utf-8",
    )
    done = run(
        *("advise", f"--clients_path={path}", *MLP, "--policies=uniform", "--budgets=0.4"),
        f"--workdir={tmp_path / 'out'}",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("columns that are not read, only copied: ['width'];") == 1
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("low ", "high "))]
    assert [row[:4] for row in rows] == [["high", "1", "0", "1.000"], ["low", "2", "1", "0.500"]]
    found = {own["client"]: own for own in read(tmp_path / "out" / "advise_clients.csv")}
    assert [found[name]["class"] for name in "abc"] == ["high", "low", "low"]
    assert [found[name]["own_width"] for name in "abc"] == ["x", "'=1", ""]
    assert rows[0][4] == f"{float(found['a']['width']):.3f}"
    assert "Mean width of each class at budget 0.4 (width):" in done.stdout
    by_class = {own["class"]: own for own in read(tmp_path / "out" / "advise_classes.csv")}
    assert [by_class["low"][name] for name in ("clients", "infeasible", "clients_training")] == [
        *("2", "1", "1"),
    ]
    for column in ("width", "params", "macs", "bytes_down", "memory_bytes"):
        assert float(by_class["low"][column]) == float(found["c"][column])


def test_sizes_are_those_of_a_run_on_the_same_data():
    policies = ("uniform", "size_proportional", "hasa", "random", "levels")
    values = {
        **{"dataset": "synthetic_images", "num_images": 120, "image_size": 4, "num_classes": 3},
        **{"num_clients": 4, "model": "mlp", "hidden_dim": 16, "policies": policies},
    }
    config = with_fields(RunConfig(), {**values, "budgets": (0.5,)})
    found = advice.advise(config, frozenset({*values, "budgets"}))
    arms = tuple(Arm("hasa", policy) for policy in policies)
    study = study_run.Study("compare", with_fields(RunConfig(), values), frozenset(), arms, (0,))
    group = study_run._prepared(study, study.groups[0], None)
    for option in found.options:
        (trial,) = group.trials[Arm("hasa", option.policy)]
        allocation = trial.allocation
        np.testing.assert_array_equal(option.sizes, allocation.sizes)
        ledger = allocation.ledger
        for unit in ("width", "params", "macs", "executed"):
            assert option.achieved[unit] == pytest.approx(getattr(ledger, unit))
        assert option.bytes_down / 4 == pytest.approx(ledger.bytes_down)
        assert option.bytes_up / 4 == pytest.approx(ledger.bytes_up)


@pytest.mark.parametrize(
    ("method", "unit"),
    [
        ("fiarse", "params"),
        pytest.param("heterofl", "macs", marks=pytest.mark.slow),
        pytest.param("federated_dropout", "bytes", marks=pytest.mark.slow),
    ],
)
def test_other_methods_and_units(clients, method, unit):
    done = run(
        *("advise", clients, *MLP, f"--method={method}", f"--budget_unit={unit}"),
        *("--w_min=0.05", "--budgets=0.3"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"of 0.3 ({unit}) that can be met" in done.stdout.replace("\n", " ")
    # Dense kernels compute single parameters at full size.
    header = next(line for line in done.stdout.splitlines() if line.startswith("policy "))
    assert ("executed" in header) == (method == "fiarse")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--num_rounds=3"], "error: advise does not read --num_rounds: leave it out"),
        (["--budget=0.5"], "error: advise does not read --budget: leave it out"),
        (["--alpha=0.5"], "error: --alpha is of data, but --clients_path has none"),
        (["--capacities=0.5"], "error: give what devices hold in --clients_path or by"),
        (["--budgets=0.5,0.5"], "error: --budgets=0.5,0.5: name one or more, each of them once"),
        (["--budgets=2"], "error: --budgets is 2.0: it must be above 0 and at most 1"),
        (["--method=fiarse"], "error: --method fiarse keeps single parameters"),
        (["--heads=3"], "error: --heads is read only with model transformer"),
        (
            ["--measure_rate", "--macs_per_second=1"],
            "error: --measure_rate measures --macs_per_second: give one of them",
        ),
        (
            ["--dataset=synthetic_titles"],
            "error: --image_size is read only with dataset",
        ),
    ],
)
def test_bad_input_is_one_line(clients, arguments, expected):
    done = run("advise", clients, *MLP, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(expected)
    assert done.stderr.count("\n") == 1


def test_a_file_needs_a_model(clients):
    done = run("advise", clients)
    assert done.stderr == (
        "error: a file of clients does not say what they train: name it with --model\n"
    )


def test_without_caps_the_supernet_fits_and_a_column_is_no_named_score(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("client,examples,score\na,30,1\nb,10,2\n", encoding="utf-8")
    named = "--policies=full,hasa,hasa@entropy"
    done = run("advise", f"--clients_path={path}", *MLP, named, "--budgets=0.5")
    assert (done.returncode, done.stderr) == (0, "")
    shown = " ".join(done.stdout.split())
    assert "infeasible" not in shown
    assert "left out: hasa@entropy: follows scores of data: name a --dataset" in shown
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("full ")]
    assert line.split()[3] == "1.000"


def test_devices_that_hold_nothing(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("client,examples,cap_params\na,3,1\n", encoding="utf-8")
    done = run("advise", f"--clients_path={path}", *MLP)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no device holds width 0.2, the smallest: lower --w_min")


def test_data_and_caps_by_a_file(tmp_path):
    path = tmp_path / "caps.csv"
    names = [f"client_{n}" for n in range(4)]
    path.write_text("client,cap\n" + "".join(f"{n},0.4\n" for n in names), encoding="utf-8")
    done = run("advise", *DATA, f"--clients_path={path}", "--budgets=0.3", "--policies=hasa")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Cheapest policy at it: hasa" in done.stdout.replace("\n", " ")


def test_the_scripts_that_train_refuse_its_flags():
    done = run("train", "--budgets=0.5")
    assert done.stderr == "error: --budgets is for advise: leave it out\n"


@pytest.mark.slow
def test_the_rate_of_this_machine(tmp_path, clients):
    done = run(
        *("advise", clients, *MLP, "--measure_rate", "--budgets=0.5", "--policies=uniform"),
        f"--workdir={tmp_path / 'out'}",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "MACs a second while it trains the supernet" in done.stdout
    assert "s/round" in done.stdout
    found = json.loads((tmp_path / "out" / "advise.json").read_text(encoding="utf-8"))
    assert f"{found['execution']['macs_per_second']:.3g} MACs a second" in done.stdout
