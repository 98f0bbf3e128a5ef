"""Several processes that run a script together on loopback, with what they print."""

import signal
import socket
import subprocess
import sys
import time

from tests.support.scripts import ROOT, Done, environment_of

WITHIN = 150
"""Seconds in which a set of small processes has ended."""


def free_port():
    """Returns a port of this machine that nothing listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Together:
    """Processes of one run; a context manager that leaves none of them behind.

    Args:
      module: what they run, such as `experiments.train`.
      number: how many processes.
      *arguments: of all of them.
      own: further arguments of some, by their number.
      scheduler: variables that a scheduler sets, by the number of the process, where it says which
        process is which.
    """

    def __init__(self, module, number, *arguments, own=None, scheduler=None):
        where = f"--coordinator=127.0.0.1:{free_port()}"
        self.processes = []
        for process in range(number):
            flags = [where, f"--num_processes={number}", f"--process_id={process}"]
            flags = flags if scheduler is None else ["--coordinator=auto"]
            flags += [*map(str, arguments), *(own or {}).get(process, [])]
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", module, *flags],
                    cwd=ROOT,
                    env=environment_of() | (scheduler(process) if scheduler else {}),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def send(self, process, number=signal.SIGKILL):
        """Sends a signal to one of them."""
        self.processes[process].send_signal(number)

    def wait(self, within=WITHIN):
        """Returns what each of them leaves behind, once all have ended."""
        ends = time.monotonic() + within
        done = []
        for process in self.processes:
            out, err = process.communicate(timeout=max(1, ends - time.monotonic()))
            done.append(Done(process.returncode, out, err))
        return done


def run_together(module, number, *arguments, own=None, scheduler=None):
    """Runs processes to their end."""
    with Together(module, number, *arguments, own=own, scheduler=scheduler) as processes:
        return processes.wait()
