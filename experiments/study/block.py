"""What one run of an arm is: a seed, or one fold of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import jax

from hasa_jax import keys
from hasa_jax.base import UserError


class Block(NamedTuple):
    """A seed, or one fold of it.

    Attributes:
      seed: root seed. Folds of a seed share its data, and the order in which they are split.
      fold: from 1 on; 0 where there are no folds.
    """

    seed: int
    fold: int = 0

    @property
    def name(self) -> str:
        """Its name in run.json and of its checkpoints: `3`, or `3.1` for a fold."""
        return f"{self.seed}.{self.fold}" if self.fold else str(self.seed)

    @property
    def key(self) -> jax.Array:
        """Root key of training: that of the seed, or one of the fold's own."""
        return keys.of_fold(jax.random.key(self.seed), self.fold)

    def __str__(self) -> str:
        return f"seed {self.seed}, fold {self.fold}" if self.fold else f"seed {self.seed}"


def blocks_of(seeds: Iterable[int], folds: int) -> tuple[Block, ...]:
    """Returns every block of some seeds.

    Args:
      seeds: the seeds.
      folds: folds of each seed; 0 for none.

    Returns:
      All folds of the first seed, then of the second, and so on.
    """
    numbers = range(1, folds + 1) if folds else (0,)
    return tuple(Block(seed, fold) for seed in seeds for fold in numbers)


def named_block(name: str) -> Block:
    """Returns the block of a name.

    Args:
      name: `Block.name`.

    Returns:
      The block.

    Raises:
      UserError: for a name of none.
    """
    seed, _, fold = name.partition(".")
    try:
        return Block(int(seed), int(fold or 0))
    except ValueError:
        raise UserError(
            f"{name!r} is no seed, and no fold of one: run the experiment again"
        ) from None
