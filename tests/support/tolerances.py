"""How far equal runs differ by the way they are computed: `python -m tests.support.tolerances`.

Prints, for every kind of model, the largest difference of any parameter after some rounds from
the run that trains one client after the other, sliced, on one device.
"""

import os

# Only a process that prints the table has not been given its devices yet.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import numpy as np
import optax

import hasa_jax as hj
from hasa_jax.simulation import cohorts
from tests.support import small

TOLERANCE = 1e-4
"""What no difference may exceed; parameters are about .1 to 1."""

NUM_CLIENTS, ROUNDS, RATE = 50, 2, 0.01
KINDS = ("perceptron", "lstm", "transformer", "cnn group", "resnet18 static")
REFERENCE = {"execution": "sliced", "client_block": 1, "devices": 1}
VARIATIONS = {
    "masked": {"execution": "masked"},
    "blocks of 5": {"client_block": 5},
    "blocks of 50": {"client_block": 50},
    "2 devices": {"devices": 2},
    "masked, blocks of 50, 2 devices": {
        "execution": "masked",
        "client_block": 50,
        "devices": 2,
    },
}


def train(kind, execution, client_block, devices):
    """Trains clients of many sizes and widths; returns the parameters."""
    sizes = 4 + np.arange(NUM_CLIENTS) * 7 % 9
    model, data = small.SUPERNETS[kind](), small.client_data(tuple(sizes), kind.split()[0])
    algorithm = hj.partial_training(
        model,
        execution=hj.EXECUTIONS[execution],
        batch_size=8,
        client_optimizer=optax.sgd(RATE),
        client_block=client_block,
        devices=devices,
    )
    finest = max(model.groups.values())
    allocation = hj.allocate(
        data,
        model,
        policy=hj.UNBUDGETED["levels"](levels=[1.0, 0.5, 0.25]),
        scores=np.zeros(NUM_CLIENTS),
        key=small.KEY,
        budgeted=False,
        w_min=1 / finest,
        w_max=1.0,
    )
    placed = [
        cohorts.draw(
            algorithm, data, allocation, small.KEY, 0, "examples", allocation.units, round=round
        )
        for round in range(ROUNDS)
    ]
    start = algorithm.init(small.KEY)
    return hj.scan_rounds(algorithm, start, data, cohorts.stacked(placed))[0].params


def differences(kind):
    """Returns the largest difference of each variation from the reference."""
    reference = train(kind, **REFERENCE)
    moved = small.max_difference(
        reference, small.SUPERNETS[kind]().init(hj.keys.address(small.KEY, hj.keys.Stream.INIT))
    )
    assert moved > 0.001, "a run that moves nothing shows nothing"
    return {
        name: small.max_difference(reference, train(kind, **REFERENCE | options))
        for name, options in VARIATIONS.items()
    }


def main():
    """Prints the table."""
    print(f"| model | {' | '.join(VARIATIONS)} |")
    print(f"|---|{'---|' * len(VARIATIONS)}")
    for kind in KINDS:
        cells = [f"{value:.1e}" for value in differences(kind).values()]
        print(f"| {kind} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
