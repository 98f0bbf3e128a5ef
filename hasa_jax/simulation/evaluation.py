"""One evaluation of a run: all views of all trials in one cohort.

The loop of turns that trains a cohort also evaluates one, and calibrates its static norms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from hasa_jax.allocation.connection import Connection, connection
from hasa_jax.base import ClientData, ClientMetrics, ServerState
from hasa_jax.effort import by_effort
from hasa_jax.execution.layout import Cohort, place
from hasa_jax.execution.sharding import everywhere, on_host
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.draws import scored_round, scored_state
from hasa_jax.simulation.evaluation_pass import Asked, Calibration, evaluate_trials
from hasa_jax.simulation.feed import EVALUATED, Feed, Part
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import View
from hasa_jax.supernet.types import Extraction


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """One view of one trial, in client order.

    Attributes:
      view: what was evaluated.
      client_names: `n` names.
      sizes: the size of each of them `[n]`.
      loss: mean loss over targets inside the classes `[n]`; NaN if a client has none, infinite
        if it is not a number.
      accuracy: share of targets predicted right `[n]`; an unknown target is a miss. NaN if a
        client has no target at all.
      targets: targets that this is a share of `[n]`.
      clients: their ids, rising `[n]`; None for all clients of the data.
      loss_targets: targets inside the classes, over which the loss is a mean `[n]`; or None.
    """

    view: View
    client_names: tuple[str, ...]
    sizes: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray
    targets: np.ndarray
    clients: np.ndarray | None = None
    loss_targets: np.ndarray | None = None

    @property
    def per_client(self) -> dict[str, float]:
        """Accuracy by the client's name."""
        return dict(zip(self.client_names, self.accuracy.tolist(), strict=True))


def level_connections(
    program: Program, state: ServerState, levels: Mapping[str, int]
) -> dict[str, Connection]:
    """Returns what is left of the network at every level, in the current supernet.

    Args:
      program: supplies the supernet and the extraction.
      state: the server's state in one trial.
      levels: sizes, by name.

    Returns:
      `{name: connection}`.
    """
    model, extraction = program.model, program.extraction
    return {
        name: connection(model, extraction, state.params, size, state.key)
        for name, size in levels.items()
    }


class Evaluation(NamedTuple):
    """What an evaluation needs, beside the states.

    Attributes:
      program: what is run.
      views: what to evaluate.
      feed: supplies the data.
      trials: the seeds.
      sizes_in_run: sizes that clients have in this run, with repeats.
      draw: whose subnets and sizes, one of `draws.DRAWS`.
      clients: ids of the clients to evaluate in each trial, rising and equally many.
    """

    program: Program
    views: Sequence[View]
    feed: Feed
    trials: Sequence[Trial]
    sizes_in_run: np.ndarray
    draw: str
    clients: Sequence[np.ndarray]


def evaluate_views(
    evaluation: Evaluation, states: ServerState, done: int
) -> list[list[EvaluationResult]]:
    """Evaluates all views of every trial in one cohort.

    A client has an entry for each size at which it is evaluated. Both splits are evaluated, and
    static norms calibrated, in the entry's one turn.

    Args:
      evaluation: what to evaluate.
      states: the server's state in each trial `[E]`.
      done: rounds done.

    Returns:
      A result for each view and trial.
    """
    program, trials = evaluation.program, evaluation.trials
    kinds = _kinds_of(program, evaluation.views)
    evaluate = _EVALUATE[program.quick]
    sums: list[list[tuple[np.ndarray, ClientMetrics]]] = [[] for _ in trials]
    for part in evaluation.feed.parts(evaluation.clients):
        cohort, arguments = _arguments(evaluation, kinds, part, done)
        found = on_host(evaluate(program, evaluation.draw, states, *arguments))
        for e, collected in enumerate(sums):
            own = jax.tree.map(lambda x, e=e: x[e], found)
            by_entry = _by_entry(cohort.slots.entry[e], own, len(kinds))
            collected.append((part.clients[e], by_entry))
    sizes = _sizes_at(evaluation, done)
    return [
        [
            _result(view, trial, _size_of(view, own), _of_view(program, view, kinds, collected))
            for trial, own, collected in zip(trials, sizes, sums, strict=True)
        ]
        for view in evaluation.views
    ]


