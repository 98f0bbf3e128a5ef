"""Trains the same rounds on several meshes, in one process or as one of several.

`python -m tests.support.mesh_runs KIND MODE DEVICES OUT MESH...` writes the parameters of each
mesh to a file. With `--num_processes`, `--process_id` and `--coordinator` it is one of several
processes, of which the first writes.
"""

from __future__ import annotations

import argparse

import jax
import numpy as np
import optax

ROUNDS = 5


def join(given: argparse.Namespace) -> None:
    """Makes devices of the CPU, and joins the other processes."""
    jax.config.update("jax_num_cpu_devices", given.devices)
    if given.num_processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(given.coordinator, given.num_processes, given.process_id)


def parameters(kind: str, mode: str, mesh: str) -> np.ndarray:
    """Trains clients of many sizes for some rounds; returns all parameters in one vector."""
    import hasa_jax as hj
    from hasa_jax.execution.sharding import on_host
    from tests.support import small

    dataset = small.dataset((7, 30, 12, 3, 9, 22, 5, 8), kind.split()[0])
    program = small.program(
        small.supernet(kind),
        dataset.train,
        mode,
        optimizer=optax.sgd(0.02),
        mesh=mesh,
        batch_size=8,
    )
    # At a quarter, norms of these small models are over two values, so they are about signs, and
    # rounding grows twentyfold in a round.
    policy = hj.POLICIES["levels"](levels=[1.0, 0.5])
    trial = small.trial(program, dataset, policy=policy)
    reporting = hj.Reporting(eval_every=ROUNDS)
    (history,) = hj.run_trials(program, [trial], num_rounds=ROUNDS, reporting=reporting)
    leaves = jax.tree.leaves(on_host(history.state.params))
    own = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(history.state.params))
    return np.concatenate([[own], *(np.ravel(leaf) for leaf in leaves)])


def main() -> None:
    """Trains on every mesh; the first number of a result is the bytes of a device's parameters."""
    parser = argparse.ArgumentParser()
    for name in ("kind", "mode"):
        parser.add_argument(name)
    parser.add_argument("devices", type=int)
    parser.add_argument("out")
    parser.add_argument("meshes", nargs="+")
    parser.add_argument("--coordinator")
    for name in ("num_processes", "process_id"):
        parser.add_argument(f"--{name}", type=int)
    given = parser.parse_args()
    join(given)
    found = {mesh: parameters(given.kind, given.mode, mesh) for mesh in given.meshes}
    if jax.process_index() == 0:
        np.savez(given.out, **found)


if __name__ == "__main__":
    main()
