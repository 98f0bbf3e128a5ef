"""Rounds of a peer, in an environment that has it; `benchmarks.peers.compare` starts it.

`python -m benchmarks.peers.run --peer=torch --workload=cnn --batches=cnn.npz --setting=2`
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import os
import sys

from benchmarks import turns
from benchmarks.peers.known import PEERS, WORKLOADS


def main() -> None:
    """Runs rounds of `--peer` on the batches that `benchmarks.peers.export` has written."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--peer", choices=PEERS, required=True)
    parser.add_argument("--workload", choices=WORKLOADS, required=True)
    parser.add_argument("--batches", required=True, help="a file that peers.export has written")
    parser.add_argument("--setting", required=True, help="see benchmarks/peers/known.py")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that are timed")
    parser.add_argument("--on_request", action="store_true", help="rounds for each line read")
    given = parser.parse_args()
    peer = PEERS[given.peer]
    for package in peer.packages:
        if importlib.util.find_spec(package) is None:
            print(f"error: {sys.executable} has no {package}", file=sys.stderr)
            sys.exit(2)
    os.environ.update(peer.variables)
    report = functools.partial(turns.report, repeats=given.repeats, on_request=given.on_request)
    importlib.import_module(peer.module).run(given.workload, given.batches, given.setting, report)


if __name__ == "__main__":
    main()
