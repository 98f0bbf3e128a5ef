"""Data sets in the files that their authors publish: folder -> `Pool`."""

from hasa_jax.datasets.files.cifar10 import cifar10
from hasa_jax.datasets.files.digits_domains import digits_domains
from hasa_jax.datasets.files.domains import office_caltech10, pacs
from hasa_jax.datasets.files.mnist import mnist
from hasa_jax.datasets.files.mnist_m import mnist_m
from hasa_jax.datasets.files.optdigits import optdigits
from hasa_jax.datasets.files.usps import usps

READERS = {
    "cifar10": cifar10,
    "digits_domains": digits_domains,
    "mnist": mnist,
    "mnist_m": mnist_m,
    "office_caltech10": office_caltech10,
    "optdigits": optdigits,
    "pacs": pacs,
    "usps": usps,
}

__all__ = ["READERS"]
