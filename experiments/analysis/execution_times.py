"""Masked against sliced: seconds a round, and how far their parameters part.

`python -m experiments.time_executions --flagfile=experiments/configs/titles.flags ...`
"""

from __future__ import annotations

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from experiments import flags
from experiments.study import build, data
from hasa_jax import scan_rounds
from hasa_jax.simulation import cohorts

_REPEATS = 5
_TOLERANCE = 1e-4


def main() -> None:
    """Times `--method` on `--seed` in both execution modes, in one process, in turns."""
    method, seed = build.build_method(flags.FLAGS.method), flags.FLAGS.seed
    dataset = data.build_dataset(seed)
    train = jax.device_put(dataset.train)
    rounds, ends = {}, {}
    for name in ("masked", "sliced"):
        algorithm = build.build_algorithm(dataset, method, name)
        allocation = build.build_allocation(dataset, algorithm, method.policy, seed)
        possible = cohorts.possible_units(allocation, 1)
        key = jax.random.key(seed)
        cohort = cohorts.draw(algorithm, dataset.train, allocation, key, 0, "examples", possible, 0)
        cohort = cohorts.stacked([cohort])
        start = algorithm.init(jax.random.key(seed))

        def one_round(algorithm=algorithm, start=start, cohort=cohort):
            return jax.block_until_ready(scan_rounds(algorithm, start, train, cohort))[0]

        ends[name] = one_round().params  # Compiles too.
        rounds[name] = one_round
    seconds: dict[str, list[float]] = {name: [] for name in rounds}
    for _ in range(_REPEATS):
        for name, one_round in rounds.items():
            began = time.perf_counter()
            one_round()
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        print(f"{name}: median {medians[name]:.2f} s a round, {np.round(values, 2).tolist()}")
    pairs = jax.tree.map(lambda a, b: jnp.abs(a - b).ravel(), ends["masked"], ends["sliced"])
    differences = jnp.concatenate(jax.tree.leaves(pairs))
    print(f"sliced / masked: {medians['sliced'] / medians['masked']:.3f}")
    print(
        f"parameters after one round: largest difference {differences.max():.1e}, "
        f"{int((differences > _TOLERANCE).sum())} of {differences.size} above {_TOLERANCE:g}"
    )
