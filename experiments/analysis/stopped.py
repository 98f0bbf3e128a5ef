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
      needs: seeds that the widest interval needs, by the deviation of those that there are; None
        if that is no finite number, or the differences are equal.
    """

    half: float
    most: int
    seeds: int
    reached: float
    widest: str
    reference: str
    round: int
    needs: int | None

    @property
    def met(self) -> bool:
        """Whether all intervals are narrow enough; one without a width says nothing."""
        return 0 < self.reached <= self.half

    @property
    def ends(self) -> bool:
        """Whether no seed is added."""
        return self.met or self.seeds >= self.most

    @property
    def so_far(self) -> str:
        """States what the seeds so far say, in a part of a sentence."""
        if self.reached == 0:
            return f"the differences are equal over {self.seeds} seeds, so no interval has a width"
        widest = f"the widest interval is ± {self.reached:.3g} of {self.widest}"
        needs = "n/a" if self.needs is None else self.needs
        return f"{widest}, and ± {self.half:g} needs {needs}"

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
        if self.reached == 0:
            return f"Not reached: {self.so_far}. Most seeds: {self.most}. The rule: {about}."
        needs = "n/a" if self.needs is None else self.needs
        return (
            f"Not reached: {widest} at {self.seeds} seeds, of at most {self.most}, needs "
            f"{needs}. The rule: {about}."
        )
