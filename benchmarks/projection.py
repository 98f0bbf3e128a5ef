"""The cost of a round on paper: work, messages and memory of a device, for any number of devices.

`python -m benchmarks.projection --devices=1,8,64,256 --cohort=2560 --flops=1e14 --bandwidth=1e11`
prints CSV. `HASA_DATA_DIR` names the folder of the titles; without it they are synthetic.
"""

from __future__ import annotations

import argparse
import csv
import sys
from typing import NamedTuple

import jax
import numpy as np

from benchmarks import base
from benchmarks.scaling import numbers
from benchmarks.workloads import WORKLOADS
from hasa_jax.simulation import cohorts
from hasa_jax.supernet import costs

_PASSES = 3
"""A training step costs about as much as so many forward passes."""


class Cost(NamedTuple):
    """What a round costs a device.

    Attributes:
      flops: of training, two for a multiply-accumulate.
      sent: bytes that a ring of devices sends and gets to add up the sums.
      data: bytes of examples that are read for it.
      parameters: bytes of the supernet, divided by devices along `model`.
    """

    flops: float
    sent: float
    data: float
    parameters: float


class Totals(NamedTuple):
    """What a round costs all devices together, from shapes.

    Attributes:
      flops: of training.
      message: bytes of the sums.
      data: bytes of the cohort's examples.
      parameters: bytes of the supernet.
    """

    flops: float
    message: int
    data: float
    parameters: int


def totals_of(workload: base.Workload, cohort: int) -> Totals:
    """Counts a round of a cohort whose clients are like those of a workload.

    Args:
      workload: supplies model, sizes and examples.
      cohort: clients of a round.

    Returns:
      The totals.
    """
    program, train = workload.program, workload.train
    relative = costs.cost_table(program.model, program.extraction, "macs")[workload.sizes]
    macs = costs.mac_count(program.model, program.model.groups)
    examples = np.asarray(train.num_examples)
    of_client = 2 * _PASSES * macs * float((relative * examples).mean())
    sizes = cohorts.sizes_in_run([workload.trial.allocation], 1)
    layout = cohorts.training_layout(program, [workload.trial], sizes)
    bytes_of_client = (train.inputs.nbytes + train.targets.nbytes) / len(examples)
    return Totals(
        flops=cohort * of_client,
        message=base.message_bytes(workload, layout),
        data=cohort * bytes_of_client,
        parameters=sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(program.model.shapes)),
    )


def cost_of(totals: Totals, clients: int, model: int = 1) -> Cost:
    """Divides a round among devices.

    A ring of `P` devices sends `2 (P - 1) / P` times the message: each device sends every part of
    it once to be summed, and once when it is summed.

    Args:
      totals: of the round.
      clients: devices that share the cohort, `P`.
      model: devices that share the parameters.

    Returns:
      The cost of a device.
    """
    return Cost(
        flops=totals.flops / (clients * model),
        sent=2 * (clients - 1) / clients * totals.message / model,
        data=totals.data / clients,
        parameters=totals.parameters / model,
    )


def arguments() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--workload", default="titles,cnn,resnet18,transformer")
    parser.add_argument("--devices", type=numbers(int), default=[1, 8, 64, 256])
    parser.add_argument("--cohort", type=int, default=2560, help="clients of a round")
    parser.add_argument("--flops", type=float, default=1e14, help="a device, a second")
    parser.add_argument("--bandwidth", type=float, default=1e11, help="bytes a device, a second")
    return parser.parse_args()


def main() -> None:
    """Prints a line of CSV for each workload and number of devices."""
    given = arguments()
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(
        [
            *("workload", "devices", "clients_per_round", "flops_per_second", "bytes_per_second"),
            *("gigaflops", "megabytes_sent", "megabytes_read", "training_ms", "sum_ms"),
            "even_clients",
        ]
    )
    for name in given.workload.split(","):
        totals = totals_of(WORKLOADS[name](base.Engine()), given.cohort)
        for devices in given.devices:
            cost = cost_of(totals, devices)
            compute, sums = cost.flops / given.flops, cost.sent / given.bandwidth
            # Below so many clients a device, the sum takes longer than the training.
            even = sums / (totals.flops / given.cohort / given.flops)
            writer.writerow(
                [
                    *(name, devices, given.cohort, given.flops, given.bandwidth),
                    *(1e-9 * cost.flops, 1e-6 * cost.sent, 1e-6 * cost.data),
                    *(1e3 * compute, 1e3 * sums, even),
                ]
            )


if __name__ == "__main__":
    main()
