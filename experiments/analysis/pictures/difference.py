"""How far two pictures differ."""

from __future__ import annotations

import importlib.metadata
import io

import numpy as np

TOLERANCE = 4.0
"""Largest difference of pictures that show the same.

On another platform, letters and the edges of lines may differ by a shade.
"""


DRAWN_WITH = "3.11"
"""Version of matplotlib that references and pictures of documents are drawn with.

Others place letters otherwise, so that no tolerance is small enough to find a change.
"""


def comparable() -> bool:
    """Returns whether pictures that are drawn here can be compared with those of the checkout."""
    try:
        return importlib.metadata.version("matplotlib").startswith(f"{DRAWN_WITH}.")
    except importlib.metadata.PackageNotFoundError:
        return False


def difference(one: bytes, other: bytes) -> float:
    """Compares two PNG files pixel by pixel.

    `sqrt(mean((a - b)^2))`, over all pixels and the three colours, each within [0, 255].

    Args:
      one: content of a file.
      other: content of another one.

    Returns:
      The root mean square of the differences; infinity for pictures of other shapes.
    """
    from matplotlib.image import imread

    pictures = [
        255.0 * np.asarray(imread(io.BytesIO(content), format="png"), float)[..., :3]
        for content in (one, other)
    ]
    if pictures[0].shape != pictures[1].shape:
        return float("inf")
    return float(np.sqrt(np.mean(np.square(pictures[0] - pictures[1]))))


def same(one: bytes, other: bytes) -> bool:
    """Returns whether two PNG files show the same, up to `TOLERANCE`."""
    return one == other or difference(one, other) <= TOLERANCE
