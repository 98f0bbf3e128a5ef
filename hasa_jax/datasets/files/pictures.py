"""Image files of users: any common format and depth, as bytes of one size."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.files.archive import DAMAGE
from hasa_jax.datasets.images import resized
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.paths import opened, shown

_JPEG, _NETPBM = (".jfif", ".jpe", ".jpeg", ".jpg"), (".pbm", ".pgm", ".pnm", ".ppm")
ENDINGS = frozenset((*_JPEG, *_NETPBM, ".bmp", ".gif", ".png", ".tif", ".tiff", ".webp"))
"""Ends of the names of images, in lower case."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GREY = ("1", "L", "LA")
_COLOUR = ("CMYK", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")
# Pillow opens some grey images of 16 bits with 32 bits for each pixel.
_DEEP_IN_32_BITS = ("PNG", "PPM")
# Pillow does not catch the exceptions that its decoders raise for damaged files.
_DAMAGE = (*DAMAGE, AssertionError, AttributeError)


def pictures(paths: Sequence[pathlib.Path], resize: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Reads images of one size, or resizes them; needs Pillow (the data extra).

    Grey images of 16 bits become bytes: all of them are divided by one power of two. It is the
    smallest one that fits the largest value of all of them, or 256 if other images have 8 bits.

    Args:
      paths: the files, at least one.
      resize: new height and width of all images in pixels; 0 to keep their size.

    Returns:
      Bytes `[n, height, width, channels]`, with one channel if all are grey and three channels if
      not; and notes on what was not read as it is.

    Raises:
      UserError: if an image is damaged, if sizes differ, or if Pillow is not installed.
    """
    divisor, deep = _divisor(paths, resize)
    images, moving = [], 0
    for path in paths:
        with _open(path) as image:
            moving += bool(getattr(image, "is_animated", False))
            pixels = _bytes_of(image, divisor)
        images.append(resized(pixels[None], resize)[0] if resize else pixels)
        if images[-1].shape[:2] != images[0].shape[:2]:
            sizes = ["x".join(map(str, one.shape[:2])) for one in (images[-1], images[0])]
            raise UserError(
                f"{shown(path)} is {sizes[0]} and {shown(paths[0])} is {sizes[1]}: give all images "
                "one size with `resize`"
            )
    channels = max(image.shape[2] for image in images)
    stacked = np.stack([np.broadcast_to(i, (*i.shape[:2], channels)) for i in images])
    notes = [f"{deep} images of 16 bits were divided by {divisor}"] if deep else []
    notes += [f"{moving} images have several frames: the first one was read"] if moving else []
    return stacked, tuple(notes)


def _divisor(paths: Sequence[pathlib.Path], resize: int) -> tuple[int, int]:
    """Returns the divisor of images of 16 bits, and their number; checks the memory of all."""
    deep, peak, size = 0, 0, 0
    for path in paths:
        with _open(path) as image:
            size += 3 * (resize**2 or image.width * image.height)
            if _is_deep(image):
                deep, peak = deep + 1, max(peak, int(np.asarray(image).max()))
    # The images exist twice while they are joined in one array.
    check_memory(2 * size, f"{len(paths)} images")
    if deep < len(paths):
        return 256, deep
    return 2 ** max(0, peak.bit_length() - 8), deep


def _is_deep(image: Any) -> bool:
    """Returns whether pixels have 16 bits."""
    return image.mode in _DEEP or (image.mode == "I" and image.format in _DEEP_IN_32_BITS)


@contextmanager
def _open(path: pathlib.Path) -> Iterator[Any]:
    """Opens an image; errors inside become one line with its path."""
    try:
        # The package is optional, so it is imported only here.
        from PIL import Image
    except ImportError:
        raise UserError(f"{shown(path)} needs Pillow: pip install 'hasa_jax[data]'") from None
    with opened(path, "an image") as stream:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # An image with too many pixels may be an attack.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(stream, formats=_FORMATS) as image:
                    yield image
        except UserError:
            raise
        except (*_DAMAGE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise UserError(
                f"{shown(path)} cannot be read as an image ({one_line(error)}): replace it or "
                "remove it"
            ) from None


def _bytes_of(image: Any, divisor: int) -> np.ndarray:
    """Returns the pixels of a Pillow image, with one or three channels."""
    from PIL import ImageOps

    if _is_deep(image):
        image = ImageOps.exif_transpose(image)
        return (np.asarray(image).astype(np.uint32) // divisor).astype(np.uint8)[..., None]
    image = ImageOps.exif_transpose(image)
    if image.mode in _GREY:
        return np.asarray(image.convert("L"))[..., None]
    if image.mode not in _COLOUR:
        raise ValueError(f"its pixels are {image.mode}, not of 8 bits, or of 16 bits in grey")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # A palette with transparency gives a warning in RGB.
    return np.asarray(image.convert("RGB"))
