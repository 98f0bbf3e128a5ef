"""The differences of all arms to the reference side by side, each with its interval."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from experiments.analysis import verdicts
from experiments.analysis.compared import REFERENCE
from experiments.analysis.report.verdict import Finding

_KINDS = {"better": "better", "worse": "worse", verdicts.UNDECIDED: "level", REFERENCE: "reference"}

_FREE = 0.06
"""Share of the axis that is free at both ends."""

_CLOSE = 15.0
"""Percent of the axis that a text takes."""

_LEAST = 0.1
"""Points that the axis has at least."""


@dataclasses.dataclass(frozen=True)
class Line:
    """One arm; places are in percent of the axis.

    Attributes:
      label: what the arm is called.
      kind: better, worse, level, reference or none.
      at: the difference; None if there is none.
      low: lower end of its interval.
      length: of its interval.
      points: the difference in words.
      word: what is said of the arm.
    """

    label: str
    kind: str
    at: float | None
    low: float
    length: float
    points: str
    word: str


@dataclasses.dataclass(frozen=True)
class Forest:
    """All arms on one axis.

    Attributes:
      reference: what the arm is called that others are compared with.
      round: of the accuracies.
      lines: of all arms.
      zero: place of no difference, in percent of the axis.
      low_text: least points of the axis; empty close to 0.
      high_text: most points of the axis; empty close to 0.
    """

    reference: str
    round: int
    lines: tuple[Line, ...]
    zero: float
    low_text: str
    high_text: str


def forest_of(findings: Sequence[Finding], round: int) -> Forest | None:
    """Places the differences of a round on one axis.

    Args:
      findings: of all arms.
      round: the round.

    Returns:
      The arms; None if no arm has a difference.
    """
    ends = [end for own in findings for end in _ends(own)]
    if not ends:
        return None
    low, high = min(0.0, *ends), max(0.0, *ends)
    free = max(_FREE * (high - low), (_LEAST - (high - low)) / 2)
    low, high = low - free, high + free

    def place(points: float) -> float:
        return _rounded(100 * (points - low) / (high - low))

    lines = []
    for own in findings:
        known = _ends(own)
        at, start = (place(own.gain), place(known[0])) if known else (None, 0.0)
        length = _rounded(place(known[1]) - start) if known else 0.0
        kind = _KINDS.get(own.word, "none")
        lines.append(Line(own.label, kind, at, start, length, own.points, own.word))
    base = next(own.label for own in findings if own.word == REFERENCE)
    zero = place(0.0)
    # The 0 stands in for an end that is close to it.
    low_text = _text(low) if zero > _CLOSE else ""
    high_text = _text(high) if zero < 100 - _CLOSE else ""
    return Forest(base, round, tuple(lines), zero, low_text, high_text)


def _rounded(percent: float) -> float:
    """Rounds a place to hundredths, which no screen shows."""
    return round(percent, 2)


def _ends(own: Finding) -> tuple[float, ...]:
    """Returns the ends of the interval of an arm; none without a difference."""
    if math.isnan(own.gain):
        return ()
    half = 0.0 if math.isnan(own.half) else own.half
    return own.gain - half, own.gain + half


def _text(points: float) -> str:
    """Writes an end of the axis."""
    return f"{points:+.1f}".replace("-", "\N{MINUS SIGN}")
