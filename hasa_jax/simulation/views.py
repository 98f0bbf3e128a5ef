"""What is evaluated along a run, and of which clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from hasa_jax import keys
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial

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


def chosen_clients(trial: Trial, count: int) -> np.ndarray:
    """Chooses the clients that a run evaluates.

    They are drawn once for a seed, uniformly and without replacement, with a key that depends on
    nothing but the seed. So they are the same in all rounds, arms, methods and folds of a seed.

    Args:
      trial: supplies the population, and the root key of the run or of the seed that it is a fold
        of.
      count: how many; 0 for all, as for a count above the population.

    Returns:
      Ids, rising `[n]`.
    """
    population = len(trial.dataset.client_names)
    if not 0 < count < population:
        return np.arange(population)
    key = trial.key if trial.seed_key is None else trial.seed_key
    generator = keys.generator(keys.address(key, keys.Stream.EVALUATED))
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
