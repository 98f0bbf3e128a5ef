"""Datasets: from a file, from a seed or from the user's arrays to the splits of all clients."""

from hasa_jax.datasets.arrays import from_arrays
from hasa_jax.datasets.fingerprint import fingerprint
from hasa_jax.datasets.next_word import Vocabulary
from hasa_jax.datasets.synthetic_titles import synthetic_titles
from hasa_jax.datasets.titles import titles

DATASETS = {
    "synthetic_titles": synthetic_titles,
    "titles": titles,
}

__all__ = [
    "DATASETS",
    "Vocabulary",
    "fingerprint",
    "from_arrays",
    "synthetic_titles",
    "titles",
]
