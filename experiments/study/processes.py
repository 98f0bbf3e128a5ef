"""Several processes that share a run, by JAX's own runtime: how they join, and how they end.

A process that is lost ends all others (`aborts`). A process that ends with an error says
so to the others, which end with its status; who says it first prints it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from typing import Any

import jax

from experiments.config import RunConfig, to_json
from experiments.rooms import ExecutionConfig
from experiments.study import aborts
from experiments.study.aborts import Session
from hasa_jax.base import UserError
from hasa_jax.execution.processes import from_first

AUTO = "auto"
"""`coordinator` where the scheduler says who the processes are."""

HEARTBEAT_SECONDS = 30
"""Without a sign of life for so long, a process is lost."""

_SHUTDOWN_SECONDS = 300
"""How long processes that are done wait for the first one to write the last tables."""

_LEAVING_SECONDS = 5
"""How long processes wait for each other when one of them ends with an error."""

_FOREVER_MS = 10**12

_ENDED, _LEAVING = "hasa_jax/ended", "hasa_jax/leaving"

_OF_TALK = re.compile(r"\b(Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED)\b")
"""What is in errors of processes that do not reach each other."""

_OF_A_PROCESS = frozenset(
    (
        *("process_id", "coordinator", "join_seconds", "host_devices", "compilation_cache"),
        *("data_path", "data_dir", "score_path"),
    )
)
"""Fields in which the processes of a run may differ; the same data may be elsewhere."""


def join(wanted: ExecutionConfig) -> Session | None:
    """Joins the processes of a run; must come before JAX starts a backend.

    Args:
      wanted: names the processes.

    Returns:
      The session, to be kept until the process ends; None for a run of one process, in which
      nothing is started.

    Raises:
      UserError: for flags that contradict each other, an address that is none or is taken, and
        where nothing says who the processes are. If the others are not found in time, the process
        ends with one line and `aborts.NOT_FOUND`.
    """
    _check(wanted)
    if not wanted.coordinator:
        return None
    auto = wanted.coordinator == AUTO
    if not auto and wanted.process_id == 0:
        _refuse_taken_port(wanted.coordinator)
    # The scheduler's signal is for the run, which stops at an evaluation; proxies are in the line
    # of a process that finds no others.
    jax.config.update("jax_enable_preemption_service", False)
    jax.config.update("jax_check_proxy_envs", False)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    session = aborts.set_apart(
        wanted.coordinator, wanted.process_id, wanted.num_processes, wanted.join_seconds
    )
    # The runtime waits outside of Python, which could not hear of Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        jax.distributed.initialize(
            None if auto else wanted.coordinator,
            wanted.num_processes or None,
            wanted.process_id,
            initialization_timeout=wanted.join_seconds,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
        )
    except Exception as error:  # What finds a cluster may raise anything.
        reason = " ".join(str(error).split())[:200]
        if auto and "be defined" in reason:
            reason = "nothing here is of SLURM, Open MPI, GKE or a TPU"
        raise UserError(
            f"`coordinator={wanted.coordinator}` cannot be joined ({reason}): give "
            "`coordinator=HOST:PORT`, `num_processes` and `process_id`"
        ) from None
    finally:
        signal.signal(signal.SIGINT, before)
    session.process, session.number = _runtime().process_id, _runtime().num_processes
    session.where = _runtime().coordinator_address
    session.joined = True
    if session.process:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until it ends)
    threading.Thread(target=_wait_for_end, args=(session,), daemon=True).start()
    return session


def agree(config: RunConfig) -> None:
    """Refuses processes that have other flags or numbers of devices than the first one.

    Args:
      config: of this process.

    Raises:
      UserError: if they differ.
    """
    own, total = jax.local_device_count(), jax.device_count()
    if own * jax.process_count() != total:
        raise UserError(
            f"{own} devices are here, but all {jax.process_count()} processes have {total}: give "
            "each process the same number (see `host_devices`)"
        )
    here = json.loads(json.dumps(to_json(config)))
    first = from_first(lambda: here)
    for room, values in here.items():
        for name, value in values.items():
            if name not in _OF_A_PROCESS and value != first[room][name]:
                raise UserError(
                    f"`{name}` is {value} here and {first[room][name]} in process 0: give all "
                    "processes of a run the same flags"
                )


def leave(session: Session, line: str, status: int) -> int:
    """Says to the other processes that this one ends with an error; who is first prints it.

    Args:
      session: of this process.
      line: the error; empty if the first process says it. Of several processes with the same
        line, only the first one prints it.
      status: exit status for all of them.

    Returns:
      The status with which the run ends.
    """
    found = _ended(_LEAVING_SECONDS * 1000) if session.process else None
    if not session.process:
        _print(f"error: {line}")
    elif line and (found is None or found["line"] != line):
        _print(f"error: process {session.process}: {line}")
    if found is None:
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # Another one may be faster.
            said = {"line": line, "status": status}
            _runtime().client.key_value_set(_ENDED, json.dumps(said))
        found = {"status": status}
    session.status = found["status"]
    return found["status"]


def end(session: Session, status: int) -> None:
    """Ends the session; a process that has said that it ends with an error ends here.

    Args:
      session: of this process.
      status: exit status of this process, which all processes have if they came to their end.
    """
    aborts.flush()
    if session.status is not None:
        _wait_for_others()
        os._exit(status)
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # What a lost one had to do is done.
        jax.distributed.shutdown()
    aborts.forward(session)


def of_lost_process(error: BaseException | None) -> bool:
    """Returns whether an error may be there because another process is lost."""
    while error is not None:
        if isinstance(error, jax.errors.JaxRuntimeError | TimeoutError):
            return "RESOURCE_EXHAUSTED" not in str(error)
        if _OF_TALK.search(str(error)):  # Some are raised as errors of values.
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False


def wait_for_verdict() -> None:
    """Waits until the runtime knows which process is lost, and ends this one; or knows of none."""
    time.sleep(2 * HEARTBEAT_SECONDS - 5)


def _check(wanted: ExecutionConfig) -> None:
    """Refuses flags that contradict each other, and addresses that are none."""
    where, number, process = wanted.coordinator, wanted.num_processes, wanted.process_id
    if not where:
        seconds = wanted.join_seconds
        usual = seconds == ExecutionConfig.join_seconds
        found = {"num_processes": number or None, "process_id": process}
        for name, value in {**found, "join_seconds": None if usual else seconds}.items():
            if value is not None:
                raise UserError(
                    f"`{name}={value}` is for processes that share a run: give `coordinator`, too"
                )
        return
    if where != AUTO:
        host, _, port = where.rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
            raise UserError(
                f"`coordinator={where}` is no address: write HOST:PORT of process 0, or auto"
            )
        if not number or process is None:
            raise UserError(
                f"`coordinator={where}` needs `num_processes` and `process_id`, too; auto finds "
                "them where a scheduler says them"
            )
    if number and process is not None and process >= number:
        raise UserError(
            f"`process_id={process}` is out of range: {number} processes are 0 to {number - 1}"
        )


def _refuse_taken_port(where: str) -> None:
    """Raises if something else listens where process 0 shall; the runtime would share the port."""
    port = int(where.rpartition(":")[2])
    try:
        with socket.create_server(("", port)):  # Ports of a run that ended just now are free.
            pass
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise UserError(
                f"`coordinator={where}`: port {port} of this machine is taken "
                f"({error.strerror}): name another"
            ) from None


def _runtime() -> Any:
    """Returns JAX's distributed runtime; only this module and orbax use it directly."""
    from jax._src import distributed

    return distributed.global_state


def _wait_for_end(session: Session) -> None:
    """Ends this process when another one says that the run ends; runs in a thread of its own."""
    found = _ended(_FOREVER_MS)
    if found is None or session.status is not None:
        return
    time.sleep(1)  # The main thread may have another error to say.
    if session.status is None:
        session.status = found["status"]
        aborts.flush()
        _wait_for_others()
        os._exit(found["status"])


def _ended(milliseconds: int) -> dict[str, Any] | None:
    """Waits for the word of a process that ends with an error; None if there is none."""
    try:
        return json.loads(_runtime().client.blocking_key_value_get(_ENDED, milliseconds))
    except (jax.errors.JaxRuntimeError, AttributeError):  # In time, or the runtime has ended.
        return None


def _wait_for_others() -> None:
    """Lets all processes end at once: the others need process 0 to hear of it."""
    with contextlib.suppress(jax.errors.JaxRuntimeError, AttributeError):
        _runtime().client.wait_at_barrier(_LEAVING, _LEAVING_SECONDS * 1000)
    if _runtime().process_id == 0:
        time.sleep(0.5)


def _print(line: str) -> None:
    """Prints a line on standard error."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)
