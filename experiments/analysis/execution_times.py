"""Masked against sliced: seconds of a round, and how far their parameters differ."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Set

import jax
import jax.numpy as jnp
import numpy as np

from experiments.config import RunConfig, with_fields
from experiments.study.arm import Arm
from experiments.study.block import Block, blocks_of
from experiments.study.data import build_dataset
from experiments.study.method import method_of, parts_of
from experiments.study.program import build_allocation, build_program
from hasa_jax.base import ClientData, FederatedDataset, Params, ServerState
from hasa_jax.execution.layout import Cohort
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round import init_state, scan_rounds
from hasa_jax.simulation.trial import Trial

_MODES = ("masked", "sliced")
_REPEATS = 5
_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Round:
    """The first round of a run.

    Attributes:
      program: what runs.
      state: the server's state before it.
      data: training examples of all clients, on the device.
      cohort: its clients, stacked `[1, ...]`.
    """

    program: Program
    state: ServerState
    data: ClientData
    cohort: Cohort

    def run(self) -> Params:
        """Runs it to its end; returns the supernet afterwards."""
        ended = scan_rounds(self.program, self.state, self.data, self.cohort)
        return jax.block_until_ready(ended)[0].params


def first_round(config: RunConfig, dataset: FederatedDataset) -> Round:
    """Prepares the first round of a method.

    Args:
      config: the configuration; `execution` is masked or sliced.
      dataset: the data set of its seed.

    Returns:
      The round.
    """
    name, block = config.method.method, _block_of(config)
    arm = Arm(name, parts_of(config, name).policy)
    program = build_program(config, dataset, method_of(config, *arm, dataset.client_names))
    allocation = build_allocation(config, program, dataset, arm, block)
    trial = Trial(dataset, allocation, block.key)
    sizes = cohorts.sizes_in_run([allocation], 1)
    layout = cohorts.training_layout(program, [trial], sizes)
    cohort = cohorts.stack([cohorts.draw(program, layout, trial, 0)])
    data = jax.device_put(dataset.train)
    return Round(program, init_state(program, block.key), data, cohort)


def _block_of(config: RunConfig) -> Block:
    """Returns the seed, or the first of its folds."""
    return blocks_of([config.comparison.seed], config.data.eval_folds)[0]


def report(config: RunConfig, given: Set[str]) -> None:
    """Times both modes of execution in one process, in turns, and prints the result.

    Args:
      config: the configuration.
      given: fields that the user gave.

    Raises:
      UserError: for a configuration that cannot run.
    """
    dataset = build_dataset(config.data, given, *_block_of(config))
    rounds = {
        mode: first_round(with_fields(config, {"execution": mode}), dataset) for mode in _MODES
    }
    ends = {mode: own.run() for mode, own in rounds.items()}  # Compiles, too.
    seconds: dict[str, list[float]] = {mode: [] for mode in rounds}
    for _ in range(_REPEATS):
        for mode, own in rounds.items():
            began = time.perf_counter()
            own.run()
            seconds[mode].append(time.perf_counter() - began)
    medians = {mode: statistics.median(values) for mode, values in seconds.items()}
    for mode, values in seconds.items():
        print(f"{mode}: median {medians[mode]:.2f} s a round, {np.round(values, 2).tolist()}")
    pairs = jax.tree.map(lambda a, b: jnp.abs(a - b).ravel(), ends["masked"], ends["sliced"])
    differences = jnp.concatenate(jax.tree.leaves(pairs))
    print(f"sliced / masked: {medians['sliced'] / medians['masked']:.3f}")
    print(
        f"parameters after one round: largest difference {differences.max():.1e}, "
        f"{int((differences > _TOLERANCE).sum())} of {differences.size} above {_TOLERANCE:g}"
    )
