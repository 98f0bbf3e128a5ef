"""Datasets: from files, from a seed or from the user's arrays to the three splits of all clients.

Every builder takes the root key of the run, and everything else by name:
`titles(key, data_path="titles.csv")` or `cifar10(key, data_dir="cifar10", num_clients=100)`.
"""

import difflib
import functools

from hasa_jax.base import UserError
from hasa_jax.datasets import tfds
from hasa_jax.datasets.arrays import from_arrays
from hasa_jax.datasets.builder import Builder, builder
from hasa_jax.datasets.files import READERS, TEXTS
from hasa_jax.datasets.fingerprint import fingerprint
from hasa_jax.datasets.leaf import leaf
from hasa_jax.datasets.npz import npz
from hasa_jax.datasets.synthetic_images import synthetic_images
from hasa_jax.datasets.synthetic_needs import synthetic_needs
from hasa_jax.datasets.synthetic_titles import synthetic_titles
from hasa_jax.datasets.synthetic_topics import synthetic_topics
from hasa_jax.datasets.tff import tff
from hasa_jax.datasets.titles import titles
from hasa_jax.datasets.vocabulary import Vocabulary

DATASETS: dict[str, Builder] = {
    "leaf": leaf,
    "npz": npz,
    "synthetic_images": synthetic_images,
    "synthetic_needs": synthetic_needs,
    "synthetic_titles": synthetic_titles,
    "synthetic_topics": synthetic_topics,
    "tff": tff,
    "titles": titles,
    **{name: builder(read, name=name, texts=name in TEXTS) for name, read in READERS.items()},
}
"""Builders by name: `(key, *, ...) -> FederatedDataset`."""

ag_news = DATASETS["ag_news"]
cifar10 = DATASETS["cifar10"]
csv = DATASETS["csv"]
digits_domains = DATASETS["digits_domains"]
image_folder = DATASETS["image_folder"]
mnist = DATASETS["mnist"]
mnist_m = DATASETS["mnist_m"]
office_caltech10 = DATASETS["office_caltech10"]
optdigits = DATASETS["optdigits"]
pacs = DATASETS["pacs"]
usps = DATASETS["usps"]


def dataset_builder(name: str) -> Builder:
    """Returns the builder of a data set; the builder's signature lists its arguments.

    Args:
      name: one of `DATASETS`; or `tfds:NAME`, `tfds:NAME/CONFIG` or `tfds:NAME:VERSION` for one of
        TensorFlow Datasets.

    Returns:
      The builder. Nothing is read or imported before it is called.

    Raises:
      UserError: if there is no such data set. Only the builder checks whether TensorFlow Datasets
        has a data set.
    """
    if name.startswith(tfds.PREFIX):
        bare = name.removeprefix(tfds.PREFIX)
        tfds.check_name(bare)
        read = functools.partial(tfds.tfds, bare)
        read.__doc__ = tfds.tfds.__doc__
        return builder(read, name=name)
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
    "Builder",
    "Vocabulary",
    "ag_news",
    "cifar10",
    "csv",
    "dataset_builder",
    "digits_domains",
    "fingerprint",
    "from_arrays",
    "image_folder",
    "leaf",
    "mnist",
    "mnist_m",
    "npz",
    "office_caltech10",
    "optdigits",
    "pacs",
    "synthetic_images",
    "synthetic_needs",
    "synthetic_titles",
    "synthetic_topics",
    "tff",
    "titles",
    "usps",
]
