"""What can go wrong in numbers: found after a stretch of rounds, laid to whom it is due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, NoReturn

import jax
import numpy as np

from hasa_jax.base import Cohort, UserError
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.execution.seeds import Trial
from hasa_jax.simulation.views import Score

_ROUNDING = 1e-3  # Of float32 sums over a million clients.


class Told(NamedTuple):
    """What the rounds of a stretch tell of themselves.

    Attributes:
      finite: whether each client's update was finite, or did not matter `[E, R, P, V, L]`.
      weight: what all updates that arrived weighed together `[E, R]`.
      share: that, as a share of the weight in the sums `[E, R]`.
    """

    finite: jax.Array
    weight: jax.Array
    share: jax.Array


def check_rounds(
    algorithm: FederatedAlgorithm,
    params: np.ndarray,
    told: Sequence[tuple[Cohort, Told]],
    trials: Sequence[Trial],
    first: int,
) -> None:
    """Refuses to go on with parameters that are not finite, naming who spoilt them.

    A client that was left out for its update spoils nothing, so nothing is said of it, unless no
    update arrived in all the rounds. The sums are checked too: every client of the cohort is in
    them, once.

    Args:
      algorithm: what ran.
      params: whether every parameter of each trial is finite `[E]`.
      told: of stretches of consecutive rounds, with their cohorts `[E, R, P, V, L]`.
      trials: the seeds.
      first: rounds done before.

    Raises:
      UserError: naming the seed, the round and the first client.
      RuntimeError: if a sum lost or repeated a client, which is a defect of this library.
    """
    arrived = np.concatenate([_check_sums(algorithm, *one) for one in told], axis=1)
    if not params.all():
        _blame(params, told, trials, first)
    silent = np.flatnonzero(~arrived.any(axis=1))
    if silent.size and not algorithm.faults.dropout:
        raise UserError(
            f"no finite update arrived in rounds {first + 1} to {first + arrived.shape[1]}"
            f"{_seed_of(trials[silent[0]])}: lower the learning rate, or have fewer clients fail"
        )


def _check_sums(algorithm: FederatedAlgorithm, cohort: Cohort, rounds: Told) -> np.ndarray:
    """Checks that nobody is lost or counted twice; tells whether anything arrived `[E, R]`."""
    weight, share = np.asarray(rounds.weight), np.asarray(rounds.share)
    present = np.asarray(cohort.index) >= 0
    sent = np.where(present, np.asarray(cohort.weights), 0.0).sum(axis=(2, 3, 4))
    may_lack = algorithm.faults.dropout or algorithm.drop_nonfinite or algorithm.robust != "none"
    lost = weight < sent * (1 - _ROUNDING) if not may_lack else np.zeros(sent.shape, bool)
    wrong = lost | (weight > sent * (1 + _ROUNDING))
    wrong |= (weight > 0) & (np.abs(share - 1) > _ROUNDING)
    if wrong.any():
        raise RuntimeError(
            f"clients of weight {sent[wrong][0]} were sent for, {weight[wrong][0]} arrived, and "
            f"their shares of the sums add up to {share[wrong][0]}"
        )
    return (weight > 0) | (sent == 0)


def _blame(
    params: np.ndarray,
    told: Sequence[tuple[Cohort, Told]],
    trials: Sequence[Trial],
    first: int,
) -> NoReturn:
    """Raises for parameters that are not finite."""
    number, done = int(np.argmin(params)), first
    trial = trials[number]
    seed = _seed_of(trial)
    for cohort, rounds in told:
        index = np.asarray(cohort.index)[number]
        bad = ~np.asarray(jax.device_get(rounds.finite))[number] & (index >= 0)
        spoilt = np.flatnonzero(bad.any(axis=(1, 2, 3)))
        if spoilt.size:
            client = int(index[spoilt[0]][bad[spoilt[0]]].min())
            name = trial.dataset.client_names[client]
            raise UserError(
                f"client {name!r} sent an update that is not finite in round "
                f"{done + int(spoilt[0]) + 1}{seed}: lower the learning rate, or leave such "
                "clients out with --drop_nonfinite"
            )
        done += index.shape[0]
    raise UserError(
        f"parameters stopped being finite in rounds {first + 1} to {done}{seed}, though every "
        "client's update was: lower the server's learning rate"
    )


def check_losses(trial: Trial, found: Sequence[Score], done: int) -> None:
    """Refuses to go on with a loss that is no number, though all parameters are.

    Args:
      trial: what was evaluated.
      found: its scores.
      done: rounds done.

    Raises:
      UserError: naming the seed, the round and the first client.
    """
    for score in found:
        bad = np.flatnonzero(np.isinf(score.loss))
        if bad.size:
            raise UserError(
                f"the loss of client {trial.dataset.client_names[bad[0]]!r} ({score.name}) is not "
                f"finite after round {done}{_seed_of(trial)}: lower the learning rate"
            )


def _seed_of(trial: Trial) -> str:
    """Names a trial's seed, if it has one."""
    return f" (seed {trial.labels['seed']})" if "seed" in trial.labels else ""