def compile_views(evaluation: Evaluation, states: ServerState, done: int) -> None:
    """Compiles what `evaluate_views` will run, without running it.

    Args:
      evaluation: what will be evaluated.
      states: shapes of the server's states then.
      done: rounds that will be done then.
    """
    kinds = _kinds_of(evaluation.program, evaluation.views)
    part = next(evaluation.feed.parts(evaluation.clients))
    arguments = _arguments(evaluation, kinds, part, done)[1]
    evaluate = _EVALUATE[evaluation.program.quick]
    evaluate.lower(evaluation.program, evaluation.draw, states, *arguments).compile()


class _Kind(NamedTuple):
    """A size of all clients, or None for their own, and whether absent classes are hidden."""

    size: int | None
    hides: bool


def _kind_of(program: Program, view: View) -> _Kind:
    """Returns the kind of a view; views of one kind share its entries."""
    return _Kind(view.size, program.method.objective.own_classes and not view.all_classes)


def _kinds_of(program: Program, asked: Sequence[View]) -> dict[_Kind, list[bool]]:
    """Returns the kinds of views, and which splits of each are evaluated."""
    kinds: dict[_Kind, list[bool]] = {}
    for view in asked:
        splits = kinds.setdefault(_kind_of(program, view), [False] * len(EVALUATED))
        splits[EVALUATED.index(view.split)] = True
    return kinds


def _sizes_at(evaluation: Evaluation, done: int) -> list[np.ndarray]:
    """Returns the clients' own sizes in each trial `[N]`."""
    round = scored_round(done, evaluation.draw)
    return [trial.allocation.own_sizes_at(round) for trial in evaluation.trials]


def _size_of(view: View, own: np.ndarray) -> np.ndarray:
    """Returns the size at which a view evaluates each client `[N]`."""
    return own if view.size is None else np.full_like(own, view.size)


def _arguments(
    evaluation: Evaluation, kinds: Mapping[_Kind, list[bool]], part: Part, done: int
) -> tuple[Cohort, tuple[Any, ...]]:
    """Places a part's clients at every kind; returns the cohort and all arguments after states."""
    count = len(part.clients[0])
    sizes = [
        np.concatenate([own[ids] if k.size is None else np.full(count, k.size) for k in kinds])
        for own, ids in zip(_sizes_at(evaluation, done), part.clients, strict=True)
    ]
    in_run = [
        evaluation.sizes_in_run if k.size is None else np.full(len(evaluation.sizes_in_run), k.size)
        for k in kinds
    ]
    cohort, calibrators = _place(evaluation, part, len(kinds), sizes, np.concatenate(in_run))
    calibration = None
    if calibrators is not None and evaluation.feed.calibration is not None:
        calibration = Calibration(calibrators, evaluation.feed.calibration)
    trials = len(evaluation.trials)
    asked = Asked(
        splits=np.tile(np.repeat(np.array([*kinds.values()]), count, axis=0), (trials, 1, 1)),
        hides=np.tile(np.repeat([k.hides for k in kinds], count), (trials, 1)),
    )
    own = evaluation.feed.evaluated(part, cohort)
    return cohort, (own.splits, own.train, asked, own.cohort, calibration)


def _place(
    evaluation: Evaluation,
    part: Part,
    kinds: int,
    sizes: Sequence[np.ndarray],
    sizes_in_run: np.ndarray,
) -> tuple[Cohort, Cohort | None]:
    """Places the entries to evaluate in each trial, and those whose subnets are calibrated."""
    program = evaluation.program
    everyone = [np.arange(len(own)) for own in sizes]
    cohort = _place_chosen(evaluation, part, kinds, sizes, everyone, sizes_in_run, calibrate=False)
    if not program.model.moments:
        return cohort, None
    # As many in every trial and round, so that nothing is compiled again.
    count = len(sizes[0])
    if program.extraction.by_size:
        count = min(len(np.unique(sizes_in_run)), count)
    chosen = [representatives(program.extraction, size, count) for size in sizes]
    return cohort, _place_chosen(
        evaluation, part, kinds, sizes, chosen, sizes_in_run, calibrate=True
    )


