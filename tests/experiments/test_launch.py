"""Scripts of launch/: sound shell, and run here by stand-ins for SLURM and gcloud."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.scripts import ROOT, VECTORS, environment_of, records_of, run

LAUNCH = ROOT / "experiments" / "launch"
SCRIPTS = ("slurm_array.sh", "slurm_multinode.sh", "tpu_vm.sh")
SLURM = SCRIPTS[:2]

SBATCH = """#!{python}
# Runs every task of an array at once, one after the other; prints their exit statuses.
import os, re, subprocess, sys

flags = [a for a in sys.argv[1:] if a.startswith("--")]
at = next(i for i, a in enumerate(sys.argv[1:], 1) if not a.startswith("--"))
text = open(sys.argv[at]).read()
own = re.findall(r"^#SBATCH (--.*)$", text, re.MULTILINE) + [a for a in sys.argv[1:at]]
arrays = [a.removeprefix("--array=") for a in own if a.startswith("--array=")]
first, last = map(int, arrays[-1].split("-"))
for task in range(first, last + 1):
    environment = os.environ | {{
        "SLURM_JOB_ID": str(900 + task),
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_ID": str(task),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_MAX": str(last),
        "SLURM_ARRAY_TASK_COUNT": str(last - first + 1),
    }}
    done = subprocess.run(["bash", *sys.argv[at:]], env=environment)
    print("task", task, "ended with", done.returncode, flush=True)
"""
SRUN = """#!/bin/bash
# Runs as many tasks as the job has; passes SIGTERM on, and ends with the highest status.
echo "srun $*" >> "$CALLS"
while [[ ${{1:-}} == --* ]]; do shift; done
[[ -n ${{SLURM_NTASKS:-}} ]] || exec "$@"
pids=()
for ((task = 0; task < SLURM_NTASKS; task++)); do
  SLURM_PROCID=$task SLURM_LOCALID=$task "$@" > "$CALLS.task$task" 2>&1 &
  pids+=($!)
done
trap 'kill -TERM "${{pids[@]}}"' TERM
echo $$ > "$CALLS.pid"
highest=0
for pid in "${{pids[@]}}"; do
  while kill -0 "$pid" 2> /dev/null; do wait "$pid"; done
  wait "$pid"
  status=$?
  ((status > highest)) && highest=$status
done
exit "$highest"
"""
RECORD = """#!/bin/bash
echo "$(basename "$0") $*" >> "$CALLS"
"""
GCLOUD = """#!{python}
import os, sys

with open(os.environ["CALLS"], "a") as file:
    file.write("\\n".join(["gcloud", *sys.argv[1:]]))
"""
ENDS = """#!/bin/bash
echo "python $*" >> "$CALLS"
exit {status}
"""


@pytest.fixture
def stand_ins(tmp_path):
    """Commands of a cluster on PATH; `CALLS` is where they write how they were called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {"sbatch": SBATCH, "srun": SRUN, "scontrol": RECORD, "gcloud": GCLOUD}
    for name, text in commands.items():
        write(folder / name, text.format(python=sys.executable))
    (tmp_path / "calls").touch()
    return environment_of() | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "PYTHON": sys.executable,
    }


