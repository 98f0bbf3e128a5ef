"""Examples that stay in their file: only those that a round needs are read."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from hasa_jax.base import UserError

_INT32 = np.iinfo(np.int32)


@dataclasses.dataclass(frozen=True)
class Mapped:
    """Some examples of an array in a file, which is read and checked where it is indexed.

    It has what data need of an array: a shape, a type, an index, and `numpy.asarray`. The file must
    not change meanwhile.

    Attributes:
      source: the memory-mapped array `[n, ...]`: bytes for pixels, integers or floats.
      indices: which examples, in which order `[D]`, int.
      path: name of the file, for messages.
      checksum: what distinguishes the array from others without reading it.
    """

    source: np.ndarray
    indices: np.ndarray
    path: str
    checksum: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape `[D, ...]`."""
        return (len(self.indices), *self.source.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.source.ndim

    @property
    def dtype(self) -> np.dtype:
        """Type of what is read: float32 or int32."""
        floats = self.source.dtype.kind == "f" or self.source.dtype == np.uint8
        return np.dtype(np.float32 if floats else np.int32)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Reads examples; the index is one of the first axis."""
        return self._read(self.indices[index])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Reads all examples."""
        del copy
        return self._read(self.indices).astype(dtype or self.dtype, copy=False)

    def chosen(self, positions: np.ndarray) -> Mapped:
        """Returns some of the examples, without reading them.

        Args:
          positions: which `[m]`, int.
        """
        return dataclasses.replace(self, indices=self.indices[positions])

    def _read(self, places: np.ndarray) -> np.ndarray:
        """Reads examples by their positions in the file, and converts them."""
        values = np.asarray(self.source[places])
        if values.dtype == np.uint8:
            return values.astype(np.float32) / 255
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):
                values = values.astype(np.float32)
            good = np.isfinite(values)
        else:
            good = (values <= _INT32.max) & (values >= -_INT32.max)
        if not good.all():
            axes = tuple(range(1, values.ndim)) if np.ndim(places) else None
            first = np.ravel(places)[np.argmin(np.ravel(good.all(axis=axes)))]
            raise UserError(
                f"example {first} of {self.path} has inputs that are not finite in float32, or do "
                "not fit int32: remove or replace them"
            )
        return values.astype(self.dtype, copy=False)
