"""Random extraction: a subnet keeps units that are drawn every round."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax

from hasa_jax import keys
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Extraction

# Client ids are int32, so the draw of no client has this address.
_ALL_CLIENTS = 2**32 - 1


def random(shared: bool = False, levels: Sequence[float] = ()) -> Extraction:
    """Ranks the units of every group by a permutation drawn each round.

    A subnet keeps each unit with probability k / U. The draw depends on the seed, the round,
    the client and the group, and not on k. The subnets of one client in one round are therefore
    nested.

    Args:
      shared: whether all clients of a round share one draw, instead of one each.
      levels: published widths of the clients; one of them keeps `ceil(U level)` of U units.

    Returns:
      An `Extraction`.

    Raises:
      UserError: if a level is not in (0, 1].

    References:
      Federated Dropout, arXiv 1812.07210.
    """
    order = functools.partial(_permutations, shared=shared)
    return units.ranked(order, levels=levels, by_size=shared, name="random")


def _permutations(broadcast: Broadcast, shared: bool) -> dict[str, jax.Array]:
    """Draws ranks for every group."""
    client = _ALL_CLIENTS if shared else broadcast.client
    key = keys.address(broadcast.key, keys.Stream.ORDER, broadcast.round, client)
    # Units of a narrow subnet are in the order of their ranks: only that order nests.
    return {
        name: jax.random.permutation(jax.random.fold_in(key, number), broadcast.model.groups[name])
        for number, name in enumerate(sorted(broadcast.model.groups))
    }
