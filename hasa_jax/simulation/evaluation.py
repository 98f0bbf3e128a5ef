"""What is evaluated along a run: a pure function of a view.

The loop of turns that trains a cohort also evaluates one, and calibrates its static norms.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.connection import Connection, connection
from hasa_jax.base import ClientData, ClientMetrics, ServerState
from hasa_jax.execution.layout import Cohort, place
from hasa_jax.execution.sharding import over_trials
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.draws import scored_round, scored_state
from hasa_jax.simulation.evaluation_pass import evaluate_cohort
from hasa_jax.simulation.feed import Feed, Part
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.supernet.types import Extraction

SUPERNET = "supernet"
"""The level of the supernet, whatever other levels there are."""


class View(NamedTuple):
    """What is evaluated, and at which size.

    Attributes:
      split: `validation` or `test`.
      level: what the user calls the size; empty for the clients' own sizes.
      size: the size of all clients, or None for their own.
      all_classes: whether on all classes, even where the objective hides some.
    """

    split: str
    level: str
    size: int | None
    all_classes: bool

    @property
    def name(self) -> str:
        """The name of this view in the column `split`."""
        return "_".join(filter(None, [self.level, self.split]))


OWN_TEST = View("test", "", None, False)
"""Each client's own subnet on its own test examples."""

GLOBAL = "global"
"""The level of the supernet that may predict only a client's own classes."""


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
    """

    view: View
    client_names: tuple[str, ...]
    sizes: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray
    targets: np.ndarray
    clients: np.ndarray | None = None

    @property
    def per_client(self) -> dict[str, float]:
        """Accuracy by the client's name."""
        return dict(zip(self.client_names, self.accuracy.tolist(), strict=True))


def chosen_clients(trial: Trial, count: int) -> np.ndarray:
    """Chooses the clients that a run evaluates.

    They are drawn once for a seed, uniformly and without replacement, with a key that depends on
    nothing but the seed. So they are the same in all rounds, arms and methods of a seed.

    Args:
      trial: supplies the population and the root key of the run.
      count: how many; 0 for all, as for a count above the population.

    Returns:
      Ids, rising `[n]`.
    """
    population = len(trial.dataset.client_names)
    if not 0 < count < population:
        return np.arange(population)
    generator = keys.generator(keys.address(trial.key, keys.Stream.EVALUATED))
    return np.sort(generator.choice(population, count, replace=False))


def views(program: Program, levels: Mapping[str, int]) -> list[View]:
    """Returns what is evaluated each time.

    Args:
      program: supplies the supernet and what the objective hides.
      levels: sizes at which all clients are evaluated, by name.

    Returns:
      The clients' own sizes and the supernet, on both splits; the levels on the test split, on
      all classes and, if the objective hides some, on the clients' own. The supernet on the
      clients' own classes is what HeteroFL and FedRolex publish as their local accuracy.
    """
    finest = max(program.model.groups.values())
    splits = ("validation", "test")
    # A client's own subnet is for its own classes; the supernet is for all.
    found = [View(split, "", None, False) for split in splits]
    found += [View(split, SUPERNET, finest, True) for split in splits]
    if program.method.objective.own_classes:
        found.append(View("test", GLOBAL, finest, False))
    for level, size in levels.items():
        found.append(View("test", level, size, True))
        if program.method.objective.own_classes:
            found.append(View("test", level, size, False))
    return found


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


