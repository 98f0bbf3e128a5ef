"""How far equal runs differ by the way they are computed: `python -m tests.support.tolerances`.

Prints CSV: for every kind of model, or for those that are named, the largest difference of any
parameter after some rounds from the run that trains one client after the other, sliced, on one
device.
"""

import os

# Only a process that prints the table has not been given its devices yet.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import csv
import dataclasses
import sys

import numpy as np
import optax

import hasa_jax as hj
from hasa_jax.simulation import cohorts
from tests.support import small

NUM_CLIENTS, ROUNDS = 50, 2
SGD = optax.sgd(0.01)
KINDS = ("perceptron", "lstm", "transformer", "cnn group", "resnet18 static")
TOLERANCES = {**dict.fromkeys(KINDS, 1e-4), "resnet18 static": 2e-3}
"""What no difference may exceed; parameters are about .1 to 1. The last stage of ResNet-18 has one
pixel of these images, and norms over a handful of values amplify rounding."""
REFERENCE = hj.Execution("sliced", client_block=1, mesh="clients:1")
VARIATIONS = {
    "masked": {"mode": "masked"},
    "blocks of 5": {"client_block": 5},
    "blocks of 50": {"client_block": 50},
    "2 devices": {"mesh": "clients:2"},
    "masked, blocks of 50, 2 devices": {"mode": "masked", "client_block": 50, "mesh": "clients:2"},
}


def train(kind, execution):
    """Trains clients of many numbers of examples and sizes; returns the parameters."""
    examples = tuple(4 + np.arange(NUM_CLIENTS) * 7 % 9)
    dataset = small.dataset(examples, kind.split()[0])
    program = small.program(
        small.supernet(kind),
        dataset.train,
        execution.mode,
        optimizer=SGD,
        client_block=execution.client_block,
        mesh=execution.mesh,
        batch_size=8,
    )
    policy = hj.POLICIES["levels"](levels=[1.0, 0.5, 0.25])
    trial = small.trial(program, dataset, policy=policy)
    sizes = cohorts.sizes_in_run([trial.allocation], ROUNDS)
    layout = cohorts.training_layout(program, [trial], sizes)
    drawn = [cohorts.draw(program, layout, trial, round) for round in range(ROUNDS)]
    start = small.initial(program)
    return hj.scan_rounds(program, start, dataset.train, cohorts.stack(drawn))[0].params


def differences(kind):
    """Returns the largest difference of each variation from the reference."""
    reference = train(kind, REFERENCE)
    model = small.supernet(kind)
    start = model.init(hj.keys.address(small.KEY, hj.keys.Stream.INIT))
    moved = small.max_difference(reference, start)
    assert moved > 0.001, "a run that moves nothing shows nothing"
    return {
        name: small.max_difference(
            reference, train(kind, dataclasses.replace(REFERENCE, **changes))
        )
        for name, changes in VARIATIONS.items()
    }


def main():
    """Prints a line for each kind."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["model", *VARIATIONS])
    for kind in sys.argv[1:] or KINDS:
        writer.writerow([kind, *differences(kind).values()])
        sys.stdout.flush()


if __name__ == "__main__":
    main()
