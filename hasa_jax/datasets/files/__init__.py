"""Readers of data sets in files, published or the user's own: arguments by name -> `Pool`."""

from hasa_jax.datasets.files.ag_news import ag_news
from hasa_jax.datasets.files.cifar10 import cifar10
from hasa_jax.datasets.files.csv_texts import csv_texts
from hasa_jax.datasets.files.digits_domains import digits_domains
from hasa_jax.datasets.files.domains import office_caltech10, pacs
from hasa_jax.datasets.files.image_folder import image_folder
from hasa_jax.datasets.files.mnist import mnist
from hasa_jax.datasets.files.mnist_m import mnist_m
from hasa_jax.datasets.files.optdigits import optdigits
from hasa_jax.datasets.files.usps import usps

READERS = {
    "ag_news": ag_news,
    "cifar10": cifar10,
    "csv": csv_texts,
    "digits_domains": digits_domains,
    "image_folder": image_folder,
    "mnist": mnist,
    "mnist_m": mnist_m,
    "office_caltech10": office_caltech10,
    "optdigits": optdigits,
    "pacs": pacs,
    "usps": usps,
}

TEXTS = frozenset({"ag_news", "csv"})
"""Readers of texts; the others read images."""

__all__ = ["READERS", "TEXTS"]
