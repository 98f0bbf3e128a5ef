"""Writes two tracked runs: `python -m tests.support.tracked NAME FOLDER [START] ROUND... [kill]`.

A run that goes on has the same START; another one is `settings`, of other settings, or the seconds
of a run that begins again. With `kill`, the process is killed before it can close anything.
"""

import os
import pathlib
import signal
import sys

from hasa_jax.simulation.tracking import STORES, Tracker
from hasa_jax.simulation.tracking.numbers import run_name

ARMS = (
    {"method": "hasa", "policy": "uniform", "extraction": "prefix", "aggregation": "full"},
    {"method": "../../x\x1b\n", "policy": "hasa@entropy", "extraction": "prefix"},
)
PARAMETERS = {"client_lr": 0.1, "dynamic": False, "levels": (1.0, 0.5), "num_rounds": 6}


def number(arm, round):
    """The accuracy of an arm after a round."""
    return (arm + 1) / 3 + round


def write(name, folder, rounds, say, end=lambda: None, start="0.1"):
    """Gives the records of some rounds to a tracker; returns what it missed."""
    own = Tracker(name, STORES[name](), pathlib.Path(folder) / name, PARAMETERS, 6, say)
    other = start == "settings"
    seconds = 0.1 if other else float(start)
    own.identify({run_name({**front, "seed": 2}): f"digest {other}" for front in ARMS})
    for arm, front in enumerate(ARMS):
        for round in rounds:
            labels = {**front, "seed": 2, "fold": 0, "round": round}
            own.write("summary", [{**labels, "mean_accuracy": number(arm, round)}])
            own.write("timings", [{**labels, "train_seconds": seconds * round}])
    end()
    own.close()
    return own.problems()


if __name__ == "__main__":
    name, folder, *own = sys.argv[1:]
    killed = own[-1] == "kill"
    end = (lambda: os.kill(os.getpid(), signal.SIGKILL)) if killed else (lambda: None)
    start = "0.1" if own[0].isdigit() else own[0]
    rounds = [int(each) for each in own if each.isdigit()]
    if found := write(name, folder, rounds, print, end, start):
        print(found)
