"""What advice says: a table for the terminal, and a recommendation in words."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.advice.options import Option
from experiments.analysis.table import Cell, Table
from experiments.rooms import number_text
from hasa_jax.datasets.messages import first_of
from hasa_jax.simulation.escapes import one_line

WIDTH = 100
NEAR = 0.01
"""Budgets that differ by no more are compared, as in the tables of results."""

_MEGABYTE = 1e6
_MOST_CLIENTS = 12
"""Clients whose widths the terminal shows."""


def table_of(options: Sequence[Option], clients: int, unit: str) -> Table:
    """Makes the table of all options that can be had.

    Args:
      options: all of them.
      clients: clients that are able.
      unit: of the budget.

    Returns:
      The table; it has seconds only where a rate is known.
    """
    timed = any(not np.isnan(option.seconds) for option in options)
    shown = [option for option in options if option.feasible]
    # Kernels of narrow subnets execute what is nominal, so a column of them would be the same.
    same = all(np.isclose(o.achieved["macs"], o.achieved["executed"]) for o in shown)
    shares = ["width", "params", "macs", *([] if same else ["executed"])]
    headers = ["policy", "B", "clients", "width", "params", "MACs", *([] if same else ["executed"])]
    headers += ["MB down", "MB up", "MiB", *(["s/round"] if timed else [])]
    lines = []
    for option in sorted(shown, key=lambda own: own.budget or math.inf):
        part = int((option.sizes > 0).sum())
        cells = [Cell(option.policy), _budget(option), Cell(str(part), part)]
        cells += [Cell(f"{option.achieved[name]:.3f}", option.achieved[name]) for name in shares]
        moved = (option.bytes_down / _MEGABYTE, option.bytes_up / _MEGABYTE)
        cells += [_amount(v) for v in moved]
        cells.append(_amount(option.memory / 2**20))
        cells += [_amount(option.seconds)] if timed else []
        lines.append(tuple(cells))
    executed = ", and devices execute as many MACs" if same else ""
    notes = [
        f"B: budget in {unit}; - for a policy that follows none. Width, params and MACs are shares "
        f"of the supernet, means weighted by examples{executed}.",
        f"MB: of all {clients} clients in a round. MiB: memory of the device that needs most, "
        "beside its examples." + (" s/round: of the client that trains longest." if timed else ""),
    ]
    for policy, option in {own.policy: own for own in shown if own.part < 1}.items():
        everywhere = option.part * option.achieved["macs"]
        notes.append(
            f"{policy}: shares are those of the clients that take part, which hold "
            f"{option.part:.1%} of the examples; over all clients its MACs are {everywhere:.3f}."
        )
    return Table("advice", "What each policy costs", tuple(headers), tuple(lines), tuple(notes))


def clients_table(
    options: Sequence[Option], names: Sequence[str], caps: np.ndarray, width: np.ndarray
) -> Table | None:
    """Makes the table of widths by policy, at one budget.

    Args:
      options: what can be had at it.
      names: of the clients that are able.
      caps: the widest subnet of each.
      width: of sizes 0..H.

    Returns:
      The table; None for many clients, which are in a file only, or for no option.
    """
    if len(names) > _MOST_CLIENTS or not options:
        return None
    lines = [
        (
            Cell(name),
            *(
                Cell(f"{float(v):.3f}", float(v))
                for v in (cap, *(width[o.sizes[at]] for o in options))
            ),
        )
        for at, (name, cap) in enumerate(zip(names, caps, strict=True))
    ]
    headers = ("client", "cap", *(option.policy for option in options))
    return Table("widths", "Width of each client", headers, tuple(lines))


def recommendation(
    options: Sequence[Option], left_out: Mapping[str, str], budgets: Sequence[float], unit: str
) -> str:
    """Says which policy is feasible and cheapest at the largest budget that can be met.

    Args:
      options: all of them.
      left_out: policies that cannot be computed, and why.
      budgets: what was asked.
      unit: of the budget.

    Returns:
      A paragraph; it says nothing of accuracy, which no cost predicts.
    """
    found = [option for option in options if option.feasible and option.budget is not None]
    asked = ", ".join(map(number_text, sorted(budgets)))
    best = recommended(options)
    if found and best is None:
        nearest = min(found, key=lambda own: abs(own.reached - (own.budget or 0.0)))
        text = (
            f"No policy comes within {NEAR:g} of a budget of {asked} ({unit}). The nearest is "
            f"{nearest.policy}, which reaches {nearest.reached:.3f} of {nearest.budget:g}: set "
            "`budget_projection` to exact, or lower `budgets`."
        )
        return textwrap.fill(text, WIDTH)
    if best is None:
        text = (
            f"No policy can meet a budget of {asked} ({unit}) on these devices: see the reasons "
            "above. A lower budget, or devices that hold more, would change that."
        )
        if options and all(option.budget is None for option in options):
            text = "No policy here follows a budget."
        free = [option.policy for option in options if option.feasible]
        text += f" These follow no budget and fit: {', '.join(free)}." if free else ""
        return textwrap.fill(text, WIDTH)
    assert best.budget is not None
    peers = [option for option in found if option.budget == best.budget and option is not best]
    met = [option for option in peers if meets(option)]
    equal = [option for option in _cheapest([best, *met]) if option is not best]
    more = [option.policy for option in met if option not in equal]
    short = [f"{o.policy} reaches {o.reached:.3f}" for o in peers if not meets(o)]
    also = f" {', '.join(more)} can meet it, too, with more MACs." if more else ""
    if equal:
        also = f" {_tie(best, equal)}{also}"
    if short:
        also += f" {', '.join(short)} only: set `budget_projection` to exact to meet it."
    time = "" if np.isnan(best.seconds) else f" and {best.seconds:.3g} s"
    skipped = f" Not computed: {', '.join(left_out)}." if left_out else ""
    text = (
        f"Largest budget of {asked} ({unit}) that can be met: {number_text(best.budget)}. "
        f"Cheapest policy at it: {best.policy}, with {best.achieved['executed']:.1%} of the "
        f"supernet's MACs, {_moved(best) / _MEGABYTE:.3g} MB{time} a round."
        f"{also}{skipped} This is about cost only: docs/results.md has the accuracy of policies "
        "on known tasks, and compare measures it on your data."
    )
    return textwrap.fill(text, WIDTH)


def _tie(best: Option, equal: Sequence[Option]) -> str:
    """Says which other policies cost as many MACs, and what each of them has least of."""
    every = (best, *equal)
    as_short = [option for option in every if _seconds(option) == _seconds(best)]
    decided = ["the seconds of the longest client"] * (len(as_short) < len(every))
    decided += ["the bytes"] * any(_moved(option) > _moved(best) for option in as_short)
    text = (
        f"{', '.join(option.policy for option in equal)} cost as many MACs, within {NEAR:g}, so "
        f"{' and '.join(decided) or 'their order'} decided."
    )
    light = min(every, key=_moved)
    if light is not best:
        text += f" Fewest bytes: {light.policy}, with {_moved(light) / _MEGABYTE:.3g} MB."
    small = min(every, key=lambda own: own.memory)
    if small.memory < best.memory:
        text += f" Least memory: {small.policy}, with {small.memory / 2**20:.3g} MiB."
    return text


def meets(option: Option) -> bool:
    """Returns whether an option is so near its budget that a comparison would be fair."""
    return option.budget is not None and abs(option.reached - option.budget) <= NEAR


def recommended(options: Sequence[Option]) -> Option | None:
    """Returns the cheapest feasible option at the largest budget that can be met, if any.

    It has the least MACs. Options within `NEAR` of them cost the same, as sizes are units: of
    these it is the one whose longest client trains shortest, then the one of fewest bytes. An
    option that misses its budget by more than `NEAR` costs less for that only, so it is none.
    """
    found = [option for option in options if option.feasible and meets(option)]
    if not found:
        return None
    largest = max(option.budget or 0.0 for option in found)
    own = [option for option in found if option.budget == largest]
    return min(_cheapest(own), key=lambda option: (_seconds(option), _moved(option)))


def _cheapest(options: Sequence[Option]) -> list[Option]:
    """Returns the options of least MACs, within `NEAR`."""
    least = min(option.achieved["executed"] for option in options)
    return [option for option in options if option.achieved["executed"] <= least + NEAR]


def _seconds(option: Option) -> float:
    """Returns the seconds of the longest client; 0 where no rate is known."""
    return 0.0 if np.isnan(option.seconds) else option.seconds


def _moved(option: Option) -> float:
    """Returns the bytes that all clients move in a round."""
    return option.bytes_down + option.bytes_up


def infeasible_lines(options: Sequence[Option], left_out: Mapping[str, str]) -> list[str]:
    """Says what cannot be had, and what was not computed, a line each."""
    lines, by_reason = [], {}
    for option in options:
        if not option.feasible:
            by_reason.setdefault((option.budget, option.reason), []).append(option.policy)
    for (budget, reason), policies in by_reason.items():
        at = "" if budget is None else f" at budget {number_text(budget)}"
        reason = reason.replace("`budget`", "budget")  # The flag of advise is `budgets`.
        lines.append(one_line(f"infeasible{at}: {', '.join(policies)}: {reason}"))
    by_why: dict[str, list[str]] = {}
    for name, why in left_out.items():
        by_why.setdefault(why, []).append(name)
    lines += [one_line(f"left out: {', '.join(own)}: {why}") for why, own in by_why.items()]
    return lines


def unable_line(names: Sequence[str], able: np.ndarray, least: float) -> str:
    """Says which clients cannot take part; nothing if all can."""
    unable = [name for name, own in zip(names, able, strict=True) if not own]
    if not unable:
        return ""
    return one_line(
        f"infeasible clients: {len(unable)} of {len(names)} hold less than the smallest width "
        f"{least:.3g}, and are left out of all that follows: {first_of(unable)}"
    )


def _amount(value: float) -> Cell:
    """Returns the cell of an amount: two digits or more, without an exponent above."""
    return Cell(
        f"{value:.3g}" if 1 <= value < 1000 else f"{value:.{'2g' if value < 1 else '0f'}}", value
    )


def _budget(option: Option) -> Cell:
    """Returns the cell of a budget."""
    if option.budget is None:
        return Cell("-")
    return Cell(number_text(option.budget), option.budget)
