"""Processes of the scripts without the wait for imports: forks of one that has imported them.

A fork happens before JAX starts anything, so what follows is what a fresh process would do.
"""

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

COMPILES_QUICKLY = (
    "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true --xla_cpu_parallel_codegen_split_count=1"
)
"""Compiling small programs is most of the suite's time; this is a fifth of it. Scripts whose
numbers are tested optimise fully. Level 0 needs code in one part: jaxlib 0.10.2 passes vectors
from one part to another wrongly, and gets the gradients of norms wrong.
"""
SCRIPTS = (
    "benchmark",
    "by_size",
    "compare",
    "need",
    "partition_report",
    "plots",
    "sweep",
    "tables",
    "time_executions",
    "train",
)


class Process:
    """A script that runs; one at a time in each environment.

    Attributes:
      pid: its process.
      output: the file that it prints to.
    """

    def __init__(self, script, arguments, *, cwd, environment):
        self._script, self._arguments = script, arguments
        # The name of the test is in there, and is nothing to the script.
        kept = {name: value for name, value in environment.items() if not name.startswith("PYTEST")}
        self._server = _server(tuple(sorted(kept.items())))
        self._folder = Path(tempfile.mkdtemp(prefix="hasa_jax-fork-"))
        request = {
            "script": script,
            "arguments": arguments,
            "cwd": str(cwd),
            "folder": str(self._folder),
        }
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        self.pid = int(self._server.stdout.readline())
        self.output = self._folder / "out"

    def running(self):
        """Whether the script has not ended."""
        return not (self._folder / "status").exists()

    def send(self, number):
        """Sends a signal, if the script has not ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait_for(self, text):
        """Waits until the script has printed a text, or ended."""
        while self.running() and text not in self.output.read_text(encoding="utf-8"):
            time.sleep(0.001)

    def wait(self):
        """Waits for the end; returns what `subprocess.run` would."""
        status = int(self._server.stdout.readline())
        printed = [(self._folder / name).read_text(encoding="utf-8") for name in ("out", "err")]
        shutil.rmtree(self._folder)
        return subprocess.CompletedProcess([self._script, *self._arguments], status, *printed)


@functools.cache
def _server(environment):
    """Starts the process that is forked, in an environment given as items."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forks"],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.__exit__, None, None, None)  # No more lines: it ends.
    return server


def _become(request):
    """Turns this process into one that runs the script."""
    for number, name in ((1, "out"), (2, "err")):
        path = os.path.join(request["folder"], name)
        os.dup2(os.open(path, os.O_WRONLY), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    # Whoever starts the tests in the background may have had SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    module = sys.modules[f"experiments.{request['script']}"]
    sys.argv = [module.__file__, *request["arguments"]]
    module.start()


def _serve():
    """Forks for every line of standard input; answers with the process, then its exit status."""
    warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)
    for script in SCRIPTS:
        __import__(f"experiments.{script}")
    for line in sys.stdin:
        request = json.loads(line)
        folder = Path(request["folder"])
        for name in ("out", "err"):
            (folder / name).touch()  # A process that is killed at once has printed nothing.
        child = os.fork()
        if not child:
            _become(request)
            sys.exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        (folder / "status").touch()
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
