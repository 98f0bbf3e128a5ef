"""The course of a run: what follows from the sizes of the clients, which measurements change."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hasa_jax.base import ServerState
from hasa_jax.simulation import cohorts, feed
from hasa_jax.simulation.columns import Columns
from hasa_jax.simulation.evaluation import Evaluation
from hasa_jax.simulation.measuring import measured, measurement, reallocates
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import chosen_clients, views


class Course(NamedTuple):
    """What follows from the sizes of the clients: a new one takes its place when they change.

    Attributes:
      evaluation: what all evaluations of the run have in common, with its data and trials.
      every: rounds between measurements; 0 for none.
      measurement: how clients measure; None without measurements.
    """

    evaluation: Evaluation
    every: int
    measurement: Evaluation | None

    @property
    def trials(self) -> Sequence[Trial]:
        """The seeds, with the sizes of their clients."""
        return self.evaluation.trials

    def with_trials(self, trials: Sequence[Trial]) -> Course:
        """Returns the course of trials that differ in the sizes of their clients only."""
        source = self.evaluation.feed.with_trials(trials)
        return self._replace(evaluation=self.evaluation._replace(feed=source, trials=trials))

    def stretches(self, first: int, done: int) -> list[tuple[int, int]]:
        """Cuts some rounds where a measurement is due."""
        ends = [r for r in range(first + 1, done) if self.every and r % self.every == 0]
        return list(itertools.pairwise([first, *ends, done]))


def start_course(
    program: Program,
    trials: Sequence[Trial],
    sizes_in_run: np.ndarray,
    num_rounds: int,
    reporting: Reporting,
) -> Course:
    """Returns the course of a run that starts.

    Args:
      program: what is run.
      trials: the seeds.
      sizes_in_run: sizes that clients have in this run, with repeats.
      num_rounds: rounds of the run.
      reporting: what is evaluated.

    Returns:
      The course.

    Raises:
      UserError: for trials that cannot share a program, or cannot measure.
    """
    every = reallocates(trials)
    source = _feed(program, trials, sizes_in_run, num_rounds)
    return Course(
        evaluation=_evaluation(program, trials, source, sizes_in_run, reporting),
        every=every,
        measurement=measurement(program, trials, source, sizes_in_run) if every else None,
    )


def remeasured(
    course: Course, states: ServerState, round: int
) -> tuple[Course, list[list[Columns]]]:
    """Has clients measure before a round that needs it, and gives them new sizes.

    Args:
      course: the course so far.
      states: the server's state in each trial `[E]`.
      round: rounds done.

    Returns:
      The course, and the records of the measurement of each trial; a list of one, or of none.
    """
    if course.measurement is None or not course.trials[0].allocation.due(round):
        return course, []
    trials, notes = measured(course.measurement, course.trials, states, round)
    return course.with_trials(trials), [notes]


def _feed(
    program: Program, trials: Sequence[Trial], sizes_in_run: np.ndarray, num_rounds: int
) -> feed.Feed:
    """Returns where the run's data come from."""
    layout = cohorts.training_layout(program, trials, sizes_in_run)
    if program.execution.stream:
        return feed.streamed(program, trials, layout, num_rounds)
    return feed.resident(program, trials, layout)


def _evaluation(
    program: Program,
    trials: Sequence[Trial],
    source: feed.Feed,
    sizes_in_run: np.ndarray,
    reporting: Reporting,
) -> Evaluation:
    """Returns what all evaluations of a run have in common."""
    return Evaluation(
        program=program,
        views=views(program, reporting.levels),
        feed=source,
        trials=trials,
        sizes_in_run=sizes_in_run,
        draw=reporting.draw,
        clients=[chosen_clients(trial, reporting.eval_clients) for trial in trials],
    )
