"""Data sets of TensorFlow Datasets, read without TensorFlow: name and folder -> `Pool`."""

from hasa_jax.datasets.tfds.names import PREFIX, refuse_odd
from hasa_jax.datasets.tfds.read import tfds

__all__ = ["PREFIX", "refuse_odd", "tfds"]
