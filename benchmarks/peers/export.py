"""Writes the batches of a round, for frameworks that do not have this library.

`python -m benchmarks.peers.export --workload=cnn --out=cnn.npz`
"""

from __future__ import annotations

import argparse
import json
import os

import numpy as np

from benchmarks.base import Engine, Workload, clients_of
from benchmarks.workloads import WORKLOADS
from hasa_jax.base import IGNORED
from hasa_jax.supernet.costs import parameter_count


def write(workload: Workload, path: str | os.PathLike[str]) -> None:
    """Writes the batches of round 0, in storage order, to an `.npz` file.

    The file holds what `benchmarks.peers.batches.Batches` lists, the batches of all clients one
    after the other and for each client its number of them, `steps`. Entries that only fill up the
    last batch of a client have no target.

    Args:
      workload: the workload.
      path: the file.
    """
    program, train = workload.program, workload.train
    clients, size = clients_of(workload, 0), program.training.batch_size
    offsets = np.asarray(train.offsets).tolist()
    inputs, targets, steps = [], [], []
    for client in clients.tolist():
        rows = np.arange(offsets[client], offsets[client + 1])
        steps.append(-(-len(rows) // size))
        filled = np.resize(rows, steps[-1] * size)
        own = np.asarray(train.targets)[filled].copy()
        own[len(rows) :] = IGNORED
        inputs.append(np.asarray(train.inputs)[filled])
        targets.append(own)
    model = program.model
    sizes = workload.sizes[clients].tolist()
    kept = [dict(program.extraction.shape(model, number).kept) for number in sizes]
    groups = sorted(model.groups)
    tokens = model.shapes.get("embedding")
    uniform = program.method.client_weights == "uniform"
    np.savez(
        path,
        inputs=np.concatenate(inputs).reshape(-1, size, *train.inputs.shape[1:]),
        targets=np.concatenate(targets).reshape(-1, size, *train.targets.shape[1:]),
        steps=np.array(steps),
        weights=np.ones(len(clients)) if uniform else train.num_examples[clients],
        groups=np.array(groups),
        kept=np.array([[own[group] for group in groups] for own in kept]),
        parameters=np.array([parameter_count(model, own) for own in kept]),
        full=np.array([model.groups[group] for group in groups]),
        full_parameters=parameter_count(model, model.groups),
        num_classes=train.num_classes,
        num_tokens=0 if tokens is None else tokens.shape[0],
    )


def main() -> None:
    """Writes the batches of `--workload` to `--out`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="titles")
    parser.add_argument("--out", required=True, help="an .npz file")
    given = parser.parse_args()
    write(WORKLOADS[given.workload](Engine()), given.out)
    print(json.dumps({"workload": given.workload, "batches": given.out}))


if __name__ == "__main__":
    main()
