"""Examples of one user, as readers of files return them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Examples(NamedTuple):
    """Examples of one user, as its file has them.

    Attributes:
      inputs: `[n, ...]`. Images are `[n, height, width, channels]`.
      targets: `[n]`.
      raw: whether images of bytes are bytes in the file; others were fractions there.
    """

    inputs: np.ndarray
    targets: np.ndarray
    raw: bool = False
