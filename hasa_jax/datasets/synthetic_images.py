"""Synthetic images: an image dataset that needs no file.

Every class has a pattern of long waves. An image is the sum of its class's pattern, shifted and at
a random contrast, a random pattern of the same waves, and noise. A model can learn the classes, but
not from one pixel, and not perfectly.
"""

from __future__ import annotations

import itertools

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.skew import client_sizes, label_mixtures
from hasa_jax.datasets.splits import assemble, generators_of_clients, split_clients

_CHANNELS = 3
_MOST_WAVES = 2  # Per image side; with fewer waves, neighbouring pixels are more alike.
_SHIFTS = 4  # Images shift by at most `image_size // 4` pixels in each direction.
_CONTRASTS = (0.6, 1.4)
_CLUTTER = 1.0  # Standard deviation of the random pattern; the class's pattern has 1.
_NOISE = 1.0  # Standard deviation of the noise of each pixel.


def synthetic_images(
    key: jax.Array,
    *,
    num_images: int = 2000,
    image_size: int = 8,
    num_classes: int = 10,
    num_clients: int = 10,
    heterogeneity: float = 0.5,
    folds: int = 0,
    fold: int = 0,
) -> FederatedDataset:
    """Draws images for classification; clients see the classes unequally often.

    Args:
      key: root key of the run; it is not consumed.
      num_images: images of all clients, at least ten per client. Client i gets a share of the
        rest in proportion to `1 / (i + 1)`.
      image_size: height and width in pixels, at least 4.
      num_classes: number of classes `K`, at least 2.
      num_clients: number of clients `N`, at least 2.
      heterogeneity: `h` in [0, 1]; 0 gives all clients all classes equally often, 1 gives each
        client a single class; see `skew.label_mixtures`.
      folds: number of folds `K` of cross-validation, in which every example is for test once; 0
        for none. A client needs `K` examples, and three; four for two folds.
      fold: which of them, from 1 to `K`; 0 if there are none. Folds of one key share what is drawn
        beside the splits.

    Returns:
      The dataset: inputs `[D, image_size, image_size, 3]` float32 with mean 0 and variance 1
      in expectation, targets `[D]`.

    Raises:
      UserError: if an argument is out of range.

    References:
      The Dirichlet label skew is that of `skew.label_mixtures`.
    """
    at_least(2, num_classes=num_classes)
    at_least(4, image_size=image_size)
    # Several arrays of eight bytes a number while they are drawn, then two of four.
    each = 24 * _CHANNELS * image_size**2
    check_memory(each * num_images, f"`num_images` is {num_images}")
    check_memory(each * num_classes, f"`num_classes` is {num_classes}")
    sizes = client_sizes(num_clients, num_images=num_images)
    # Patterns are drawn first: they are the same for any number of clients.
    generator = keys.generator(keys.address(key, keys.Stream.DATA))
    patterns = _patterns(num_classes, image_size, generator)
    mixtures = label_mixtures(num_clients, num_classes, heterogeneity, generator)
    clients = {}
    # Client 0 of this stream is the address of what all clients share.
    generators = generators_of_clients(key, num_clients, keys.Stream.DATA, first=1)
    for i, (size, mixture, generator) in enumerate(zip(sizes, mixtures, generators, strict=True)):
        labels = generator.choice(num_classes, size, p=mixture).astype(np.int32)
        clients[f"client_{i}"] = _images(patterns[labels], generator), labels
    counts = {name: len(labels) for name, (_, labels) in clients.items()}
    splits = split_clients(counts, key, "images", folds, fold)
    return assemble(clients, splits, num_classes)


def _patterns(count: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """Returns `[count, size, size, 3]` sums of waves; every channel has mean 0, variance 1."""
    frequencies = range(-_MOST_WAVES, _MOST_WAVES + 1)
    # A wave and its opposite are one wave, so half of the plane has all waves.
    waves = np.array([f for f in itertools.product(frequencies, repeat=2) if f > (0, 0)])
    places = np.arange(size) / size
    vertical, horizontal = waves[:, 0, None, None], waves[:, 1, None, None]
    phases = 2 * np.pi * (vertical * places[:, None] + horizontal * places)
    basis = np.concatenate([np.cos(phases), np.sin(phases)]).reshape(-1, size * size)
    # Amplitudes fall with frequency, as in natural images.
    falling = np.tile(1 / np.hypot(*waves.T), 2)
    amplitudes = falling * generator.standard_normal((count, _CHANNELS, len(basis)))
    pixels = amplitudes @ basis
    pixels /= pixels.std(-1, keepdims=True)
    return np.moveaxis(pixels, 1, -1).reshape(count, size, size, _CHANNELS)


def _images(patterns: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Makes images of the patterns `[n, size, size, 3]` of their classes."""
    count, size = patterns.shape[:2]
    reach = size // _SHIFTS
    shifts = generator.integers(-reach, reach + 1, (2, count, 1))
    # Waves are periodic: what leaves the image on one side enters it on the other side.
    y, x = (np.arange(size) + shifts) % size
    shifted = patterns[np.arange(count)[:, None, None], y[:, :, None], x[:, None, :]]
    low, high = _CONTRASTS
    images = generator.uniform(low, high, (count, 1, 1, 1)) * shifted
    images += _CLUTTER * _patterns(count, size, generator)
    images += _NOISE * generator.standard_normal(patterns.shape)
    # The mean square of the contrasts is (low^2 + low high + high^2) / 3.
    variance = (low**2 + low * high + high**2) / 3 + _CLUTTER**2 + _NOISE**2
    return (images / np.sqrt(variance)).astype(np.float32)
