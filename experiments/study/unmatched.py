"""Arms whose budgets will not match that of the reference, so that tables will not compare them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from experiments.analysis import results
from experiments.analysis.compared import choose_arm
from experiments.analysis.matched import budgets_match
from experiments.config import RunConfig
from experiments.study.arm import Arm
from hasa_jax.simulation.trial import Trial


def unmatched(config: RunConfig, trials: Mapping[Arm, Sequence[Trial]]) -> tuple[str, ...]:
    """Says, before a run begins, which arms its tables will not compare with the reference.

    Args:
      config: the configuration.
      trials: a run of each block, by arm; the blocks of all arms are the same.

    Returns:
      A line for each of these arms; none for a single arm.
    """
    shown = {arm: results.Arm(*arm) for arm in trials}
    reference = choose_arm([*shown.values()], config.comparison.reference)
    unit = config.comparison.matched or config.allocation.budget_unit
    labels = results.labels_of([*shown.values()])
    reached = {
        shown[arm]: {at: getattr(own.allocation.ledger, unit) for at, own in enumerate(of)}
        for arm, of in trials.items()
    }
    base = reached[reference]
    return tuple(
        f"{labels[arm]} takes {_mean(own)} of the supernet in {unit} and {labels[reference]} "
        f"{_mean(base)}: tables will not compare them; give all arms one budget (a policy such as "
        "uniform, `budget_projection` exact), or compare in another unit by `matched`"
        for arm, own in reached.items()
        if arm != reference and not budgets_match(own, base)
    )


def _mean(reached: Mapping[int, float]) -> str:
    """Writes the mean over blocks of achieved budgets."""
    return f"{sum(reached.values()) / len(reached):.3f}"
