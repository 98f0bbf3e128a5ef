"""What a run shows while it lasts: a progress line on a terminal, and lines that stay."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hasa_jax.simulation.escapes import one_line
from hasa_jax.simulation.pace import Pace
from hasa_jax.simulation.writers import say

MOST_LINES = 200
"""Of evaluations that are printed where there is no terminal."""

_LINE = "{desc}: {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
"""A bar would leave no room for the budget in 100 columns."""


class ConsoleWriter:
    """Prints a line for each evaluation; on a terminal, a progress line stays below them.

    The progress line has the arm, what the run does (`compiling`, `training`, `evaluating`), and
    then rounds a second, the time that is left, and accuracy and budget of the latest evaluation.
    Pace and time follow from rounds of programs that are compiled already (`Pace`). Without a
    terminal there is no such line; the printed ones have the pace, and of many evaluations only
    `MOST_LINES` are printed, evenly spread.

    Args:
      rounds: of all runs, added up.
      evaluations: of all runs, added up.
      unit: of the budget that is shown.
      clock: seconds that never go back.
    """

    def __init__(
        self,
        rounds: int,
        evaluations: int,
        unit: str = "width",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        import tqdm  # Only scripts show progress; importing the library should not load it.

        # On a narrow terminal the line is cut, so it never takes two.
        self._bar = tqdm.tqdm(
            total=rounds,
            desc="compiling",
            bar_format=_LINE,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )
        self._evaluations, self._unit = max(evaluations, 1), unit
        self._clock = clock
        self._pace = Pace(clock())
        self._arm = self._phase = self._latest = self._row = ""
        self._steady = self._restoring = self._written = False
        self._number = 0
        self._ended = threading.Event()
        if not self._bar.disable:
            # Compiling may take minutes, in which only the clock shows that the run is alive.
            threading.Thread(target=self._tick, name="progress", daemon=True).start()

    def begin(self, arm: str) -> None:
        """Names the arm that runs now.

        Args:
          arm: such as `arm 3 of 8`.
        """
        self._arm = one_line(arm)

    def phase(self, name: str) -> None:
        """Takes what the run does next.

        Args:
          name: `restoring`, `compiling`, `training` or `evaluating`.
        """
        self._phase = name
        if self._written:  # The next records begin.
            self._steady, self._restoring, self._written = True, False, False
        self._restoring |= name == "restoring"
        self._steady &= name not in ("restoring", "compiling")
        self._show()

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Prints records of `summary`, once those of `timings` have come, too."""
        for row in records:
            if table == "summary":
                self._row = one_line(self._row_of(row))
                self._latest = self._latest_of(row)
            elif table == "timings":
                self._pace.add(row, self._clock(), steady=self._steady)
                self._written = True
                self._print()
                self._show()

    def close(self) -> None:
        """Ends the progress line."""
        self._ended.set()
        self._bar.close()

    def _tick(self) -> None:
        """Draws the line once a second, until it ends."""
        while not self._ended.wait(1.0):
            self._bar.refresh()

    def _print(self) -> None:
        """Prints the latest evaluation, unless it is one of too many."""
        self._number += 1
        if not self._bar.disable:
            return say(f"{self._row}  restored" if self._restoring else self._row)
        number, every = self._number, self._evaluations
        if every > MOST_LINES and number == 1:
            say(f"about {MOST_LINES} of {every} evaluations are printed; summary.csv has all")
        # The first one, the last one, and those between them evenly spread.
        spread = (number - 1) * (MOST_LINES - 1) % every < MOST_LINES - 1
        if every <= MOST_LINES or number == every or spread:
            more = ["restored"] if self._restoring else self._pace_now()
            pace = [self._arm, *more]
            say("  ".join(filter(None, [self._row, *pace])))

    def _show(self) -> None:
        """Writes the progress line again."""
        self._bar.set_description_str(", ".join(filter(None, [self._arm, self._phase])), False)
        shown = [part for part in (*self._pace_now(), self._latest) if part]
        self._bar.set_postfix_str(", ".join(shown), refresh=False)
        self._bar.n = self._pace.rounds
        self._bar.refresh()

    def _pace_now(self) -> list[str]:
        """Returns rounds a second and the time that is left, once they are measured."""
        left = self._pace.seconds_of(self._bar.total - self._pace.rounds)
        if left is None or self._pace.rate is None:
            return []
        return [f"{self._pace.rate:.3g} rounds/s", f"{_duration(left)} left"]

    def _row_of(self, row: Mapping[str, Any]) -> str:
        """Writes the accuracies and the budget of a record of `summary` in a line."""
        fold = f"  fold {row['fold']}" if row.get("fold") else ""
        return (
            f"{row.get('method')} ({row.get('policy')})  seed {row.get('seed')}{fold}  "
            f"round {row['round']}  mean {row['mean_accuracy']:.2%}  "
            f"worst {row['worst_accuracy']:.2%}  tail {row['tail_accuracy']:.2%}"
            f"{self._budget(row, '  ')}"
        )

    def _latest_of(self, row: Mapping[str, Any]) -> str:
        """Writes what the progress line has of a record of `summary`."""
        return f"mean {row['mean_accuracy']:.1%}{self._budget(row, ', ')}"

    def _budget(self, row: Mapping[str, Any], before: str) -> str:
        """Writes the achieved budget, if the record has it."""
        achieved = row.get(f"budget_{self._unit}")
        return "" if achieved is None else f"{before}{self._unit} {achieved:.3f}"


def _duration(seconds: float) -> str:
    """Writes seconds as minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02} h"
