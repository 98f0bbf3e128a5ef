"""A stretch of rounds: a pure scan on the devices, without going back to the host."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import ClientData, ClientReport, ServerState
from hasa_jax.effort import by_effort
from hasa_jax.execution import sharding
from hasa_jax.execution.layout import Cohort
from hasa_jax.server.aggregation import all_finite
from hasa_jax.simulation import feed, health
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round import init_state, scan_trials
from hasa_jax.simulation.trial import Trial


def run_rounds(
    program: Program,
    trials: Sequence[Trial],
    source: feed.Feed,
    states: ServerState,
    first: int,
    last: int,
) -> tuple[ServerState, list[tuple[Cohort, health.RoundHealth]]]:
    """Runs some rounds, and checks their numbers.

    Args:
      program: what is run.
      trials: the seeds.
      source: supplies data and cohorts.
      states: the server's state in each trial `[E]`; they are consumed.
      first: rounds done before.
      last: rounds done afterwards.

    Returns:
      The states, and stretches of rounds with their cohorts.

    Raises:
      UserError: for numbers that are not finite.
    """
    stretches = []
    finite = np.ones(len(trials), bool)
    for data, drawn in source.rounds(first, last):
        states, found, flags = _ADVANCE[program.quick](program, states, data, drawn)
        stretches.append((drawn, found))
        finite = sharding.on_host(flags)
    health.check_rounds(program, finite, stretches, trials, first)
    return states, stretches


def advance(
    program: Program, states: ServerState, data: ClientData, drawn: Cohort
) -> tuple[ServerState, health.RoundHealth, jax.Array]:
    """Runs a stretch of rounds of every trial; metrics of training are not computed.

    Args:
      program: what is run (static).
      states: the server's state in each trial `[E]`.
      data: training examples `[E, P, ...]`.
      drawn: cohorts `[E, R, P, ...]`.

    Returns:
      The states, the health of the rounds, and whether all parameters are finite at their end.
    """
    mesh = drawn.layout.mesh
    states, reports = scan_trials(program, states, data, drawn)
    rounds = jax.vmap(round_health)(reports, drawn)
    finite = jax.vmap(all_finite)(states.params)
    if mesh.model > 1:
        states = jax.lax.with_sharding_constraint(states, places(program, states))
    return states, *sharding.everywhere((rounds, finite), mesh)


_ADVANCE = by_effort(advance, static_argnames="program", donate_argnames="states")


def round_health(report: ClientReport, cohort: Cohort) -> health.RoundHealth:
    """Sums up the reports of some rounds and their cohorts `[R, P, V, L]`."""
    weight, share = (x.sum(axis=(1, 2, 3)) for x in (report.weight, report.share))
    arrived = (report.weight > 0) & (cohort.slots.steps > 0)
    count = jnp.sum(arrived, axis=(1, 2, 3), dtype=jnp.int32)
    return health.RoundHealth(report.finite | (report.weight == 0), weight, share, count)


def compile_rounds(program: Program, shapes: ServerState, data: ClientData, drawn: Cohort) -> None:
    """Compiles a stretch of rounds without running it.

    Args:
      program: what is run.
      shapes: shapes of the server's states.
      data: training examples.
      drawn: cohorts.
    """
    _ADVANCE[program.quick].lower(program, shapes, data, drawn).compile()


def initial_states(program: Program, roots: Sequence[jax.Array]) -> ServerState:
    """Returns the states of some trials before round 0.

    Args:
      program: supplies the supernet and the server's optimizer.
      roots: root key of each trial.

    Returns:
      The states `[E, ...]`, on one device.
    """
    return jax.tree.map(lambda *x: jnp.stack(x), *[init_state(program, key) for key in roots])


def places(program: Program, states: ServerState) -> ServerState:
    """Returns where the states of some trials are on the mesh.

    Args:
      program: what is run.
      states: the states, or their shapes `[E, ...]`.

    Returns:
      A tree of shardings like the states.
    """
    mesh = program.mesh(states.round.shape[0])
    return sharding.state_shardings(program.model, program.server_optimizer, states, mesh)
