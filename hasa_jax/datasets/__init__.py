"""Datasets: from a file, from a seed or from the user's arrays to the splits of all clients."""

from hasa_jax.datasets.arrays import from_arrays
from hasa_jax.datasets.dealt import builder
from hasa_jax.datasets.files import READERS, TEXTS
from hasa_jax.datasets.fingerprint import fingerprint
from hasa_jax.datasets.npz import npz
from hasa_jax.datasets.synthetic_images import synthetic_images
from hasa_jax.datasets.synthetic_titles import synthetic_titles
from hasa_jax.datasets.synthetic_topics import synthetic_topics
from hasa_jax.datasets.titles import titles
from hasa_jax.datasets.vocabulary import Vocabulary

DATASETS = {
    "npz": npz,
    "synthetic_images": synthetic_images,
    "synthetic_titles": synthetic_titles,
    "synthetic_topics": synthetic_topics,
    "titles": titles,
    **{name: builder(read, texts=name in TEXTS) for name, read in READERS.items()},
}

__all__ = [
    "DATASETS",
    "Vocabulary",
    "fingerprint",
    "from_arrays",
    "npz",
    "synthetic_images",
    "synthetic_titles",
    "synthetic_topics",
    "titles",
]
