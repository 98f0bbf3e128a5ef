"""Arms whose policy would measure, in runs that end before the first measurement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.study.arm import Arm
from hasa_jax.simulation.trial import Trial


def unmeasured(trials: Mapping[Arm, Sequence[Trial]], num_rounds: int) -> tuple[str, ...]:
    """Says which arms never measure, though their policy is made for it.

    Args:
      trials: run of each block, by arm.
      num_rounds: rounds of each run.

    Returns:
      A line for each of these arms.
    """
    found = []
    for arm, (first, *_) in trials.items():
        own = first.allocation.reallocation
        if own is not None and (idle := own.idle(num_rounds)):
            found.append(f"{arm.method}: {arm.policy} {idle}")
    return tuple(found)
