"""Writes two tracked runs: `python -m tests.support.tracked NAME FOLDER ROUND... [kill]`.

With `kill`, the process is killed before it can close anything.
"""

import os
import pathlib
import signal
import sys

from hasa_jax.simulation.tracking import STORES, Tracker

ARMS = (
    {"method": "hasa", "policy": "uniform", "extraction": "prefix", "aggregation": "full"},
    {"method": "../../x\x1b\n", "policy": "hasa@entropy", "extraction": "prefix"},
)
PARAMETERS = {"client_lr": 0.1, "dynamic": False, "levels": (1.0, 0.5), "num_rounds": 6}


def number(arm, round):
    """The accuracy of an arm after a round."""
    return (arm + 1) / 3 + round


def write(name, folder, rounds, say, end=lambda: None):
    """Gives the records of some rounds to a tracker; returns what it missed."""
    own = Tracker(name, STORES[name](), pathlib.Path(folder) / name, PARAMETERS, 6, say)
    for arm, front in enumerate(ARMS):
        for round in rounds:
            labels = {**front, "seed": 2, "fold": 0, "round": round}
            own.write("summary", [{**labels, "mean_accuracy": number(arm, round)}])
            own.write("timings", [{**labels, "train_seconds": 0.1 * round}])
    end()
    own.close()
    return own.problems()


if __name__ == "__main__":
    *given, last = sys.argv[1:]
    end = (lambda: os.kill(os.getpid(), signal.SIGKILL)) if last == "kill" else (lambda: None)
    own = given[2:] if last == "kill" else [*given[2:], last]
    found = write(*given[:2], list(map(int, own)), print, end)
    if found:
        print(found)
