"""What a heterogeneity score is."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from hasa_jax.base import ClientData
from hasa_jax.supernet.types import Model

ScoreFn = Callable[[ClientData, Model, jax.Array], np.ndarray]
"""`(training data, model, key) -> scores [N]`; larger means more heterogeneous."""
