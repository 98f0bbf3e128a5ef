"""Partitions: which client has which examples of a pool."""

from hasa_jax.datasets.partition.dirichlet import balanced_dirichlet, dirichlet
from hasa_jax.datasets.partition.groups import domain, natural
from hasa_jax.datasets.partition.iid import iid
from hasa_jax.datasets.partition.matched import matched
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
"""`(Labels, num_clients, generator, **options) -> [rows of each client]`."""

__all__ = [
    "PARTITIONS",
    "balanced_dirichlet",
    "dirichlet",
    "domain",
    "iid",
    "matched",
    "natural",
    "quantity",
    "shards",
]
