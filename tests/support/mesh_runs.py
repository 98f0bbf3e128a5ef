"""Trains the same rounds on several meshes, in one process or as one of several.

`python -m tests.support.mesh_runs KIND MODE DEVICES OUT MESH...` writes the parameters of each
mesh to a file. With `--num_processes`, `--process_id` and `--coordinator` it is one of several
processes, of which the first writes.
"""

from __future__ import annotations

import argparse

import jax
import numpy as np


def join(given: argparse.Namespace) -> None:
    """Makes devices of the CPU, and joins the other processes."""
    jax.config.update("jax_num_cpu_devices", given.devices)
    if given.num_processes > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(given.coordinator, given.num_processes, given.process_id)


def main() -> None:
    """Trains on every mesh."""
    parser = argparse.ArgumentParser()
    for name in ("kind", "mode"):
        parser.add_argument(name)
    parser.add_argument("devices", type=int)
    parser.add_argument("out")
    parser.add_argument("meshes", nargs="+")
    parser.add_argument("--coordinator")
    for name in ("num_processes", "process_id"):
        parser.add_argument(f"--{name}", type=int, default=1)
    given = parser.parse_args()
    join(given)
    # It makes arrays, which must come after the devices.
    from tests.support.mesh_trial import parameters

    found = {mesh: parameters(given.kind, given.mode, mesh) for mesh in given.meshes}
    if jax.process_index() == 0:
        np.savez(given.out, **found)


if __name__ == "__main__":
    main()
