"""Random extraction: a subnet keeps units drawn by chance every round."""

from __future__ import annotations

import jax

from hasa_jax import keys
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Extraction

# Client ids are int32, so no client's own draw has this address.
_EVERYONE = 2**32 - 1


def random(shared: bool = False) -> Extraction:
    """Ranks the units of every group by a permutation drawn each round.

    A subnet keeps each unit with probability k / U. The draw depends on the seed, the round,
    the client and the group, and not on k: a client's subnets of one round are nested.

    Args:
      shared: whether all clients of a round share one draw, instead of one each.

    Returns:
      An `Extraction`.

    References:
      Federated Dropout, arXiv 1812.07210.
    """

    def order(broadcast: Broadcast) -> dict[str, jax.Array]:
        client = _EVERYONE if shared else broadcast.client
        key = keys.address(broadcast.key, keys.Stream.ORDER, broadcast.round, client)
        # A narrow net lays its units out by rank, not by position: no other layout nests.
        return {
            name: jax.random.permutation(
                jax.random.fold_in(key, number), broadcast.model.groups[name]
            )
            for number, name in enumerate(sorted(broadcast.model.groups))
        }

    return units.ranked(order, by_size=shared)
