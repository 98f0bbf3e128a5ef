"""Whether the devices have enough memory for a run: checked before it starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.study.arm import Arm
from hasa_jax import machine
from hasa_jax.simulation import memory
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.writers import say


def check_memory(
    program: Program, trials: Sequence[Trial], arm: Arm, sizes_in_run: np.ndarray
) -> None:
    """Says what a device needs for seeds that share a program; refuses a run that does not fit.

    Args:
      program: what runs.
      trials: the seeds.
      arm: what they run.
      sizes_in_run: sizes that occur in the run, with repeats.

    Raises:
      UserError: if the run does not fit.
    """
    need = memory.memory_need(program, trials, sizes_in_run)
    what = f"{arm.method} ({arm.policy}), {program.execution.mode}"
    say(f"memory of a device for {what}: {need.describe()}")
    used = memory.devices_of(program, len(trials))
    memory.check_fits(need, machine.available_bytes(used[0]), used)
