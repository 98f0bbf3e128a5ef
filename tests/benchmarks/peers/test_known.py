"""The table of peers: what it names is there."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.known import PEERS, WORKLOADS
from benchmarks.workloads import WORKLOADS as BUILDERS

FOLDER = Path(__file__).resolve().parents[3] / "benchmarks" / "peers"


@pytest.mark.parametrize("name", PEERS)
def test_a_peer(name):
    peer = PEERS[name]
    path = FOLDER.parents[1] / Path(*peer.module.split(".")).with_suffix(".py")
    assert "\ndef run(workload: str, path: str, setting: str, report" in path.read_text("utf-8")
    assert set(peer.workloads) <= set(BUILDERS)
    assert peer.settings


@pytest.mark.parametrize("name", sorted({peer.environment for peer in PEERS.values()}))
def test_requirements_are_exact_and_have_the_package(name):
    text = (FOLDER / f"requirements-{name}.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\d.]+", line) for line in lines), lines
    packages = {re.split(r"[=\[]", line)[0] for line in lines}
    assert {peer.packages[0] for peer in PEERS.values() if peer.environment == name} <= packages


def test_no_list_of_requirements_is_left_over():
    names = {path.stem for path in FOLDER.glob("requirements-*")}
    assert names == {f"requirements-{peer.environment}" for peer in PEERS.values()}


def test_workloads_that_no_peer_runs():
    assert set(BUILDERS) - set(WORKLOADS) == {"tiny"}


@pytest.mark.skipif(bool(importlib.util.find_spec("flwr")), reason="Flower is here")
def test_a_peer_without_its_package_says_so_in_a_line():
    words = ["--peer=flower", "--workload=mlp", "--batches=x.npz", "--setting=1"]
    command = [sys.executable, "-m", "benchmarks.peers.run", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=FOLDER.parents[1]
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {sys.executable} has no flwr\n"
