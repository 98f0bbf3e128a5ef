"""This library and PyTorch in turns, round by round, on the same batches.

`python -m benchmarks.peers.compare --workload=titles --torch_python=/path/to/python`
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import processes
from benchmarks.rounds import add_engine_flags

_PEERS = {"titles": "benchmarks.peers.torch_titles", "cnn": "benchmarks.peers.torch_cnn"}
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def compare(given: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Runs both, each in processes of its own that wait while another one runs.

    Args:
      given: the flags.
      folder: an empty one, for the batches.

    Returns:
      Seconds of a round of both, medians and all, and the ratio of the medians; PyTorch's are
      those at the number of threads that it is fastest at.
    """
    batches = str(pathlib.Path(folder) / "batches.npz")
    spec = {
        "workload": given.workload,
        "rounds": 1,
        "client_block": given.client_block,
        "on_request": True,
        "batches": batches,
    }
    env = processes.environment(given.host_devices)
    peer = [given.torch_python, "-m", _PEERS[given.workload], f"--batches={batches}"]
    peer_env = {**env, "PYTHONPATH": str(_ROOT)}
    with contextlib.ExitStack() as stack:
        # Ours first: it writes the batches before it says that it is ready.
        turns = [stack.enter_context(processes.taking_turns(processes.measure_command(spec), env))]
        for threads in given.threads:
            command = [*peer, "--on_request", f"--threads={threads}"]
            turns.append(stack.enter_context(processes.taking_turns(command, peer_env)))
        seconds = [[turn() for turn in turns] for _ in range(given.repeats)]
    ours, *theirs = ([row[number] for row in seconds] for number in range(len(turns)))
    by_threads = dict(zip(given.threads, theirs, strict=True))
    fastest = min(by_threads, key=lambda threads: statistics.median(by_threads[threads]))
    medians = statistics.median(ours), statistics.median(by_threads[fastest])
    return {
        "workload": given.workload,
        "host_devices": given.host_devices,
        "ours_seconds": medians[0],
        "torch_seconds": medians[1],
        "ours_over_torch": medians[0] / medians[1],
        "torch_threads": fastest,
        "all_ours_seconds": ours,
        "all_torch_seconds": by_threads,
    }


def _check_torch(python: str) -> None:
    """Leaves with one line where an interpreter has no PyTorch, before anything is compiled."""
    try:
        command = [python, "-c", "import torch"]
        found = not subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode
    except OSError:
        found = False
    if not found:
        print(
            f"error: {python} has no PyTorch: name an interpreter that has it in --torch_python",
            file=sys.stderr,
        )
        sys.exit(2)


def main() -> None:
    """Compares, and prints one line of JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--workload", choices=sorted(_PEERS), default="titles")
    parser.add_argument("--torch_python", default=sys.executable, help="an interpreter with torch")
    parser.add_argument(
        "--threads",
        type=lambda text: [int(part) for part in text.split(",")],
        default=sorted({1, processes.cores()}),
        help="numbers of PyTorch's threads to try; by default one, and one a core",
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds of each")
    add_engine_flags(parser)
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file")
    given = parser.parse_args()
    _check_torch(given.torch_python)
    try:
        with tempfile.TemporaryDirectory() as folder:
            text = json.dumps(compare(given, folder))
    except processes.ProcessError as error:
        sys.exit(error.status)
    print(text)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