def write(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def call(environment, *command):
    return subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def calls(environment):
    return Path(environment["CALLS"]).read_text(encoding="utf-8").splitlines()


def ends_with(environment, status):
    """The environment with a Python that only ends."""
    path = Path(environment["CALLS"]).with_name(f"ends_with_{status}")
    write(path, ENDS.format(status=status))
    return environment | {"PYTHON": str(path)}


def task(number, first=1, last=3, count=3):
    """What SLURM gives a task of an array."""
    return {
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_ARRAY_TASK_ID": str(number),
        "SLURM_ARRAY_TASK_MIN": str(first),
        "SLURM_ARRAY_TASK_MAX": str(last),
        "SLURM_ARRAY_TASK_COUNT": str(count),
    }


def test_these_are_all_scripts():
    assert sorted(path.name for path in LAUNCH.iterdir()) == sorted(SCRIPTS)
    assert all(os.access(LAUNCH / name, os.X_OK) for name in SCRIPTS)


def test_shellcheck_finds_nothing():
    checker = Path(sys.executable).with_name("shellcheck")
    done = call(os.environ, checker, *LAUNCH.glob("*.sh"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_shellcheck_finds_what_is_wrong(tmp_path):
    (tmp_path / "a.sh").write_text("#!/bin/bash\ncd $1\n", encoding="utf-8")
    done = call(os.environ, Path(sys.executable).with_name("shellcheck"), tmp_path / "a.sh")
    assert done.returncode == 1
    assert "SC2086" in done.stdout


@pytest.mark.parametrize("name", SLURM)
def test_slurm_warns_the_step_in_time_and_may_queue_it_again(name):
    text = (LAUNCH / name).read_text(encoding="utf-8")
    directives = re.findall(r"^#SBATCH (\S+)", text, re.MULTILINE)
    # Without B:, the signal goes to steps, not to the script, which must live to ask for more.
    assert {"--requeue", "--signal=TERM@120", "--open-mode=append"} <= set(directives)
    # SLURM reads directives only before the first command.
    assert text.index("set -euo pipefail") > text.rindex("#SBATCH")


@pytest.mark.slow
def test_an_array_runs_every_share_of_a_sweep(stand_ins, tmp_path):
    flags = [*VECTORS, "--num_rounds=1", "--vary=client_lr=0.1,0.01", "--num_seeds=1"]
    flags.append(f"--workdir={tmp_path / 'sweep'}")
    done = call(stand_ins, "sbatch", "--array=3-4", LAUNCH / "slurm_array.sh", *flags)
    assert "task 3 ended with 0" in done.stdout, done.stderr
    assert "task 4 ended with 0" in done.stdout, done.stderr
    shards = [re.search(r"--shard=(\S+)", line)[1] for line in calls(stand_ins)]
    assert shards == ["1/2", "2/2"]
    lines = records_of(tmp_path / "sweep" / "sweep.csv")
    assert [line["state"] for line in lines] == ["done", "done"]
    # Whatever the shares were, nothing is left for the same sweep in one process.
    again = run("sweep", *flags)
    assert again.returncode == 0, again.stderr
    assert "2 of the 2 runs are of shard 1/1; 2 of them are done" in again.stdout


@pytest.mark.parametrize(("status", "again"), [(0, []), (143, ["scontrol requeue 77_2"]), (2, [])])
def test_a_task_that_was_stopped_is_queued_again(status, again, stand_ins):
    environment = ends_with(stand_ins, status) | task(2)
    done = call(environment, LAUNCH / "slurm_array.sh", "--workdir=a b")
    assert (done.returncode, done.stderr) == (status, "")
    srun, python, *others = calls(environment)
    assert srun.startswith("srun --ntasks=1 --cpus-per-task=1 ")
    assert python == "python -m experiments.sweep --workdir=a b --shard=2/3"
    assert others == again


def test_a_task_that_cannot_be_queued_again_keeps_its_status(stand_ins):
    write(Path(stand_ins["CALLS"]).with_name("bin") / "scontrol", "#!/bin/bash\nexit 1\n")
    done = call(ends_with(stand_ins, 143) | task(1), LAUNCH / "slurm_array.sh")
    assert done.returncode == 143
    assert "submit the same command" in done.stderr


def test_an_array_with_gaps_is_refused(stand_ins):
    environment = ends_with(stand_ins, 0) | task(3, count=2)
    done = call(environment, LAUNCH / "slurm_array.sh")
    assert done.returncode == 2
    assert done.stderr.startswith("error: tasks are missing in the array")
    assert calls(environment) == []


@pytest.mark.parametrize(
    ("status", "again"),
    [(0, []), (2, []), *((ends, ["scontrol requeue 901"]) for ends in (75, 137, 143))],
)
def test_a_run_over_nodes_finds_its_processes_and_is_queued_again(status, again, stand_ins):
    environment = ends_with(stand_ins, status) | {"SLURM_JOB_ID": "901", "SLURM_CPUS_PER_TASK": "8"}
    done = call(environment, LAUNCH / "slurm_multinode.sh", "compare", "--policies=hasa,uniform")
    assert (done.returncode, done.stderr) == (status, "")
    srun, python, *others = calls(environment)
    assert "--cpus-per-task=8" in srun
    assert python == ("python -m experiments.compare --coordinator=auto --policies=hasa,uniform")
    assert others == again


@pytest.mark.slow
def test_two_tasks_are_one_run_and_a_job_that_was_stopped_goes_on(stand_ins, tmp_path):
    flags = [flag for flag in VECTORS if not flag.startswith("--mesh=")]
    flags += ["--num_rounds=20", "--checkpoint_every=1", "--host_devices=1"]
    command = [LAUNCH / "slurm_multinode.sh", "train", *flags, f"--workdir={tmp_path / 'w'}"]
    environment = stand_ins | {
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_NUM_NODES": "1",
    }
    first = Path(f"{environment['CALLS']}.task0")
    job = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment)
    while job.poll() is None and not (first.exists() and "  round 1  " in first.read_text()):
        time.sleep(0.05)
    os.kill(int(Path(f"{environment['CALLS']}.pid").read_text()), signal.SIGTERM)
    assert job.wait() == 143, first.read_text()
    assert calls(environment)[-1] == f"scontrol requeue {os.getpid()}"
    assert not (tmp_path / "w" / "summary.csv").exists()
    done = call(environment, *command)
    assert done.returncode == 0, first.read_text()
    one = run("train", *VECTORS, "--num_rounds=20", f"--workdir={tmp_path / 'one'}")
    assert one.returncode == 0, one.stderr
    both, single = (records_of(tmp_path / name / "summary.csv") for name in ("w", "one"))
    accuracies = [[float(record["mean_accuracy"]) for record in own] for own in (both, single)]
    assert accuracies[0] == pytest.approx(accuracies[1])


def test_every_worker_of_a_tpu_vm_gets_the_flags_as_they_are(stand_ins, tmp_path):
    flags = ["--workdir=/a b/c", "--reference=it's", '--vary=levels="1,0.5"']
    environment = stand_ins | {"PYTHON": "env/bin/python", "CHECKOUT": "my code"}
    done = call(environment, LAUNCH / "tpu_vm.sh", "my-tpu", "us-central2-b", "train", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    *ssh, command = calls(environment)
    assert ssh == [
        "gcloud", "compute", "tpus", "tpu-vm", "ssh", "my-tpu", "--zone=us-central2-b",
        "--worker=all",
    ]  # fmt: skip
    words = shlex.split(command.removeprefix("--command="))
    assert words == [
        "cd", "my code", "&&", "exec", "env/bin/python", "-m", "experiments.train",
        "--coordinator=auto", *flags,
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [("slurm_multinode.sh",), ("tpu_vm.sh", "my-tpu", "zone")])
def test_what_runs_must_be_named(arguments, stand_ins):
    name, *others = arguments
    done = call(stand_ins, LAUNCH / name, *others)
    assert done.returncode == 2
    assert done.stderr.startswith("error: name what runs")
    assert calls(stand_ins) == []
