"""advise.json, and workdirs that advice must not write into."""

import hashlib
import json

import pytest

from experiments.config import from_json
from experiments.study.manifest import read_manifest
from tests.support.scripts import run

SMALL = ("--model=mlp", "--hidden_dim=16", "--image_size=4", "--num_classes=3", "--policies=hasa")


@pytest.fixture
def command(tmp_path):
    path = tmp_path / "clients.csv"
    path.write_text("client,examples,cap,score\na,30,1,1\nb,10,0.5,2\n", encoding="utf-8")
    return ("advise", f"--clients_path={path}", f"--workdir={tmp_path / 'out'}", *SMALL)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_record_says_what_was_asked_of_whom(tmp_path, command):
    assert run(*command, "--budgets=0.5").returncode == 0
    found = json.loads((tmp_path / "out" / "advise.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((tmp_path / "clients.csv").read_bytes()).hexdigest()
    assert found["data_sha256"] == {"clients_path": digest}
    assert found["files"] == {"clients_path": "clients.csv"}
    assert found["config"]["advice"]["budgets"] == [0.5]
    assert found["config"]["model"]["model"] == "mlp"
    assert found["config"]["comparison"] == {"policies": ["hasa"], "seed": 0}
    assert {"python", "jax", "hasa_jax"} <= set(found["versions"])
    # What is not read is not there.
    assert set(found["config"]["data"]) == {"image_size", "max_length", "num_classes", "vocab_size"}
    assert "budget" not in found["config"]["allocation"]
    read = read_manifest(tmp_path / "out", "advise.json")
    assert from_json(found["config"]) == read.run


def test_the_same_again_is_fine_and_anything_else_loses_nothing(tmp_path, command):
    first = run(*command)
    before = contents(tmp_path / "out")
    again = run(*command)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert contents(tmp_path / "out") == before
    folder = tmp_path / "out"
    for argument, why in (
        ("--budgets=0.5", "budgets=[0.25, 0.5, 0.75] there, [0.5] here"),
        ("--hidden_dim=8", "hidden_dim=16 there, 8 here"),
    ):
        other = run(*command, argument)
        assert other.returncode == 2
        assert other.stderr == (
            f"error: workdir {folder} holds advice of another configuration ({why}): name another "
            "with --workdir\n"
        )
    path = tmp_path / "clients.csv"
    path.write_text("client,examples,cap,score\na,30,1,1\nb,11,0.5,2\n", encoding="utf-8")
    other = run(*command)
    assert other.stderr == (
        f"error: workdir {folder} holds advice on another file of clients (by its hash in "
        "advise.json): name another with --workdir\n"
    )
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("metrics.csv", "mine", "workdir {} holds results of training"),
        ("summary.csv.partial", "mine", "workdir {} holds results of training"),
        ("advise.csv", "mine", "workdir {} holds advice without advise.json"),
        ("advise.json", "{", "{}/advise.json is damaged"),
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path, command, name, content, why):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / name).write_text(content, encoding="utf-8")
    done = run(*command)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {why.format(folder)}")
    assert done.stderr.count("\n") == 1
    assert contents(folder) == {name: content.encode()}
