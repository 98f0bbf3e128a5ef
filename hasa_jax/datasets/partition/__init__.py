"""Partitions: rules that decide which client gets which examples of a pool."""

from hasa_jax.datasets.partition.dirichlet import balanced_dirichlet, dirichlet
from hasa_jax.datasets.partition.groups import domain, natural
from hasa_jax.datasets.partition.iid import iid
from hasa_jax.datasets.partition.quantity import quantity
from hasa_jax.datasets.partition.shards import shards

PARTITIONS = {
    "balanced_dirichlet": balanced_dirichlet,
    "dirichlet": dirichlet,
    "domain": domain,
    "iid": iid,
    "natural": natural,
    "quantity": quantity,
    "shards": shards,
}
"""`(Labels, num_clients, generator, *, min_examples, ...) -> [indices of each client]`."""

__all__ = [
    "PARTITIONS",
    "balanced_dirichlet",
    "dirichlet",
    "domain",
    "iid",
    "natural",
    "quantity",
    "shards",
]
