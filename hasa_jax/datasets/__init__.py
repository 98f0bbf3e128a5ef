"""Datasets: from a file, from a seed or from the user's arrays to the splits of all clients."""

import difflib
import functools

from hasa_jax.base import UserError
from hasa_jax.datasets import tfds
from hasa_jax.datasets.arrays import from_arrays
from hasa_jax.datasets.dealt import Builder, builder
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


def dataset_builder(name: str) -> Builder:
    """Returns the builder of a data set, which tells its arguments by its signature.

    Args:
      name: one of `DATASETS`, or `tfds:NAME`, `tfds:NAME/CONFIG` or `tfds:NAME:VERSION` for one of
        TensorFlow Datasets.

    Returns:
      The builder; nothing is read or imported before it is called.

    Raises:
      UserError: if there is no such data set; what TensorFlow Datasets knows is only asked by the
        builder.
    """
    if name.startswith(tfds.PREFIX):
        bare = name.removeprefix(tfds.PREFIX)
        tfds.refuse_odd(bare)
        read = functools.partial(tfds.tfds, bare)
        read.__doc__ = tfds.tfds.__doc__
        return builder(read)
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=1)
        raise UserError(
            f"there is no data set {name!r}{f', did you mean {close[0]}?' if close else ':'} "
            f"choose one of {', '.join(sorted(DATASETS))}, or {tfds.PREFIX}NAME for one of "
            "TensorFlow Datasets"
        )
    return DATASETS[name]


__all__ = [
    "DATASETS",
    "Vocabulary",
    "dataset_builder",
    "fingerprint",
    "from_arrays",
    "npz",
    "synthetic_images",
    "synthetic_titles",
    "synthetic_topics",
    "titles",
]
