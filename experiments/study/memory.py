"""Whether the devices have enough memory for a run: checked before it starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.study.arm import Arm
from hasa_jax import machine
from hasa_jax.simulation import memory
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.writers import say


def check_memory(
    program: Program,
    trials: Sequence[Trial],
    arm: Arm,
    sizes_in_run: np.ndarray,
    *,
    num_rounds: int,
    reporting: Reporting,
) -> None:
    """Says what seeds that share a program need; refuses a run that does not fit.

    Args:
      program: what runs.
      trials: the seeds.
      arm: what they run.
      sizes_in_run: sizes that occur in the run, with repeats.
      num_rounds: rounds of the run.
      reporting: what is evaluated, and when.

    Raises:
      UserError: if the run does not fit.
    """
    need = memory.memory_need(
        program, trials, sizes_in_run, num_rounds=num_rounds, reporting=reporting
    )
    what = f"{arm.method} ({arm.policy}), {program.execution.mode}"
    used = memory.devices_of(program, len(trials))
    say(f"memory of a device for {what}: {need.describe()}")
    say(f"memory of the process: {need.describe_process(used)}")
    memory.check_fits(need, machine.available_bytes(used[0]), used)
