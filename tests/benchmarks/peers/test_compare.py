"""The command that compares with peers, with peers that are not there and one that only answers."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import processes
from benchmarks.peers import compare
from benchmarks.peers.known import PEERS

FAKE = Path(__file__).with_name("fake_peer.py")
OWN = "print('ready', flush=True)\nfor line in open(0): print('seconds 0.05', flush=True)"


def record(peer, workload, **changes):
    both = {"seconds": 1.0, "peak_bytes": None, "start_seconds": 2.0}
    return {"peer": peer, "workload": workload, "ours": both, "theirs": both, **changes}


@pytest.fixture
def environments(tmp_path):
    """Makes a folder whose environments have a Python that is only the fake peer."""
    for name in {peer.environment for peer in PEERS.values()}:
        python = tmp_path / "environments" / name / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n', encoding="utf-8")
        python.chmod(0o755)
    return tmp_path / "environments"


@pytest.fixture
def own_process(monkeypatch):
    """Has a process that answers run in place of this library's."""
    command = [sys.executable, "-c", OWN]
    monkeypatch.setattr(processes, "measure_command", lambda spec: command)
    monkeypatch.setattr(processes, "run", lambda command, env: {})
    monkeypatch.setattr(compare, "load", lambda path: SimpleNamespace(num_classes=62))
    monkeypatch.setattr(compare, "_TURN_SECONDS", 0.01)
    monkeypatch.setattr("benchmarks.peers.known._THREADS", ("1", "2"))


def run(monkeypatch, *words):
    """Runs the command; returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["compare", *words])
    with pytest.raises(SystemExit) as left:
        compare.main()
    return int(left.value.code)


def test_all_pairs_by_default():
    pairs = compare.arguments([]).pairs
    assert pairs == [(name, workload) for name in PEERS for workload in sorted(
        PEERS[name].workloads)]  # fmt: skip


def test_names_repeat_or_stand_between_commas():
    words = ["--peer=torch,flower", "--peer=torch", "--workload=cnn", "--workload=mlp,cnn"]
    assert compare.arguments(words).pairs == [
        ("torch", "cnn"),
        ("flower", "cnn"),
        ("flower", "mlp"),
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--peer=tff"], "unknown peer 'tff': use one of torch, torch-padded, fedjax, pfl, flower"),
        (["--workload=bert"], "unknown workload 'bert': use one of cnn, mlp"),
        (["--peer=fedjax", "--workload=cnn"], "fedjax does not run cnn"),
        (["--peer=pfl", "--setting=jit"], "pfl has no setting 'jit': use one of 1"),
        (["--repeats=0"], "--repeats must be at least 1"),
    ],
)
def test_wrong_words(words, message, capsys):
    with pytest.raises(SystemExit) as left:
        compare.arguments(words)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_each_missing_environment_is_one_line(monkeypatch, capsys, tmp_path):
    folder, out = tmp_path / "none", tmp_path / "peers.json"
    words = ["--peer=torch,torch-padded,pfl", f"--environments={folder}", f"--out={out}"]
    assert run(monkeypatch, *words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    first, second = shown.err.splitlines()
    assert first == (
        f"error: no torch in {folder}/torch: make it with `python3 -m venv {folder}/torch && "
        f"{folder}/torch/bin/pip install -r benchmarks/peers/requirements-torch.txt`, or name the "
        "folder above it in --environments"
    )
    assert "requirements-pfl.txt" in second
    assert not out.exists()


def test_an_environment_without_the_package_is_missing(tmp_path):
    (tmp_path / "flower" / "bin").mkdir(parents=True)
    (tmp_path / "flower" / "bin" / "python").symlink_to(sys.executable)
    given = compare.arguments(["--peer=flower", f"--environments={tmp_path}"])
    assert len(compare.missing(given)) == 1
    assert compare.version(sys.executable, ["numpy", "json"])
    assert compare.version(sys.executable, ["numpy", "no_such_package"]) is None


@pytest.mark.usefixtures("own_process")
def test_the_fastest_setting_is_measured(monkeypatch, capsys, environments, tmp_path):
    monkeypatch.setitem(PEERS, "pfl", PEERS["pfl"]._replace(settings=("1", "2")))
    out = tmp_path / "peers.json"
    words = ["--peer=pfl", "--repeats=3", f"--environments={environments}", f"--out={out}"]
    assert run(monkeypatch, *words) == 0
    (stored,) = json.loads(out.read_text(encoding="utf-8"))
    assert (stored["peer"], stored["workload"], stored["version"]) == ("pfl", "mlp", "1.2.3")
    assert stored["seconds_by_setting"] == {"1": 0.2, "2": 0.1}
    assert (stored["setting"], stored["num_classes"]) == ("2", 62)
    assert stored["ours"]["all_seconds"] == [0.05] * 3
    assert stored["theirs"]["seconds"] == 0.1
    assert stored["theirs"]["start_seconds"] > 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("| pfl 1.2.3 (threads 2) | mlp | 0.05 | 0.1 | 2.00 |")


@pytest.mark.usefixtures("own_process")
def test_a_peer_that_fails_is_not_measured_and_others_are(
    monkeypatch, capfd, environments, tmp_path
):
    monkeypatch.setitem(PEERS, "fedjax", PEERS["fedjax"]._replace(settings=("broken",)))
    monkeypatch.setitem(PEERS, "pfl", PEERS["pfl"]._replace(settings=("1",)))
    out = tmp_path / "peers.json"
    words = ["--peer=fedjax,pfl", f"--environments={environments}", f"--out={out}"]
    assert run(monkeypatch, *words) == 1
    shown = capfd.readouterr()
    assert "it does not work" in shown.err
    assert "Traceback" not in shown.err
    assert "| fedjax | mlp | not measured |" in shown.out
    assert "fedjax, mlp: exit status 1 of: " in shown.out
    broken, measured = json.loads(out.read_text(encoding="utf-8"))
    assert "not_measured" in broken
    assert measured["theirs"]["seconds"] == 0.2


def test_what_the_file_has_of_others_stays(tmp_path):
    out = tmp_path / "results" / "peers.json"
    compare.keep(out, record("torch", "cnn"))
    compare.keep(out, record("flower", "cnn"))
    compare.keep(out, record("torch", "cnn", setting="2"))
    stored = json.loads(out.read_text(encoding="utf-8"))
    assert [each["peer"] for each in stored] == ["torch", "flower"]
    assert stored[0]["setting"] == "2"


def test_a_figure_stays_where_a_later_run_has_none(tmp_path):
    out, failed = tmp_path / "peers.json", {"peer": "torch", "workload": "cnn", "not_measured": "x"}
    compare.keep(out, failed)
    assert json.loads(out.read_text(encoding="utf-8")) == [failed]
    compare.keep(out, record("torch", "cnn"))
    compare.keep(out, failed)
    assert json.loads(out.read_text(encoding="utf-8")) == [record("torch", "cnn")]


@pytest.mark.parametrize("text", ["[{}]", "[1]", "{", "3"])
def test_a_file_of_something_else_is_not_written_over(text, monkeypatch, capsys, environments):
    out = environments / "other.json"
    out.write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["x", f"--environments={environments}", f"--out={out}"])
    with pytest.raises(
        SystemExit, match=r"^error: .*other.json holds no comparisons: name another"
    ):
        compare.main()
    assert out.read_text(encoding="utf-8") == text
    assert capsys.readouterr().out == ""
