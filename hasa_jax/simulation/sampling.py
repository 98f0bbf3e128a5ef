"""Which clients a round draws: uniformly, by size, among those available, or to choose from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from hasa_jax import keys


@dataclasses.dataclass(frozen=True, eq=False)
class Availability:
    """When clients are available: traces, as stretches of rounds.

    A client may have several stretches, which may overlap. One without any is never available.
    Rounds count from 1 here, as in the records of a run.

    Attributes:
      client: id of each stretch's client `[I]`, int.
      first: its first round `[I]`, int, at least 1.
      last: its last round `[I]`, int.
    """

    client: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def at(self, round: int, num_clients: int) -> np.ndarray:
        """Returns which clients are available in a round.

        Args:
          round: communication round, counted from 0 as everywhere else in the library.
          num_clients: number of clients `N`.

        Returns:
          `[N]`, bool.
        """
        found = np.zeros(num_clients, bool)
        found[self.client[(self.first <= round + 1) & (round + 1 <= self.last)]] = True
        return found


class Population(NamedTuple):
    """The clients that may be drawn in a round.

    Attributes:
      clients: their ids, rising `[M]`; None for all clients.
      num_examples: training examples of all clients `[N]`.
    """

    clients: np.ndarray | None
    num_examples: np.ndarray

    @property
    def number(self) -> int:
        """How many there are, `M`."""
        return len(self.num_examples if self.clients is None else self.clients)

    def ids(self, positions: np.ndarray) -> np.ndarray:
        """Returns the ids at some positions of `clients`, rising."""
        return np.sort(positions if self.clients is None else self.clients[positions])


Sampler = Callable[[Population, int, np.random.Generator], np.ndarray]
"""`(population, count, generator) -> ids [count]`, rising and once each; consumes the generator."""


def uniform(population: Population, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draws clients uniformly, without replacement.

    Args:
      population: who may be drawn.
      count: how many, `C`.
      generator: consumed.

    Returns:
      Ids `[C]`, rising.

    References:
      Scheme II of Li et al., On the Convergence of FedAvg on Non-IID Data, ICLR 2020,
      arXiv 1907.02189, if the aggregation weighs clients by their examples.
    """
    return population.ids(generator.choice(population.number, size=count, replace=False))


def by_size(population: Population, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draws clients one after the other, each in proportion to its training examples.

    `P(next = i) = n_i / sum_{j not yet drawn} n_j`, without replacement: a cohort has a client
    once. Client i is the one with the i-th smallest `e_i / n_i`, `e_i ~ Exp(1)`, which has the same
    distribution.

    A client of many examples is drawn more often. With equal aggregation weights (`client_weights`
    uniform), the mean of a round is then about the mean over examples; with weights by examples,
    large clients count twice. Li et al. draw WITH replacement and weigh equally, which is
    unbiased (their scheme I); a draw without replacement is close to it where `C` is small beside
    `N` and no client is large. Their scheme II is `uniform` with weights by examples.

    Args:
      population: who may be drawn.
      count: how many, `C`.
      generator: consumed.

    Returns:
      Ids `[C]`, rising.

    References:
      Li et al., On the Convergence of FedAvg on Non-IID Data, ICLR 2020, arXiv 1907.02189.
      Efraimidis and Spirakis, Weighted random sampling with a reservoir, 2006.
    """
    own = population.num_examples
    own = own if population.clients is None else own[population.clients]
    times = generator.standard_exponential(len(own)) / own
    if count == len(own):
        return population.ids(np.arange(count))
    return population.ids(np.argpartition(times, count)[:count])


SAMPLERS: dict[str, Sampler] = {
    "availability": uniform,
    "power_of_choice": by_size,
    "size": by_size,
    "uniform": uniform,
}
"""How clients are drawn, by name.

`availability` draws uniformly among those whose traces have the round. `power_of_choice` draws the
candidates; the round chooses those of them with the highest loss (Cho et al., arXiv 2010.01243).
"""

UNIFORM, AVAILABILITY, POWER_OF_CHOICE = "uniform", "availability", "power_of_choice"


def draw_clients(
    sampling: str,
    count: int,
    takes_part: np.ndarray,
    num_examples: np.ndarray,
    key: jax.Array,
    round: int,
    availability: Availability | None = None,
) -> np.ndarray:
    """Draws the clients of a round.

    Args:
      sampling: one of `SAMPLERS`.
      count: how many; 0 for all that may be drawn.
      takes_part: which clients may ever be drawn `[N]`, bool.
      num_examples: training examples of each client `[N]`.
      key: root key of the run; it is not consumed.
      round: communication round.
      availability: which of them are available in which round, if not all always are.

    Returns:
      Ids, rising and once each. They are fewer than `count` only where fewer are available.
    """
    population = _population(takes_part, num_examples, round, availability)
    if not count or (availability is not None and population.number <= count):
        return population.ids(np.arange(population.number))
    generator = keys.generator(keys.address(key, keys.Stream.COHORT, round))
    return SAMPLERS[sampling](population, count, generator)


def _population(
    takes_part: np.ndarray, num_examples: np.ndarray, round: int, availability: Availability | None
) -> Population:
    """Returns who may be drawn in a round."""
    if availability is not None:
        found = availability.at(round, len(takes_part)) & takes_part
        return Population(np.flatnonzero(found), num_examples)
    everyone = bool(takes_part.all())
    return Population(None if everyone else np.flatnonzero(takes_part), num_examples)


class Shortfall(NamedTuple):
    """How often fewer clients are available than a round draws.

    Attributes:
      rounds: rounds with fewer.
      empty: clients that those rounds lack.
    """

    rounds: int
    empty: int


def shortfall(
    availability: Availability, count: int, takes_part: np.ndarray, num_rounds: int
) -> Shortfall:
    """Counts what a run lacks.

    Args:
      availability: traces of the clients.
      count: clients that a round draws; 0 for all that are available.
      takes_part: which clients may ever be drawn `[N]`, bool.
      num_rounds: rounds of the run.

    Returns:
      The counts. A round without a client counts as lacking one if `count` is 0.
    """
    found = [
        int((takes_part & availability.at(round, len(takes_part))).sum())
        for round in range(num_rounds)
    ]
    lacking = np.maximum(max(count, 1) - np.array(found, np.int64), 0)
    return Shortfall(int((lacking > 0).sum()), int(lacking.sum()))
