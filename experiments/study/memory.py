"""Whether the devices have room for a run: told before it starts."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from experiments.flags import FLAGS
from experiments.study import build
from experiments.study.arm import Arm
from hasa_jax import Allocation, FederatedAlgorithm, FederatedDataset
from hasa_jax.execution import seeds as together
from hasa_jax.simulation import memory, streaming
from hasa_jax.simulation.cohorts import draw
from hasa_jax.simulation.writers import say


def check_memory(
    algorithm: FederatedAlgorithm,
    dataset: FederatedDataset,
    allocations: Sequence[Allocation],
    arm: Arm,
    possible: np.ndarray,
) -> None:
    """Says what a device needs for a group of seeds; refuses a run that does not fit.

    Args:
      algorithm: what runs.
      dataset: that of the first seed.
      allocations: every client's width, for each seed that shares the program.
      arm: what to call it.
      possible: sizes that the program must run, with repeats.

    Raises:
      UserError: if it does not fit.
    """
    trials = len(allocations)
    cohort = draw(
        algorithm,
        dataset.train,
        allocations[0],
        jax.random.key(FLAGS.seed),
        FLAGS.clients_per_round,
        build.build_method(arm.method).client_weights,
        possible,
        0,
        alone=trials > 1,
    )
    splits = [dataset.train, dataset.validation, dataset.test]
    if FLAGS.stream:
        streaming.check(algorithm.model)
        clients = streaming.clients_of(cohort)
        room = int(dataset.train.num_examples[clients].sum())
        splits = [streaming.subset(dataset.train, clients, room)] * 2
    # Devices share a cohort, or take a share of the seeds.
    sharing = together.sharing(algorithm.devices, trials) if trials > 1 else algorithm.devices
    used = jax.devices()[:sharing]
    each = trials // sharing if trials > 1 else 1
    need = memory.memory_need(algorithm, splits, cohort, each)
    say(f"memory of a device for {arm.method} ({arm.policy}): {need.describe()}")
    memory.check_fits(need, memory.available_bytes(used[0]), used)
