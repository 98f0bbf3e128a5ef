"""What run.json and the table say of a rule that stops a comparison."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule, and what the seeds so far say of it.

    Attributes:
      half: half the width that every interval must have at most, in points.
      most: most seeds.
      seeds: how many there are.
      reached: half the width of the widest interval: the 95 % Student interval of the paired
        difference of mean accuracy to the reference, in points.
      widest: what its arm is called.
      reference: what the reference is called.
      round: of the accuracies, the last one.
      needs: seeds that the widest interval needs, by the deviation of those that there are.
    """

    half: float
    most: int
    seeds: int
    reached: float
    widest: str
    reference: str
    round: int
    needs: int

    @property
    def met(self) -> bool:
        """Whether all intervals are narrow enough."""
        return self.reached <= self.half

    @property
    def ends(self) -> bool:
        """Whether no seed is added."""
        return self.met or self.seeds >= self.most

    @property
    def text(self) -> str:
        """States the rule and what came of it, in a line."""
        about = (
            f"the half-width of every 95 % interval of mean accuracy less that of {self.reference} "
            f"at round {self.round} is at most {self.half:g} points"
        )
        widest = f"± {self.reached:.3g} of {self.widest}"
        if self.met:
            return (
                f"Stopped by rule at {self.seeds} seeds: {about}; the widest is {widest}. Most "
                f"seeds: {self.most}."
            )
        return (
            f"Not reached: {widest} at {self.seeds} seeds, of at most {self.most}, needs "
            f"{self.needs}. The rule: {about}."
        )
