"""What distributions say of themselves, what CI installs, and the files of GitHub's workflows."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import hasa_jax

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def pinned(name):
    """Returns the versions that a file of constraints has, by package."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in pairs}


def test_the_version_is_in_one_place():
    assert PROJECT["dynamic"] == ["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == hasa_jax.__version__
    assert f"\n## {hasa_jax.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_oldest_versions_are_the_lower_bounds():
    assert pinned("constraints-oldest.txt") == dict(
        dependency.split(">=") for dependency in PROJECT["dependencies"]
    )


def test_the_newest_versions_are_no_older_than_the_bounds():
    newest = pinned("constraints.txt")
    for dependency in PROJECT["dependencies"]:
        package, bound = dependency.split(">=")
        own = [int(part) for part in re.findall(r"\d+", newest[package])]
        assert own >= [int(part) for part in bound.split(".")], dependency


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_valid(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    # YAML 1.1 reads the key `on` as a boolean.
    assert set(workflow) == {"name", True, "permissions", "jobs"}
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for job in workflow["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest"
        assert set(job.get("needs", [])) <= set(workflow["jobs"])
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w/-]+@[\w./-]+", step["uses"])
            for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", "")):
                assert target in targets


def test_there_are_workflows():
    assert [path.stem for path in WORKFLOWS] == ["docs", "release", "tests"]
