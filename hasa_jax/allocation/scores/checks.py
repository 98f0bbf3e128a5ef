"""What scores that draw examples refuse."""

from __future__ import annotations

import numpy as np

from hasa_jax.base import ClientData, UserError


def check_draws(draws: int, least: int, why: str) -> None:
    """Refuses fewer draws than a score needs.

    Args:
      draws: number of draws.
      least: the fewest that it needs.
      why: what it needs them for.

    Raises:
      UserError: if there are fewer.
    """
    if draws < least:
        raise UserError(f"`draws` is {draws}: it must be at least {least}, {why}")


def check_examples(data: ClientData) -> None:
    """Refuses clients without training examples: there is nothing to draw, and no divergence.

    Args:
      data: training examples of all clients.

    Raises:
      UserError: naming the first such client.
    """
    without = np.flatnonzero(np.asarray(data.num_examples) == 0)
    if len(without):
        raise UserError(
            f"{len(without)} of {data.num_clients} clients have no training examples (the first "
            f"one is client {without[0]}), so this `score` is not defined for them: give them "
            "examples, leave them out of the data, or use another score"
        )
