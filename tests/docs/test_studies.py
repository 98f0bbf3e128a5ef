"""Studies: every committed run is of a target of make, with the configuration of its command."""

import json
import os
import re
import subprocess

import pytest

from experiments.flags import config_from_flags
from experiments.study import manifest
from tests.docs.documents import ROOT

RESULTS = ROOT / "experiments/results"
# The benchmark's runs are of its suite, whose table lists them and is made again by `rebuild`.
FOLDERS = sorted(
    path.parent.relative_to(RESULTS).as_posix()
    for path in RESULTS.rglob("run.json")
    if not path.is_relative_to(RESULTS / "benchmark_small")
)
CELLS = {"testbed", "testbed_long"}
OF_CELLS = ("score_correlation", "size_correlation")
PATHS = ("data_path", "data_dir")

# Writes its arguments down instead of running them.
PYTHON = """#!/bin/sh
printf '%s\\0' "$@" >> "$COMMANDS"
printf '\\n' >> "$COMMANDS"
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Configuration of each workdir that targets of make write, as run.json would have it."""
    place = tmp_path_factory.mktemp("make")
    (place / "bin").mkdir()
    python = place / "bin/python"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z_]+): \$\((?:RUN|STUDY)_STAMP\)", text, re.MULTILINE)
    # Of a `make test` around it, make would take variables and flags over.
    environment = {name: own for name, own in os.environ.items() if not name.startswith("MAKE")}
    environment |= {"COMMANDS": str(place / "commands"), "MFLAGS": ""}
    for extra in (targets, ["fiarse", "FIARSE=fiarse_five"]):
        ready = [f"--assume-old={place}/.installed-{name}" for name in ("run", "study")]
        line = ["make", "--silent", f"VENV={place}", "DATA=data", *ready, *extra]
        subprocess.run(line, cwd=ROOT, env=environment, check=True)
    lines = (place / "commands").read_text(encoding="utf-8").splitlines()
    return dict(_configured(line.split("\0")[1:-1]) for line in lines if "--flagfile" in line)


def _configured(argv):
    """Folder that a command writes, below `runs`, and its configuration."""
    argv = [each.replace("--score_path=runs", f"--score_path={RESULTS}") for each in argv]
    workdir = next(each for each in argv if each.startswith("--workdir="))
    config, _ = config_from_flags([each for each in argv if each != workdir])
    recorded = json.loads(json.dumps(manifest.recorded(config)))
    return workdir.removeprefix("--workdir=runs/"), recorded


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_committed_run_is_of_a_target(folder, commands):
    study = folder.split("/")[0]
    command = commands[study if study in CELLS else folder]
    document = json.loads((RESULTS / folder / "run.json").read_text(encoding="utf-8"))
    left_out = {*PATHS, *(OF_CELLS if study in CELLS else ())}
    if document.get("stopping"):
        left_out.add("num_seeds")  # The rule of `--until_halfwidth` adds seeds.
    assert document["config"]
    for room, chosen in document["config"].items():
        # Fields that are younger than a run are not in it.
        for name, value in chosen.items():
            asked = command[room][name]
            # Of None, the data set or the method decides.
            assert name in left_out or asked in (None, value), name
