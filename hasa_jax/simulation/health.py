"""What can go wrong in numbers: found after a stretch of rounds, and attributed to a client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import jax
import numpy as np

from hasa_jax.base import UserError
from hasa_jax.execution.layout import Cohort
from hasa_jax.simulation.evaluation import EvaluationResult
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial

_ROUNDING = 1e-3  # Of float32 sums over a million clients.


class RoundHealth(NamedTuple):
    """What the clients of a stretch of rounds reported of their numbers.

    Attributes:
      finite: whether each client's update was finite, or had no weight `[E, R, P, V, L]`.
      weight: sum of the weights of all updates that arrived `[E, R]`.
      share: sum of their shares of the weight in the round's sums `[E, R]`.
      arrived: number of updates that arrived, after a local step or more `[E, R]`, int32.
    """

    finite: jax.Array
    weight: jax.Array
    share: jax.Array
    arrived: jax.Array


class Updates(NamedTuple):
    """How many updates some rounds had.

    Attributes:
      arrived: those that arrived, after a local step or more.
      asked: clients that were asked for one, each of them once a round.
    """

    arrived: int
    asked: int

    def missing(self) -> str:
        """Says how many did not arrive; empty if all did."""
        if self.arrived == self.asked:
            return ""
        return f"no update arrived in {self.asked - self.arrived} of {self.asked} client-rounds"


def updates_of(program: Program, stretches: Sequence[tuple[Cohort, RoundHealth]]) -> list[Updates]:
    """Counts the updates of some rounds.

    Args:
      program: says how many candidates of a round are asked.
      stretches: stretches of rounds with their cohorts `[E, R, P, V, L]`.

    Returns:
      The counts of every trial.
    """
    arrived = sum(np.asarray(rounds.arrived).sum(axis=1) for _, rounds in stretches)
    training = program.training
    most = training.clients_per_round if training.candidates else np.iinfo(np.int64).max
    placed = [(np.asarray(c.slots.client) >= 0).sum(axis=(2, 3, 4)) for c, _ in stretches]
    asked = sum(np.minimum(own, most).sum(axis=1) for own in placed)
    pairs = zip(np.atleast_1d(arrived).tolist(), np.atleast_1d(asked).tolist(), strict=True)
    return [Updates(*pair) for pair in pairs]


def check_rounds(
    program: Program,
    params: np.ndarray,
    stretches: Sequence[tuple[Cohort, RoundHealth]],
    trials: Sequence[Trial],
    first: int,
) -> None:
    """Refuses to go on with parameters that are not finite, and names the non-finite client.

    Clients that were left out are not reported, unless no update arrived in all the rounds. The
    sums are checked too: every client of the cohort is in them, once.

    Args:
      program: what ran.
      params: whether every parameter of each trial is finite `[E]`.
      stretches: consecutive stretches of rounds with their cohorts `[E, R, P, V, L]`.
      trials: the seeds.
      first: rounds done before.

    Raises:
      UserError: naming the seed, the round and the first client.
      RuntimeError: if a sum lost or repeated a client, which is a defect of this library.
    """
    arrived = np.concatenate([_check_sums(program, *stretch) for stretch in stretches], axis=1)
    if not params.all():
        _raise_non_finite(params, stretches, trials, first)
    silent = np.flatnonzero(~arrived.any(axis=1))
    if silent.size and not program.training.faults.dropout:
        raise UserError(
            f"no finite update arrived in rounds {first + 1} to {first + arrived.shape[1]}"
            f"{_seed_of(trials[silent[0]])}: lower the learning rate, or have fewer clients fail"
        )


def _check_sums(program: Program, cohort: Cohort, rounds: RoundHealth) -> np.ndarray:
    """Checks that each client is summed once; returns whether anything arrived `[E, R]`."""
    weight, share = np.asarray(rounds.weight), np.asarray(rounds.share)
    taken = np.asarray(cohort.slots.client) >= 0
    sent = np.where(taken, np.asarray(cohort.slots.weight), 0.0).sum(axis=(2, 3, 4))
    training = program.training
    may_lack = training.faults.dropout or training.drop_nonfinite or training.candidates
    may_lack = may_lack or program.method.robust != "none"
    lost = weight < sent * (1 - _ROUNDING) if not may_lack else np.zeros(sent.shape, bool)
    wrong = lost | (weight > sent * (1 + _ROUNDING))
    wrong |= (weight > 0) & (np.abs(share - 1) > _ROUNDING)
    if wrong.any():
        raise RuntimeError(
            f"clients of weight {sent[wrong][0]} were asked, weight {weight[wrong][0]} arrived, "
            f"and the shares of the sums add up to {share[wrong][0]}"
        )
    return (weight > 0) | (sent == 0)


def _raise_non_finite(
    params: np.ndarray,
    stretches: Sequence[tuple[Cohort, RoundHealth]],
    trials: Sequence[Trial],
    first: int,
) -> NoReturn:
    """Raises for parameters that are not finite."""
    number, done = int(np.argmin(params)), first
    trial = trials[number]
    seed = _seed_of(trial)
    for cohort, rounds in stretches:
        clients = np.asarray(cohort.slots.client)[number]
        bad = ~np.asarray(jax.device_get(rounds.finite))[number] & (clients >= 0)
        bad_rounds = np.flatnonzero(bad.any(axis=(1, 2, 3)))
        if bad_rounds.size:
            client = int(clients[bad_rounds[0]][bad[bad_rounds[0]]].min())
            name = trial.dataset.client_names[client]
            raise UserError(
                f"client {name!r} sent an update that is not finite in round "
                f"{done + int(bad_rounds[0]) + 1}{seed}: lower the learning rate, or leave such "
                "clients out with `drop_nonfinite`"
            )
        done += clients.shape[0]
    raise UserError(
        f"parameters stopped being finite in rounds {first + 1} to {done}{seed}, though every "
        "client's update was: lower the server's learning rate"
    )


def check_losses(trial: Trial, found: Sequence[EvaluationResult], done: int) -> None:
    """Refuses to go on with a loss that is no number, though all parameters are.

    Args:
      trial: what was evaluated.
      found: its results.
      done: rounds done.

    Raises:
      UserError: naming the seed, the round and the first client.
    """
    for result in found:
        bad = np.flatnonzero(np.isinf(result.loss))
        if bad.size:
            name = result.client_names[bad[0]]
            raise UserError(
                f"the loss of client {name!r} ({result.view.name}) is not finite after round "
                f"{done}{_seed_of(trial)}: lower the learning rate"
            )


def _seed_of(trial: Trial) -> str:
    """Names a trial's seed and its fold, if it has them."""
    if "seed" not in trial.labels:
        return ""
    fold = f", fold {trial.labels['fold']}" if trial.labels.get("fold") else ""
    return f" (seed {trial.labels['seed']}{fold})"
