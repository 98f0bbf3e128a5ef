"""Which part of the supernet each client holds."""

from collections.abc import Callable

from hasa_jax.extraction.depth_width import depth_width
from hasa_jax.extraction.importance import importance
from hasa_jax.extraction.neuron_importance import neuron_importance
from hasa_jax.extraction.ordered_dropout import ordered_dropout
from hasa_jax.extraction.prefix import prefix
from hasa_jax.extraction.pruning_greedy import pruning_greedy
from hasa_jax.extraction.random import random
from hasa_jax.extraction.rolling import rolling
from hasa_jax.supernet.types import Extraction

EXTRACTIONS: dict[str, Callable[..., Extraction]] = {
    "depth_width": depth_width,
    "importance": importance,
    "neuron_importance": neuron_importance,
    "ordered_dropout": ordered_dropout,
    "prefix": prefix,
    "pruning_greedy": pruning_greedy,
    "random": random,
    "rolling": rolling,
}

__all__ = [
    "EXTRACTIONS",
    "depth_width",
    "importance",
    "neuron_importance",
    "ordered_dropout",
    "prefix",
    "pruning_greedy",
    "random",
    "rolling",
]