def _place_chosen(
    evaluation: Evaluation,
    part: Part,
    kinds: int,
    sizes: Sequence[np.ndarray],
    chosen: Sequence[np.ndarray],
    sizes_in_run: np.ndarray,
    *,
    calibrate: bool,
) -> Cohort:
    """Places some entries of a part, for each trial."""
    trials = evaluation.trials
    splits = [[getattr(trial.dataset, s).num_examples for s in EVALUATED] for trial in trials]
    layout = cohorts.layout_of(
        evaluation.program,
        sizes_in_run=sizes_in_run,
        num_clients=len(chosen[0]),
        most_examples=max(int(own.max()) for counts in splits for own in counts),
        trials=len(trials),
        kinds=kinds,
    )
    placed = []
    homes = [None] * len(trials) if calibrate else evaluation.feed.homes
    for ids, positions, size, counts, home in zip(
        part.clients, chosen, sizes, splits, homes, strict=True
    ):
        own, weights = np.tile(ids, kinds)[positions], np.ones(len(positions))
        # All calibrate on the same batches of all data, whatever examples they have.
        work = np.ones_like(counts[0]) if calibrate else np.sum(counts, axis=0)
        placed.append(place(layout, own, size[positions], weights, work, home))
    return cohorts.stack(placed)


def _by_entry(entries: np.ndarray, sums: ClientMetrics, kinds: int) -> ClientMetrics:
    """Lists sums of a cohort by kind and client, as float64: `[kinds, n, S]`."""
    order = np.argsort(entries, axis=None, kind="stable")[np.sum(entries < 0) :]
    return jax.tree.map(
        lambda x: (
            np.asarray(x, np.float64)
            .reshape(-1, x.shape[-1])[order]
            .reshape(kinds, -1, x.shape[-1])
        ),
        sums,
    )


def _of_view(
    program: Program,
    view: View,
    kinds: Mapping[_Kind, list[bool]],
    parts: Sequence[tuple[np.ndarray, ClientMetrics]],
) -> list[tuple[np.ndarray, ClientMetrics]]:
    """Returns the sums of one view in each part."""
    kind, split = [*kinds].index(_kind_of(program, view)), EVALUATED.index(view.split)
    return [(ids, jax.tree.map(lambda x: x[kind, :, split], sums)) for ids, sums in parts]


def representatives(extraction: Extraction, sizes: np.ndarray, count: int) -> np.ndarray:
    """Chooses clients whose subnets are those of all.

    Args:
      extraction: says whether clients of one size hold the same.
      sizes: the size of each client `[C]`.
      count: how many to choose; the first is repeated if fewer would do.

    Returns:
      Positions in `sizes` `[count]`.
    """
    first = np.unique(sizes, return_index=True)[1]
    if not extraction.by_size:
        first = np.arange(len(sizes))
    return np.concatenate([first, np.full(count - len(first), first[0])])


def _result(
    view: View,
    trial: Trial,
    sizes: np.ndarray,
    parts: Sequence[tuple[np.ndarray, ClientMetrics]],
) -> EvaluationResult:
    """Divides the sums of a view in all parts."""
    # Parts may overlap, and a client's sums are the same in both.
    clients, first = np.unique(np.concatenate([ids for ids, _ in parts]), return_index=True)
    sums = jax.tree.map(lambda *leaves: np.concatenate(leaves)[first], *[s for _, s in parts])
    with np.errstate(invalid="ignore"):
        loss = np.where(np.isfinite(sums.loss), sums.loss, np.inf) / sums.loss_count
        loss = np.where(sums.loss_count > 0, loss, np.nan)
        accuracy = sums.correct / sums.count
    names = trial.dataset.client_names
    if len(clients) < len(names):
        names = tuple(names[client] for client in clients)
    return EvaluationResult(
        view, names, sizes[clients], loss, accuracy, sums.count, clients, sums.loss_count
    )


def _evaluate_views(
    program: Program,
    draw: str,
    states: ServerState,
    splits: tuple[ClientData, ...],
    train: ClientData,
    asked: Asked,
    cohort: Cohort,
    calibration: Calibration | None,
) -> ClientMetrics:
    """Sums metrics of every trial, `[E, P, V, L, S]`."""
    states = scored_state(states, draw)
    sums = evaluate_trials(program, states, splits, train, asked, cohort, calibration)
    return everywhere(sums, cohort.layout.mesh)


_EVALUATE = by_effort(_evaluate_views, static_argnames=("program", "draw"))
