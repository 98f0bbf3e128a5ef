"""Saves and reads a small state in several processes: `python -m tests.support.saves`."""

import argparse
import sys

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from hasa_jax.simulation.checkpoint import Checkpoints

IDENTITY = {"settings": "small"}


def state(devices):
    """A state of arrays that are shared by devices, on all of them, and on the host."""
    mesh = Mesh(np.array(devices), ("model",), axis_types=(AxisType.Auto,))

    def placed(values, *spec):
        values = np.asarray(values)
        sharding = NamedSharding(mesh, PartitionSpec(*spec))
        return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

    generator = np.random.default_rng(0)
    key = jax.random.key(3)
    return {
        "shared": placed(generator.normal(size=(16, 3)).astype(np.float32), "model"),
        "everywhere": placed(generator.normal(size=(5,)).astype(np.float32)),
        "key": jax.random.wrap_key_data(placed(jax.random.key_data(key))),
        "round": placed(np.int32(7)),
        "host": np.arange(3),
    }


def numbers_of(tree):
    """Returns the numbers of this process's parts, as text."""
    plain = [
        jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        for x in jax.tree.leaves(tree)
    ]
    parts = [
        [part.data for part in x.addressable_shards] if isinstance(x, jax.Array) else [x]
        for x in plain
    ]
    return [np.asarray(part).tobytes().hex() for own in parts for part in own]


def main(argv):
    """Saves the state and reads it, or reads only; prints what came of it."""
    parser = argparse.ArgumentParser()
    for name in ("coordinator", "folder"):
        parser.add_argument(f"--{name}")
    for name in ("num_processes", "process_id"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--read", action="store_true")
    args = parser.parse_args(argv)
    jax.config.update("jax_num_cpu_devices", 1)
    jax.distributed.initialize(args.coordinator, args.num_processes, args.process_id)
    own, said = state(jax.devices()), []
    checkpoints = Checkpoints(args.folder, IDENTITY, every=1, say=said.append)
    if not args.read:
        for round in (1, 2):
            checkpoints.save(round, own, [[{"round": r}] for r in range(round)])
    checkpoints.close()
    saved = Checkpoints(args.folder, IDENTITY, every=1, say=said.append).latest(own)
    same = numbers_of(saved.states) == numbers_of(own)
    places = jax.tree.map(lambda x: getattr(x, "sharding", None), (saved.states, own))
    print(saved.round, len(saved.record), same, places[0] == places[1], len(said))
    jax.distributed.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
