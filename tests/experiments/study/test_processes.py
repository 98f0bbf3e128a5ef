"""Processes that share a run: how they join, and how all of them end when one does."""

import shutil
import signal
import socket
import time

import jax
import numpy as np
import pytest

from experiments.rooms import ExecutionConfig
from experiments.study import aborts, processes
from hasa_jax import UserError
from hasa_jax.simulation.checkpoint import read_arrays
from tests.support.processes import Together, free_port, run_together
from tests.support.scripts import VECTORS, records_of, run_process

RUN = [*VECTORS, "--policy=hasa", "--mesh=auto", "--host_devices=1"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"process_id": 1}, "`process_id=1` is for processes that share a run"),
        ({"num_processes": 2}, "`num_processes=2` is for processes that share a run"),
        ({"coordinator": "here"}, "`coordinator=here` is no address"),
        ({"coordinator": "here:port"}, "is no address: write HOST:PORT"),
        ({"coordinator": ":80"}, "is no address"),
        ({"coordinator": "here:65536"}, "is no address"),
        ({"coordinator": "here:80"}, "needs `num_processes` and `process_id`, too"),
        ({"coordinator": "here:80", "num_processes": 2}, "needs `num_processes` and"),
        (
            {"coordinator": "here:80", "num_processes": 2, "process_id": 2},
            "`process_id=2` is out of range: 2 processes are 0 to 1",
        ),
        ({"coordinator": "auto", "num_processes": 2, "process_id": 3}, "3` is out of range"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        processes.join(ExecutionConfig(**flags))


def test_a_port_that_is_taken_is_refused():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        wanted = ExecutionConfig(coordinator=f"127.0.0.1:{port}", num_processes=2, process_id=0)
        with pytest.raises(UserError, match=f"port {port} of this machine is taken"):
            processes.join(wanted)


def test_a_single_process_joins_nothing():
    assert processes.join(ExecutionConfig()) is None
    assert not jax.distributed.is_initialized()


def test_which_process_is_lost_is_read_from_what_the_runtime_prints():
    text = (
        "F1126 12:49:54.1 1 client.h:80] Terminating process because the JAX distributed service "
        "detected fatal errors. absl::Status: UNAVAILABLE: The following tasks are unhealthy "
        "(stopped sending heartbeats):\n1\n3\nThe tasks have crashed. Check the task logs\n"
    )
    assert aborts.lost(text).startswith("process 1, 3 is lost")
    assert aborts.lost("UNAVAILABLE: Socket closed").startswith("process 0, where all of them meet")


def test_errors_of_the_runtime_may_be_of_a_lost_process():
    error = jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed")
    assert processes.of_lost_process(error)
    outer = UserError("checkpoints could not be written")
    outer.__cause__ = error
    assert processes.of_lost_process(outer)
    assert processes.of_lost_process(ValueError("UNKNOWN: Gloo all-reduce failed"))
    assert not processes.of_lost_process(UserError("no such file"))
    assert not processes.of_lost_process(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 1 GiB"))


@pytest.mark.slow
def test_a_process_that_finds_no_others_ends_in_one_line():
    where = [f"--coordinator=127.0.0.1:{free_port()}", "--num_processes=2", "--process_id=1"]
    done = run_process("train", *RUN, *where, "--join_seconds=1")
    assert done.returncode == aborts.NOT_FOUND
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the 2 processes of the run did not all meet at 127.0.0.1:")
    assert "(--join_seconds)" in line


def test_auto_without_a_scheduler_is_refused():
    done = run_process("train", *RUN, "--coordinator=auto")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "nothing here is of SLURM" in line


@pytest.mark.slow
def test_two_processes_with_one_number_are_refused(tmp_path):
    own = {2: ["--process_id=1"]}
    done = run_together(
        "experiments.train", 3, *RUN, "--join_seconds=5", f"--workdir={tmp_path / 'w'}", own=own
    )
    assert [each.returncode for each in done] == [2] * 3
    assert all(len(each.stderr.splitlines()) == 1 for each in done)
    assert sum("has --process_id=1, too" in each.stderr for each in done) == 1


@pytest.mark.slow
def test_an_error_of_all_is_printed_by_the_first_process(tmp_path):
    (tmp_path / "w").write_text("")
    done = run_together("experiments.train", 2, *RUN, f"--workdir={tmp_path / 'w'}")
    assert [each.returncode for each in done] == [2, 2]
    (line,) = done[0].stderr.splitlines()
    assert "is a file: name a folder with --workdir" in line
    assert done[1].stderr == ""


@pytest.mark.slow
def test_an_error_of_another_process_names_it_and_ends_all(tmp_path):
    """Its flags are others, or a file is missing there only."""
    example = np.arange(40)
    path = tmp_path / "own.npz"
    inputs = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    np.savez(path, inputs=inputs, targets=example % 2, clients=example // 9)
    other = tmp_path / "other.npz"
    np.savez(other, inputs=-inputs, targets=example % 2, clients=example // 9)
    data = ["--dataset=npz", f"--data_path={path}", "--model=mlp", "--host_devices=1"]
    for flag, message in (
        ("--seed=1", "--seed is 1 here and 0 in process 0"),
        ("--data_path=missing.npz", "missing.npz"),
        (f"--data_path={other}", "this process has other data (seed 0) than process 0"),
    ):
        workdir = f"--workdir={tmp_path / 'w'}"
        done = run_together("experiments.train", 2, *data, workdir, own={1: [flag]})
        assert [each.returncode for each in done] == [2, 2]
        assert done[0].stderr == ""
        (line,) = done[1].stderr.splitlines()
        assert line.startswith("error: process 1: ")
        assert message in line


def arrays_of(workdir):
    (folder,) = (workdir / "checkpoints").iterdir()
    return read_arrays(folder)


def assert_close(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert np.allclose(one[name], other[name], rtol=0, atol=1e-5), name


def wait_for_checkpoint(together, workdir, round):
    """Waits until a checkpoint is there."""
    ends = time.monotonic() + 120
    while not list(workdir.glob(f"checkpoints/*/{round}")):
        assert time.monotonic() < ends
        assert all(each.poll() is None for each in together.processes)
        time.sleep(0.05)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The workdir of a run of one process and device, of twelve rounds."""
    folder = tmp_path_factory.mktemp("alone") / "w"
    done = run_process("train", *VECTORS, "--policy=hasa", "--num_rounds=12", f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


LONG = [*RUN, "--num_rounds=12", "--checkpoint_every=1"]


@pytest.mark.slow
def test_sigkill_of_one_of_four_ends_the_others_and_the_run_goes_on(alone, tmp_path):
    workdir = tmp_path / "w"
    command = [*LONG, f"--workdir={workdir}"]
    with Together("experiments.train", 4, *command) as together:
        wait_for_checkpoint(together, workdir, 2)
        together.send(3, signal.SIGKILL)
        done = together.wait(within=60)
    assert [each.returncode for each in done] == [aborts.LOST] * 3 + [-signal.SIGKILL]
    for each in done[:3]:
        (line,) = each.stderr.splitlines()
        assert line.startswith("error: process 3 is lost")
        assert "run the same command in all processes again" in line
    again = run_together("experiments.train", 4, *command)
    assert [each.returncode for each in again] == [0] * 4
    assert_close(arrays_of(workdir), arrays_of(alone))
    rounds = [row["round"] for row in records_of(workdir / "summary.csv")]
    assert rounds == [str(round) for round in range(1, 13)]


@pytest.mark.slow
def test_sigterm_of_one_stops_all_with_a_checkpoint_that_one_process_goes_on_from(alone, tmp_path):
    workdir = tmp_path / "w"
    with Together("experiments.train", 4, *LONG, f"--workdir={workdir}") as together:
        wait_for_checkpoint(together, workdir, 2)
        together.send(1, signal.SIGTERM)
        done = together.wait()
    assert [each.returncode for each in done] == [128 + signal.SIGTERM] * 4
    assert [each.stderr for each in done] == [""] * 4
    assert "run the same command again to go on" in done[0].stdout
    assert [each.stdout for each in done[1:]] == [""] * 3
    copy = shutil.copytree(workdir, tmp_path / "copy")
    for folder, arguments in ((workdir, LONG), (copy, [*LONG, "--host_devices=8"])):
        one = run_process("train", *arguments, f"--workdir={folder}")
        assert one.returncode == 0, one.stderr
        assert "this run began on other devices" in one.stdout
        assert_close(arrays_of(folder), arrays_of(alone))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "number"),
    [
        (["--clients_per_round=2"], 2),
        (["--clients_per_round=2", "--stream"], 2),
        (["--clients_per_round=3", "--stream", "--sampling=power_of_choice", "--candidates=4"], 2),
    ],
)
def test_cohorts_that_are_drawn_are_those_of_one_process(flags, number, tmp_path):
    workdirs = [tmp_path / name for name in ("one", "several")]
    command = [*RUN, "--num_rounds=4", *flags]
    done = run_process("train", *command, f"--workdir={workdirs[0]}")
    assert done.returncode == 0, done.stderr
    several = run_together("experiments.train", number, *command, f"--workdir={workdirs[1]}")
    assert [each.returncode for each in several] == [0] * number
    assert_close(*map(arrays_of, workdirs))


def slurm(process):
    return {
        "SLURM_JOB_ID": "901",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(process),
        "SLURM_LOCALID": str(process),
    }


def open_mpi(process):
    return {
        "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://127.0.0.1:34911",
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_RANK": str(process),
        "OMPI_COMM_WORLD_LOCAL_RANK": str(process),
    }


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", [slurm, open_mpi])
def test_a_scheduler_says_which_process_is_which(scheduler, tmp_path):
    port = str(free_port())
    done = run_together(
        "experiments.train",
        2,
        *RUN,
        f"--workdir={tmp_path / 'w'}",
        scheduler=lambda process: {**scheduler(process), "JAX_COORDINATOR_PORT": port},
    )
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 2
    assert done[0].stdout.endswith(f"results: {tmp_path / 'w'}\n")
    assert done[1].stdout == ""


@pytest.mark.slow
def test_sigkill_of_the_first_process_ends_the_others(tmp_path):
    workdir = tmp_path / "w"
    with Together("experiments.train", 2, *LONG, f"--workdir={workdir}") as together:
        wait_for_checkpoint(together, workdir, 1)
        together.send(0, signal.SIGKILL)
        done = together.wait(within=60)
    assert [each.returncode for each in done] == [-signal.SIGKILL, aborts.LOST]
    (line,) = done[1].stderr.splitlines()
    assert line.startswith("error: process 0, where all of them meet, is lost")
