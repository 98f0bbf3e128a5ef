"""Data sets of TensorFlow Datasets, read without TensorFlow: name and folder -> `Pool`."""

from hasa_jax.datasets.tfds.names import PREFIX, check_name
from hasa_jax.datasets.tfds.read import tfds

__all__ = ["PREFIX", "check_name", "tfds"]