def evaluate_view(
    program: Program,
    view: View,
    states: ServerState,
    feed: Feed,
    trials: Sequence[Trial],
    done: int,
    sizes_in_run: np.ndarray,
    draw: str,
    clients: Sequence[np.ndarray],
) -> list[EvaluationResult]:
    """Evaluates one view of every trial.

    Args:
      program: what is run.
      view: what to evaluate.
      states: the server's state in each trial `[E]`.
      feed: supplies the data.
      trials: the seeds.
      done: rounds done.
      sizes_in_run: sizes that clients have in this run, with repeats.
      draw: whose subnets and sizes, one of `draws.DRAWS`.
      clients: ids of the clients to evaluate in each trial, rising and equally many.

    Returns:
      A result for each trial.
    """
    states = scored_state(states, draw)
    sizes = [trial.allocation.sizes_at(scored_round(done, draw)) for trial in trials]
    if view.size is not None:
        sizes = [np.full_like(own, view.size) for own in sizes]
        sizes_in_run = np.array([view.size])
    # Views that hide no class share a program, whatever their names.
    hides = program.method.objective.own_classes and not view.all_classes
    sums: list[list[tuple[np.ndarray, ClientMetrics]]] = [[] for _ in trials]
    for part in feed.parts(view.split, clients):
        cohort, calibrators = _place(program, view, part, trials, sizes, sizes_in_run)
        found = jax.device_get(
            _evaluate_trials(program, hides, states, part.data, part.train, cohort, calibrators)
        )
        for e, collected in enumerate(sums):
            one = jax.tree.map(lambda x, e=e: x[e], (cohort.slots.client, found))
            collected.append(_in_client_order(*one))
    return [
        _result(view, trial, own, collected)
        for trial, own, collected in zip(trials, sizes, sums, strict=True)
    ]


def _place(
    program: Program,
    view: View,
    part: Part,
    trials: Sequence[Trial],
    sizes: Sequence[np.ndarray],
    sizes_in_run: np.ndarray,
) -> tuple[Cohort, Cohort | None]:
    """Places the clients to evaluate in each trial, and those whose subnets are calibrated."""
    own = [size[ids] for size, ids in zip(sizes, part.clients, strict=True)]
    everyone = [np.arange(len(ids)) for ids in part.clients]
    cohort = _place_chosen(program, view, part, trials, own, everyone, sizes_in_run)
    if not program.model.moments:
        return cohort, None
    # As many in every trial and round, so that nothing is compiled again.
    count = len(part.clients[0])
    if program.extraction.by_size:
        count = min(len(np.unique(sizes_in_run)), count)
    chosen = [representatives(program.extraction, size, count) for size in own]
    return cohort, _place_chosen(program, view, part, trials, own, chosen, sizes_in_run)


def _place_chosen(
    program: Program,
    view: View,
    part: Part,
    trials: Sequence[Trial],
    sizes: Sequence[np.ndarray],
    chosen: Sequence[np.ndarray],
    sizes_in_run: np.ndarray,
) -> Cohort:
    """Places the clients at some positions of a part, for each trial."""
    examples = [getattr(trial.dataset, view.split).num_examples for trial in trials]
    layout = cohorts.layout_of(
        program,
        sizes_in_run=sizes_in_run,
        num_clients=len(chosen[0]),
        most_examples=max(int(own.max()) for own in examples),
        trials=len(trials),
    )
    return cohorts.stack(
        [
            place(layout, ids[positions], size[positions], np.ones(len(positions)), own)
            for ids, positions, size, own in zip(part.clients, chosen, sizes, examples, strict=True)
        ]
    )


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


def _in_client_order(clients: np.ndarray, sums: ClientMetrics) -> tuple[np.ndarray, ClientMetrics]:
    """Lists the clients of a cohort, rising, and their sums as float64."""
    # Empty lanes have the id -1, and sort first.
    order = np.argsort(clients, axis=None, kind="stable")[np.sum(clients < 0) :]
    ordered = jax.tree.map(lambda x: np.asarray(x, np.float64).reshape(-1)[order], sums)
    return clients.reshape(-1)[order], ordered


def _result(
    view: View,
    trial: Trial,
    sizes: np.ndarray,
    parts: Sequence[tuple[np.ndarray, ClientMetrics]],
) -> EvaluationResult:
    """Divides the sums of all parts."""
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
    return EvaluationResult(view, names, sizes[clients], loss, accuracy, sums.count, clients)


@functools.partial(jax.jit, static_argnames=("program", "hides"))
def _evaluate_trials(
    program: Program,
    hides: bool,
    states: ServerState,
    data: ClientData,
    train: ClientData,
    cohort: Cohort,
    calibrators: Cohort | None,
) -> ClientMetrics:
    """Sums metrics of every trial, `[E, P, V, L]`."""
    one = functools.partial(evaluate_cohort, program, hides)
    devices = program.execution.devices
    return over_trials(one, devices, states, data, train, cohort, calibrators)
