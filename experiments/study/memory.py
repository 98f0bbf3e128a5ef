"""Whether the devices have enough memory for a run: checked before it starts."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.study.arm import Arm
from hasa_jax import machine
from hasa_jax.simulation import memory
from hasa_jax.simulation.memory import MemoryNeed
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial


@dataclasses.dataclass(frozen=True)
class Need:
    """What the seeds of one arm that share a program need.

    Attributes:
      mode: how it is executed.
      need: the memory.
      devices: the `jax.Device`s that it runs on.
    """

    mode: str
    need: MemoryNeed
    devices: Sequence[Any]


def need_of(
    program: Program,
    trials: Sequence[Trial],
    sizes_in_run: np.ndarray,
    *,
    num_rounds: int,
    reporting: Reporting,
) -> Need:
    """Returns what seeds that share a program need.

    Args:
      program: what runs.
      trials: the seeds.
      sizes_in_run: sizes that occur in the run, with repeats.
      num_rounds: rounds of the run.
      reporting: what is evaluated, and when.

    Returns:
      The need.
    """
    need = memory.memory_need(
        program, trials, sizes_in_run, num_rounds=num_rounds, reporting=reporting
    )
    return Need(program.execution.mode, need, memory.devices_of(program, len(trials)))


def lines_of(needs: Mapping[Arm, Need]) -> list[str]:
    """Says what a study needs: arms of equal needs in one line.

    Args:
      needs: by arm.

    Returns:
      A line for each need of a device, and one for the process: that of the arm which needs most.
    """
    groups: dict[tuple[str, str], list[Arm]] = collections.defaultdict(list)
    for arm, own in needs.items():
        groups[own.mode, own.need.describe()].append(arm)
    lines = [
        f"memory of a device for {_named(arms)}, {mode}: {text}"
        for (mode, text), arms in groups.items()
    ]
    most = max(needs.values(), key=lambda own: own.need.peak(own.devices))
    return [*lines, f"memory of the process: {most.need.describe_process(most.devices)}"]


def check_fits(needs: Mapping[Arm, Need]) -> None:
    """Refuses a study that does not fit.

    Args:
      needs: by arm.

    Raises:
      UserError: if an arm does not fit.
    """
    for own in needs.values():
        memory.check_fits(own.need, machine.available_bytes(own.devices[0]), own.devices)


def _named(arms: Sequence[Arm]) -> str:
    """Names arms by their methods, each with its policies."""
    policies: dict[str, list[str]] = collections.defaultdict(list)
    for arm in arms:
        policies[arm.method].append(arm.policy)
    return ", ".join(f"{method} ({', '.join(own)})" for method, own in policies.items())
