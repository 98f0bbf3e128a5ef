"""What policies give the clients at several budgets, and what that costs."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from experiments.advice.costing import SizeCosts
from experiments.advice.fleet import Fleet
from hasa_jax import keys
from hasa_jax.allocation import BudgetSpec, Policy
from hasa_jax.allocation.drawing import draw_sizes
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError
from hasa_jax.datasets.messages import first_of
from hasa_jax.supernet import costs
from hasa_jax.supernet.types import Extraction, Model

_TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True)
class Caps:
    """What the devices hold.

    Attributes:
      widths: the widest subnet of each client `[N]`; 0 where it holds none.
      able: whether it holds the smallest subnet that clients may have `[N]`, bool.
    """

    widths: np.ndarray
    able: np.ndarray


@dataclasses.dataclass(frozen=True)
class Option:
    """A policy at a budget.

    Attributes:
      policy: its name.
      budget: the budget; None for a policy that follows none.
      reason: why it cannot be had; empty if it can.
      sizes: of the clients that are able `[n]`; 0 for one that takes no part. Empty if it cannot be
        computed.
      reached: the cost in the unit of the budget, the mean over clients weighted by examples.
      achieved: the cost by unit, the mean over clients weighted by examples; `executed` too.
      bytes_down: bytes that all clients receive in a round.
      bytes_up: bytes that they send.
      memory: bytes of the device that needs most.
      seconds: of the client that trains longest in a round; NaN where no rate is known.
      part: share of the examples whose clients take part.
    """

    policy: str
    budget: float | None
    reason: str
    sizes: np.ndarray
    reached: float = float("nan")
    achieved: Mapping[str, float] = dataclasses.field(default_factory=dict)
    bytes_down: float = 0.0
    bytes_up: float = 0.0
    memory: float = 0.0
    seconds: float = float("nan")
    part: float = 1.0

    @property
    def feasible(self) -> bool:
        """Whether it can be had."""
        return not self.reason


def caps_of(fleet: Fleet, table: SizeCosts, w_min: float, w_max: float) -> Caps:
    """Turns what the devices hold into widths.

    Args:
      fleet: the clients.
      table: what sizes cost.
      w_min: narrowest width of a client.
      w_max: widest width where the file has no caps.

    Returns:
      The caps; a count has the width of the largest size that costs no more.
    """
    largest = len(table.width) - 1
    widths = np.full(len(fleet.names), 1.0 if fleet.caps else w_max)
    for name, most in fleet.caps.items():
        if name == "cap":
            widths = np.minimum(widths, most)
            continue
        costs_of_sizes = table.params if name == "cap_params" else table.macs
        # Costs rise with the size, so the last size that fits is found by bisection.
        fits = np.searchsorted(np.maximum.accumulate(costs_of_sizes), most, side="right") - 1
        widths = np.minimum(widths, fits / largest)
    least = max(w_min, 1 / largest)
    return Caps(widths, widths >= least - _TOLERANCE)


def options_of(
    policies: Mapping[str, Policy],
    budgets: Sequence[float],
    spec: BudgetSpec,
    fleet: Fleet,
    caps: Caps,
    model: Model,
    extraction: Extraction,
    key: jax.Array,
) -> list[Option]:
    """Computes the sizes that policies give, as runs with the same seed have them.

    Args:
      policies: by name.
      budgets: what budgeted policies meet, one after the other.
      spec: unit, projection and bounds of the budget.
      fleet: the clients that are able.
      caps: what the devices of all clients hold.
      model: the supernet.
      extraction: which part of it a client holds.
      key: root key; it is not consumed.

    Returns:
      An option for each policy and budget; one for a policy that follows no budget.
    """
    capacities = caps.widths[caps.able]
    limited = spec.capacities is not None or bool(fleet.caps)
    spec = dataclasses.replace(spec, capacities=tuple(capacities) if limited else None)
    scores = np.zeros(len(fleet.names)) if fleet.scores is None else fleet.scores
    stats = ClientStats(fleet.examples, scores, spec.max_widths(len(fleet.names)))
    table = costs.cost_table(model, extraction, spec.unit)
    found = []
    for name, policy in policies.items():
        for budget in budgets if policy.budgeted else budgets[:1]:
            bound = dataclasses.replace(spec, target=budget).bind(table)
            own = keys.address(key, keys.Stream.REDRAW, 0) if policy.dynamic else key
            asked = budget if policy.budgeted else None
            try:
                sizes, takes_part = draw_sizes(policy, stats, bound, model, own)
            except UserError as error:
                found.append(Option(name, asked, _named(str(error), fleet), np.zeros(0, np.int64)))
                continue
            sizes = np.where(takes_part, sizes, 0)
            most = bound.sizes_within(stats.max_widths)
            reason = _beyond(sizes, most, fleet) if limited else ""
            part = fleet.examples * takes_part
            reached = float(part @ table[sizes] / part.sum())
            found.append(Option(name, asked, reason, sizes, reached))
    return found


def costed(option: Option, fleet: Fleet, table: SizeCosts, epochs: int, rate: float) -> Option:
    """Adds what an option costs.

    Args:
      option: from `options_of`.
      fleet: the clients that are able.
      table: what sizes cost.
      epochs: passes over a client's examples in a round.
      rate: MACs that a device computes in a second, where the fleet has none; 0 if unknown.

    Returns:
      The option.
    """
    sizes = option.sizes
    if not len(sizes):
        return option
    part = sizes > 0
    weights = fleet.examples * part / (fleet.examples * part).sum()
    shares = {
        "width": table.width,
        "params": table.params / table.params[-1],
        "macs": table.macs / table.macs[-1],
        "executed": table.executed / table.executed[-1],
    }
    return dataclasses.replace(
        option,
        achieved={name: float(weights @ own[sizes]) for name, own in shares.items()},
        bytes_down=float(table.bytes_down[sizes].sum()),
        bytes_up=float(table.bytes_up[sizes].sum()),
        memory=float(table.memory[sizes].max()),
        seconds=float(np.max(seconds_of(option, fleet, table, epochs, rate))),
        part=float(fleet.examples @ part / fleet.examples.sum()),
    )


def seconds_of(
    option: Option, fleet: Fleet, table: SizeCosts, epochs: int, rate: float
) -> np.ndarray:
    """Returns the seconds that each client trains in a round `[n]`; NaN without a rate."""
    known = np.full(len(fleet.names), rate or np.nan) if fleet.rates is None else fleet.rates
    return table.seconds(option.sizes, fleet.examples, epochs, known)


def held(option: Option, fleet: Fleet, caps: Caps, width: np.ndarray) -> np.ndarray:
    """Returns whether the device of each client that is able holds what it gets `[n]`, bool.

    Args:
      option: with its sizes.
      fleet: all clients; without caps, devices hold everything.
      caps: what their devices hold.
      width: of sizes 0..H.
    """
    if not fleet.caps:
        return np.ones(len(option.sizes), bool)
    return width[option.sizes] <= caps.widths[caps.able] + _TOLERANCE


def _beyond(sizes: np.ndarray, most: np.ndarray, fleet: Fleet) -> str:
    """Says which clients get more than their device holds; nothing if there are none."""
    beyond = np.flatnonzero(sizes > most)
    if not len(beyond):
        return ""
    names = first_of([fleet.names[number] for number in beyond[:3]])
    more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""
    return f"more than the device holds for {len(beyond)} of the clients: {names}{more}"


def _named(message: str, fleet: Fleet) -> str:
    """Writes the name of a client whose number a message has."""
    return re.sub(r"client (\d+)", lambda m: f"client {fleet.names[int(m[1])]!r}", message)
