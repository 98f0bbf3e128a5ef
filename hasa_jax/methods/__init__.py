"""Published methods, one file each."""

from collections.abc import Callable

from hasa_jax.methods.coordinate_median import coordinate_median
from hasa_jax.methods.fedavg import fedavg
from hasa_jax.methods.federated_dropout import federated_dropout
from hasa_jax.methods.fedrolex import fedrolex
from hasa_jax.methods.fiarse import fiarse
from hasa_jax.methods.fjord import fjord
from hasa_jax.methods.hasa import hasa
from hasa_jax.methods.heterofl import heterofl
from hasa_jax.methods.method import CLIENT_WEIGHTS, Method, describe
from hasa_jax.methods.scalefl import scalefl
from hasa_jax.methods.trimmed_mean import trimmed_mean

METHODS: dict[str, Callable[..., Method]] = {
    "coordinate_median": coordinate_median,
    "fedavg": fedavg,
    "federated_dropout": federated_dropout,
    "fedrolex": fedrolex,
    "fiarse": fiarse,
    "fjord": fjord,
    "hasa": hasa,
    "heterofl": heterofl,
    "scalefl": scalefl,
    "trimmed_mean": trimmed_mean,
}

__all__ = [
    "CLIENT_WEIGHTS",
    "METHODS",
    "Method",
    "coordinate_median",
    "describe",
    "fedavg",
    "federated_dropout",
    "fedrolex",
    "fiarse",
    "fjord",
    "hasa",
    "heterofl",
    "scalefl",
    "trimmed_mean",
]
