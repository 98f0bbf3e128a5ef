"""The user's own images, in folders by class."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.files.pictures import ENDINGS, pictures
from hasa_jax.datasets.names import joined_note, plain_name
from hasa_jax.datasets.paths import check_regular, is_text, shown
from hasa_jax.datasets.pool import Pool

_TRAIN, _TEST, _VALIDATION = "train", "test", "validation"
_SPLITS = {
    "train": _TRAIN,
    "training": _TRAIN,
    "test": _TEST,
    "testing": _TEST,
    "val": _VALIDATION,
    "valid": _VALIDATION,
    "validation": _VALIDATION,
}
"""Names of folders that are no domains but splits, in lower case."""


@dataclasses.dataclass(frozen=True)
class _Found:
    """The images of a folder.

    Attributes:
      paths: sorted, all in folders of equal depth.
      names: names of the folders of each image, and of the image.
      passed: number of other files by the end of their name.
    """

    paths: list[pathlib.Path]
    names: list[tuple[str, ...]]
    passed: Mapping[str, int]


def image_folder(data_dir: pathlib.Path, resize: int = 0) -> Pool:
    """Reads images from folders by class; needs Pillow (the data extra).

    The paths of the images in the folder all have one of three forms: `CLASS/IMAGE`; or
    `train/CLASS/IMAGE` and `test/CLASS/IMAGE`; or `DOMAIN/CLASS/IMAGE` with one group per domain.
    `training`, `testing`, and `val`, `valid` or `validation`, in lower or upper case, are splits
    too. Images of `val` are for testing if there is no `test`, and for training if there is one.
    Images are the files that end in png, jpg, jpeg, jpe, jfif, webp, gif, tif, tiff, bmp, ppm, pgm,
    pbm or pnm, in lower or upper case. Other files are passed over and counted in the notes. Files
    and folders whose name starts with a dot are ignored.

    Args:
      data_dir: folder of the images.
      resize: new height and width of all images in pixels; 0 if all images have one size and keep
        it.

    Returns:
      Images of bytes `[n, height, width, channels]`, sorted by path, with one channel if all are
      grey and three channels if not. They are rotated as their EXIF data say. Transparency is
      removed. Grey images of 16 bits are divided by one power of two. Of several frames, the first
      one is read.

    Raises:
      UserError: if there are no images, if their folders or sizes do not match, if an image is
        damaged, or if Pillow is not installed.
    """
    at_least(0, resize=resize)
    found = _images_of(data_dir)
    spelled = {raw: plain_name(raw) for parts in found.names for raw in parts[:-1]}
    for raw, name in spelled.items():
        if not name:
            raise UserError(f"the name {raw!r} of a folder has no visible character: rename it")
    names = [tuple(spelled[raw] for raw in parts[:-1]) for parts in found.names]
    classes = sorted({parts[-1] for parts in names})
    if len(classes) < 2:
        raise UserError(
            f"{shown(data_dir)} has images of only one class ({classes[0]!r}): give each class a "
            "folder"
        )
    tops = sorted({parts[0] for parts in names}) if len(names[0]) == 2 else ["all"]
    splits = _splits_of(data_dir, names)
    tests = {top for top, split in splits.items() if split == _test_split(splits)}
    domain = {name: number for number, name in enumerate(["all"] if splits else tops)}
    class_id = {name: number for number, name in enumerate(classes)}
    inputs, notes = pictures(found.paths, resize)
    own = (*_passed(found), *joined_note(spelled, "folders"), *_validation(splits, names))
    return Pool(
        inputs=inputs,
        targets=np.array([class_id[parts[-1]] for parts in names], np.int32),
        is_test=np.array([parts[0] in tests for parts in names]),
        classes=tuple(classes),
        groups=np.array([domain.get(parts[0], 0) for parts in names], np.int32),
        group_names=tuple(domain),
        notes=own + notes,
    )


def _images_of(folder: pathlib.Path) -> _Found:
    """Finds the images, either all two or all three levels deep."""
    if not folder.is_dir():
        raise UserError(
            f"{shown(folder)} is no folder: name the folder of the images with `data_dir`"
        )
    # One pattern per level follows links to folders, but not endlessly.
    found = {level: [] for level in (1, 2, 3, 4)}
    passed: collections.Counter[str] = collections.Counter()
    for level, paths in found.items():
        for path in folder.glob("/".join("*" * level)):
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if hidden or path.is_dir():
                continue
            if path.suffix.lower() in ENDINGS:
                check_regular(path)
                paths.append(path)
            else:
                passed[path.suffix.lower() or "no ending"] += 1
    paths = sorted(path for paths in found.values() for path in paths)
    if not paths:
        raise UserError(
            f"{shown(folder)} has no images in folders: put them in CLASS/ or DOMAIN/CLASS/, as "
            f"{', '.join(sorted(ENDINGS))}"
        )
    usual = max((2, 3), key=lambda level: len(found[level]))
    for level, others in found.items():
        if level != usual and others:
            raise UserError(
                f"{shown(min(others))} is {level} deep in {shown(folder)}: put all images in "
                "CLASS/, in train/CLASS/ and test/CLASS/, or in DOMAIN/CLASS/"
            )
    names = [path.relative_to(folder).parts for path in paths]
    strange = sorted({part for parts in names for part in parts[:-1] if not is_text(part)})
    if strange:
        raise UserError(
            f"{len(strange)} folders in {shown(folder)} have names that are not UTF-8, such as "
            f"'{shown(strange[0])}': rename them"
        )
    return _Found(paths, names, passed)


def _splits_of(folder: pathlib.Path, names: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """Returns the split of each folder; nothing if folders are no splits."""
    tops = sorted({parts[0] for parts in names})
    splits = {top: _SPLITS[top.lower()] for top in tops if top.lower() in _SPLITS}
    if len(names[0]) == 1:
        if len(splits) == len(tops):
            raise UserError(
                f"{shown(folder)} has images in {', '.join(tops)} without folders by class: put "
                "them in train/CLASS/ and test/CLASS/"
            )
        return {}
    if not splits:
        return {}
    if set(tops) - set(splits) or _TRAIN not in splits.values() or len(splits) < 2:
        raise UserError(
            f"{shown(folder)} has images in {', '.join(tops)}: it needs both train and test, and "
            "no other folder"
        )
    if len(set(splits.values())) < len(splits):
        raise UserError(
            f"{shown(folder)} has images in {', '.join(tops)}, of which two are the same split: "
            "join them in one folder"
        )
    held_out = _test_split(splits)
    train = {parts[1] for parts in names if splits[parts[0]] != held_out}
    test = {parts[1] for parts in names if splits[parts[0]] == held_out}
    if test - train:
        raise UserError(
            f"{shown(folder)}/{held_out} has class {min(test - train)!r}, which train does not "
            "have: remove it"
        )
    return splits


def _test_split(splits: Mapping[str, str]) -> str:
    """Returns the split that is for testing: that of validation if there is no other one."""
    return _TEST if _TEST in splits.values() else _VALIDATION


def _passed(found: _Found) -> tuple[str, ...]:
    """Writes how many files are no images."""
    kinds = sorted(found.passed.items(), key=lambda kind: (-kind[1], kind[0]))
    if not kinds:
        return ()
    first = ", ".join(f"{count} {shown(ending)[:20]}" for ending, count in kinds[:5])
    more = f" and {len(kinds) - 5} more endings" if len(kinds) > 5 else ""
    total = sum(found.passed.values())
    return (f"{total} files that are no images were passed over: {first}{more}",)


def _validation(splits: Mapping[str, str], names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Writes what images of a validation folder are for."""
    count = sum(splits.get(parts[0]) == _VALIDATION for parts in names)
    if not count:
        return ()
    use = "training, and clients draw their own validation examples"
    if _test_split(splits) == _VALIDATION:
        use = "testing, as there is no folder of test images"
    return (f"{count} images of the validation folder are for {use}",)
