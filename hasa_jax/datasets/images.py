"""Images of bytes: resizing, and conversion to the numbers that models take."""

from __future__ import annotations

import numpy as np


def resized(images: np.ndarray, side: int) -> np.ndarray:
    """Resizes images to squares: by area averages to smaller, linearly to larger ones.

    Args:
      images: bytes `[n, height, width, channels]`.
      side: new height and width in pixels.

    Returns:
      Bytes `[n, side, side, channels]`.
    """
    vertical, horizontal = (_weights(size, side) for size in images.shape[1:3])
    # One product per axis. Blocks of images keep the memory for floats small.
    out = np.empty((len(images), side, side, images.shape[3]), np.uint8)
    for start in range(0, len(images), 4096):
        block = images[start : start + 4096].astype(np.float32)
        block = np.einsum("yh,nhwc->nywc", vertical, block, optimize=True)
        block = np.einsum("xw,nywc->nyxc", horizontal, block, optimize=True)
        out[start : start + 4096] = np.clip(np.round(block), 0, 255).astype(np.uint8)
    return out


def _weights(old: int, new: int) -> np.ndarray:
    """Returns the weight of each old pixel in each new pixel `[new, old]`; they add up to 1."""
    if new <= old:
        # New pixel `i` covers the old pixels from `i old / new` to `(i + 1) old / new`.
        edges = np.arange(new + 1) * (old / new)
        left, right = edges[:-1, None], edges[1:, None]
        cells = np.arange(old)
        cover = np.minimum(right, cells + 1) - np.maximum(left, cells)
        weights = np.maximum(cover, 0.0)
    else:
        centres = (np.arange(new) + 0.5) * (old / new) - 0.5
        distance = np.abs(np.clip(centres, 0, old - 1)[:, None] - np.arange(old))
        weights = np.maximum(1.0 - distance, 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def standardised(images: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Converts bytes to numbers with mean 0 and standard deviation 1 in each channel.

    Args:
      images: bytes `[n, height, width, channels]`.
      like: bytes of the same channels that supply mean and deviation, such as training images. A
        channel that is constant in them is only centred.

    Returns:
      float32 of the same shape.
    """
    counts = [np.bincount(like[..., c].ravel(), minlength=256) for c in range(like.shape[-1])]
    values = np.arange(256) / 255
    mean = np.array([count @ values / count.sum() for count in counts])
    square = np.array([count @ values**2 / count.sum() for count in counts])
    # A constant channel has no deviation to divide by.
    varies = np.array([np.count_nonzero(count) > 1 for count in counts])
    deviation = np.where(varies, np.sqrt(np.maximum(square - mean**2, 1e-12)), 1.0)
    # A table of 256 numbers per channel avoids a float64 copy of all images.
    table = ((values[:, None] - mean) / deviation).astype(np.float32)
    return np.stack([table[images[..., c], c] for c in range(images.shape[-1])], axis=-1)
