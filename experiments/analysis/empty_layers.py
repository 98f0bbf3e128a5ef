"""Which layers FIARSE's smallest subnets leave without a weight before anything is trained.

`python -m experiments.analysis.empty_layers` draws the networks of FIARSE's studies and prints CSV.
Its lines are in experiments/results/fiarse_four/empty_layers.csv.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence

import jax
import numpy as np

import hasa_jax as hj
from hasa_jax.allocation.connection import Connection, connection
from hasa_jax.allocation.rounding import sizes_of_levels
from hasa_jax.base import FederatedDataset
from hasa_jax.supernet import costs, initial
from hasa_jax.supernet.types import ModelSpec

LEVELS = (1.0, 0.25, 0.0625, 0.015625)
"""Sizes of FIARSE's study, as shares of the parameters."""

MODELS: Mapping[str, ModelSpec] = {
    "cnn": hj.models.cnn(hidden=16),
    "resnet18": hj.models.resnet18(hidden=8),
}
"""The networks, by name: that of the first study and that of the present one."""


def connections(
    spec: ModelSpec, dataset: FederatedDataset, levels: Sequence[float], key: jax.Array
) -> list[Connection]:
    """Looks at the subnets of freshly drawn parameters.

    Args:
      spec: the network, with batch norm and without a scaler, as FIARSE has it.
      dataset: whose shapes the network has.
      levels: shares of the parameters.
      key: for the parameters.

    Returns:
      What is connected at each level.
    """
    model = spec.bind(dataset, norm="batch", scaler="none")
    kept = hj.extraction.importance(levels=tuple(levels))
    params = initial.initial_params(model, key)
    table = costs.cost_table(model, kept, "params")
    sizes = sizes_of_levels(np.array(levels), "params", table)
    return [
        connection(model, kept, params, int(size), jax.random.fold_in(key, 1)) for size in sizes
    ]


def main() -> None:
    """Prints a line of CSV for each network and size."""
    key = jax.random.key(0)
    dataset = hj.datasets.synthetic_images(key, num_images=60, image_size=16, num_clients=3)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["model", "level", *Connection._fields])
    for name, spec in MODELS.items():
        found = connections(spec, dataset, LEVELS, key)
        writer.writerows([name, level, *own] for level, own in zip(LEVELS, found, strict=True))


if __name__ == "__main__":
    main()
