"""The user's own images, in folders by class."""

from __future__ import annotations

import pathlib
import struct
import warnings
import zlib
from typing import Any

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.images import resized
from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.pool import Pool

_ENDINGS = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}
_FORMATS = ("BMP", "JPEG", "PNG", "WEBP")
_SPLITS = ("test", "train")
_GREY = ("1", "L", "LA")
_COLOUR = ("CMYK", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")
# Pillow does not catch the exceptions that its decoders raise for damaged files.
_DAMAGE = (EOFError, IndexError, KeyError, OSError, SyntaxError, TypeError, ValueError)
_DAMAGE = (*_DAMAGE, OverflowError, struct.error, zlib.error)


def image_folder(data_dir: pathlib.Path, resize: int = 0) -> Pool:
    """Reads images from folders by class; needs Pillow (the data extra).

    The paths of the images in the folder all have one of three forms: `CLASS/IMAGE`; or
    `train/CLASS/IMAGE` and `test/CLASS/IMAGE`; or `DOMAIN/CLASS/IMAGE` with one group per domain.
    Images are the files that end in png, jpg, jpeg, webp or bmp, in lower or upper case. Other
    files, and files and folders whose name starts with a dot, are ignored.

    Args:
      data_dir: folder of the images.
      resize: new height and width of all images in pixels; 0 if all images have one size and keep
        it.

    Returns:
      Images of bytes `[n, height, width, channels]`, sorted by path, with one channel if all are
      grey and three channels if not. They are rotated as their EXIF data say. Transparency is
      removed.

    Raises:
      UserError: if there are no images, if their folders or sizes do not match, if an image is
        damaged, or if Pillow is not installed.
    """
    at_least(0, resize=resize)
    paths = _paths(data_dir)
    names = [path.relative_to(data_dir).parts for path in paths]
    classes = sorted({parts[-2] for parts in names})
    if len(classes) < 2:
        raise UserError(
            f"{data_dir} has images of only one class ({classes[0]!r}): give each class a folder"
        )
    tops = sorted({parts[0] for parts in names}) if len(names[0]) == 3 else ["all"]
    split = bool(set(tops) & set(_SPLITS))
    if split:
        _check_split(data_dir, tops, names)
    domain = {name: number for number, name in enumerate(["all"] if split else tops)}
    class_id = {name: number for number, name in enumerate(classes)}
    return Pool(
        inputs=_images(paths, resize),
        targets=np.array([class_id[parts[-2]] for parts in names], np.int32),
        is_test=np.array([split and parts[0] == "test" for parts in names]),
        classes=tuple(classes),
        groups=np.array([domain.get(parts[0], 0) for parts in names], np.int32),
        group_names=tuple(domain),
    )


def _paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the sorted paths of the images, either all two or all three levels deep."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: name the folder of the images with `data_dir`")
    # One pattern per level follows links to folders, but not endlessly.
    found = {level: [] for level in (1, 2, 3, 4)}
    for level, paths in found.items():
        for path in folder.glob("/".join("*" * level)):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if path.suffix.lower() in _ENDINGS and not hidden and path.is_file():
                paths.append(path)
    paths = sorted(path for paths in found.values() for path in paths)
    if not paths:
        raise UserError(
            f"{folder} has no images in folders: put them in CLASS/ or DOMAIN/CLASS/, as "
            f"{', '.join(sorted(_ENDINGS))}"
        )
    usual = max((2, 3), key=lambda level: len(found[level]))
    for level, others in found.items():
        if level != usual and others:
            raise UserError(
                f"{min(others)} is {level} deep in {folder}: put all images in CLASS/, in "
                "train/CLASS/ and test/CLASS/, or in DOMAIN/CLASS/"
            )
    return paths


def _check_split(folder: pathlib.Path, tops: list[str], names: list[tuple[str, ...]]) -> None:
    """Refuses folders of training and test images that do not match."""
    if tuple(tops) != _SPLITS:
        raise UserError(
            f"{folder} has images in {', '.join(tops)}: it needs both train and test, and no other "
            "folder"
        )
    train, test = ({parts[1] for parts in names if parts[0] == top} for top in ("train", "test"))
    if test - train:
        raise UserError(
            f"{folder}/test has class {min(test - train)!r}, which train does not have: remove it"
        )


def _images(paths: list[pathlib.Path], resize: int) -> np.ndarray:
    """Reads images of one size, or resizes them."""
    images = []
    for path in paths:
        image = _decoded(path)
        images.append(resized(image[None], resize)[0] if resize else image)
        if images[-1].shape[:2] != images[0].shape[:2]:
            sizes = ["x".join(map(str, one.shape[:2])) for one in (images[-1], images[0])]
            raise UserError(
                f"{path} is {sizes[0]} and {paths[0]} is {sizes[1]}: give all images one size with "
                "`resize`"
            )
    channels = max(image.shape[2] for image in images)
    return np.stack([np.broadcast_to(i, (*i.shape[:2], channels)) for i in images])


def _decoded(path: pathlib.Path) -> np.ndarray:
    """Reads one image as bytes `[height, width, 1 or 3]`."""
    try:
        # The package is optional, so it is imported only here.
        from PIL import Image, ImageOps
    except ImportError:
        raise UserError(f"{path} needs Pillow: pip install 'hasa_jax[data]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # An image with too many pixels may be an attack.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as file:
                return _bytes_of(ImageOps.exif_transpose(file))
    except (*_DAMAGE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(
            f"{path} cannot be read as an image ({one_line(error)}): replace it or remove it"
        ) from None


def _bytes_of(image: Any) -> np.ndarray:
    """Returns the pixels of a Pillow image, with one or three channels."""
    if image.mode in _GREY:
        return np.asarray(image.convert("L"))[..., None]
    if image.mode not in _COLOUR:
        raise ValueError(f"its pixels are {image.mode}, not of 8 bits")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # A palette with transparency gives a warning in RGB.
    return np.asarray(image.convert("RGB"))
