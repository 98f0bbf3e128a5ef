"""Before round 0: a policy's widths, the sizes that they round to, and the ledger."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.allocation.connection import connection
from hasa_jax.allocation.drawing import draw_sizes
from hasa_jax.allocation.ledger import (
    Ledger,
    distinct_sizes,
    mean_costs,
    mean_over_clients,
    moved_bytes,
)
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.reallocation import Reallocation, reallocation_of
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import ClientData, UserError
from hasa_jax.numerics import in_32_bits
from hasa_jax.supernet import costs, units
from hasa_jax.supernet.initial import initial_params
from hasa_jax.supernet.types import Extraction, Model

_LEDGER_ROUNDS = 100
"""Rounds that the ledger of a dynamic policy averages over."""


@dataclasses.dataclass(frozen=True)
class Allocation:
    """Every client's subnet.

    Of a policy that reallocates, `after` returns the allocation with one more measurement.

    Attributes:
      sizes: the size that each client trains at `[N]`, int64; of a dynamic policy, that of round 0.
      widths: the width of this size under the extraction `[N]`.
      takes_part: which clients are ever trained `[N]`, bool; the others are only evaluated.
      stats: what the policy looked at.
      ledger: requested and achieved budgets; of a dynamic policy, the mean over its first rounds.
      redraw: `round -> sizes [N]` of a dynamic policy, None for others.
      reallocation: what a policy that reallocates has measured and given; None for others.
    """

    sizes: np.ndarray
    widths: np.ndarray
    takes_part: np.ndarray
    stats: ClientStats
    ledger: Ledger
    redraw: Callable[[int], np.ndarray] | None = None
    reallocation: Reallocation | None = None

    @property
    def changes(self) -> bool:
        """Whether sizes differ between rounds."""
        return self.redraw is not None or self.reallocation is not None

    def sizes_at(self, round: int) -> np.ndarray:
        """Returns the sizes that clients train at in one round `[N]`."""
        own = self.reallocation
        given = None if own is None else own.given_at(round)
        if own is not None and given is not None and not (self.redraw and own.begins(round)):
            return given
        return self.sizes if self.redraw is None else self.redraw(round)

    def own_sizes_at(self, round: int) -> np.ndarray:
        """Returns the sizes at which clients are evaluated after one round `[N]`.

        They are those of the round. Where they are drawn only to train all units, they are those
        that the latest measurement gave.
        """
        given = self.reallocation and self.reallocation.given_at(round)
        return self.sizes_at(round) if given is None else given

    def due(self, round: int) -> bool:
        """Returns whether clients must measure before a round, and have not."""
        own = self.reallocation
        return own is not None and own.begins(round) and len(own.given) < round // own.every

    def after(self, losses: np.ndarray, targets: np.ndarray) -> Allocation:
        """Gives sizes by one more measurement.

        Args:
          losses: mean loss of each client at each of `reallocation.sizes` `[N, W]`; NaN where it
            has no target.
          targets: targets that they are means over `[N]`.

        Returns:
          The allocation, for the rounds up to the next measurement and for all before.

        Raises:
          UserError: for the allocation of a policy that does not reallocate.
        """
        own = self.reallocating()
        given = own.give(self.stats, losses, targets, own.given)
        return self.with_given([*own.given, given])

    def with_given(self, given: Sequence[np.ndarray]) -> Allocation:
        """Returns the allocation with the sizes that each measurement so far gave, `[N]` each.

        Raises:
          UserError: for the allocation of a policy that does not reallocate.
        """
        own = self.reallocating()._replace(given=(*given,))
        return dataclasses.replace(self, reallocation=own)

    def reallocating(self) -> Reallocation:
        """Returns what the policy has measured and given.

        Raises:
          UserError: for the allocation of a policy that does not reallocate.
        """
        if self.reallocation is None:
            raise UserError(
                "this allocation follows no measurements: allocate by a policy with "
                "`reallocate_every`, such as need"
            )
        return self.reallocation


@in_32_bits
def allocate(
    train: ClientData,
    model: Model,
    *,
    policy: Policy,
    key: jax.Array,
    scores: np.ndarray | None = None,
    bytes_once: float | None = None,
    budget: BudgetSpec | None = None,
    extraction: Extraction | None = None,
) -> Allocation:
    """Decides every client's size, from its training data only.

    Args:
      train: training examples of all clients.
      model: the supernet.
      policy: gives every client a width, and defines whether the widths follow the budget.
      key: root key of the run; it is not consumed.
      scores: heterogeneity scores of the clients `[N]`, from a `ScoreFn` on the same data; a
        policy that is not scored needs none.
      bytes_once: bytes that a client sends once for its score, from `scores.message_bytes`; if
        None, unknown for a scored policy and 0 for others.
      budget: the size-weighted mean cost that a budgeted policy meets. Other policies may read
        its unit, bounds and capacities, but are never scaled to its target. `BudgetSpec()` if None.
      extraction: which part of the supernet a client of some size holds, and therefore what the
        size costs; plain widths if None.

    Returns:
      The allocation.

    Raises:
      UserError: if the budget cannot be met (the message names the feasible interval), or if
        scores are missing or do not fit the clients.
    """
    budget = budget or BudgetSpec()
    extraction = extraction or Extraction(shape=units.by_width)
    if policy.reads_unit and extraction.mask is not None and budget.unit == "width":
        raise UserError(
            "this extraction keeps single parameters, not units, so it has no width: state its "
            "budget in params, or in (nominal) macs"
        )
    scores = _checked_scores(scores, policy, train.num_clients)
    stats = ClientStats(train.num_examples, scores, budget.max_widths(train.num_clients))
    tables = {
        unit: costs.cost_table(model, extraction, unit)
        for unit in (*costs.BUDGET_UNITS, "executed")
    }
    bound = budget.bind(tables[budget.unit])
    draw = functools.partial(draw_sizes, policy, stats, bound, model)
    sizes, takes_part = draw(_key_of_round(key, 0) if policy.dynamic else key)
    redraw = functools.partial(_redraw_sizes, draw, key) if policy.dynamic else None
    # Many rounds of many clients, so in few bytes.
    rounds = [sizes]
    if redraw:
        rounds = [redraw(round).astype(np.int32) for round in range(_LEDGER_ROUNDS)]
    distinct = np.unique(sizes)
    widths = np.array([extraction.shape(model, int(size)).width for size in distinct])
    return Allocation(
        sizes=sizes,
        widths=widths[np.searchsorted(distinct, sizes)],
        takes_part=takes_part,
        stats=stats,
        ledger=Ledger(
            requested=budget.target if policy.budgeted else float("nan"),
            unit=budget.unit,
            uncut=costs.uncut_share(model, extraction),
            bytes_once=_bytes_once(policy, bytes_once),
            **mean_costs(rounds, stats.shares * takes_part, tables),
            **moved_bytes(model, extraction, rounds, takes_part),
            severed=_severed(model, extraction, rounds, takes_part, key),
        ),
        redraw=redraw,
        reallocation=reallocation_of(policy, stats, bound, model, key),
    )


def _bytes_once(policy: Policy, given: float | None) -> float:
    """Returns the bytes that a client sends once for its score; NaN if they are not known."""
    if not policy.scored:
        return 0.0
    return float("nan") if given is None else given


def _severed(
    model: Model,
    extraction: Extraction,
    rounds: Sequence[np.ndarray],
    takes_part: np.ndarray,
    key: jax.Array,
) -> float:
    """Returns the share of the clients whose subnet is severed at the start; NaN if unknown."""
    if extraction.mask is None:
        return 0.0
    if extraction.by_data:
        return float("nan")
    params = initial_params(model, key)
    severed = np.zeros(max(model.groups.values()) + 1)
    for size in distinct_sizes(rounds):
        severed[size] = connection(model, extraction, params, int(size), key).severed
    return mean_over_clients(rounds, takes_part, severed)


def _checked_scores(scores: np.ndarray | None, policy: Policy, num_clients: int) -> np.ndarray:
    """Returns the scores of all clients `[N]`, zeros if the policy needs none."""
    if scores is None:
        if policy.scored:
            raise UserError(
                f"policy {policy.name} orders clients by their heterogeneity: give their `scores`"
            )
        return np.zeros(num_clients)
    scores = np.asarray(scores)
    if scores.shape != (num_clients,):
        raise UserError(
            f"`scores` of shape {scores.shape} for {num_clients} clients: give one a client"
        )
    if policy.scored and not np.isfinite(scores).all():
        client = int(np.argmin(np.isfinite(scores)))
        raise UserError(f"`scores` must be finite, but that of client {client} is {scores[client]}")
    return scores


def _redraw_sizes(
    draw: Callable[[jax.Array], tuple[np.ndarray, np.ndarray]], key: jax.Array, round: int
) -> np.ndarray:
    """Returns the sizes that a dynamic policy gives in one round `[N]`."""
    return draw(_key_of_round(key, round))[0]


def _key_of_round(key: jax.Array, round: int) -> jax.Array:
    """Returns the root key of a dynamic policy's draws in one round."""
    return keys.address(key, keys.Stream.REDRAW, round)
