"""The HDF5 files of TensorFlow Federated's data sets: users, and features of each."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.examples import Examples
from hasa_jax.datasets.files.archive import DAMAGE
from hasa_jax.datasets.files.leaf_json import GZIP, pixels_of
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.messages import first_of, one_line
from hasa_jax.datasets.names import plain_name
from hasa_jax.datasets.paths import check_regular, is_text, opened, shown
from hasa_jax.datasets.users import check_alike

_GROUP = "examples"
_TEXT = "tokens"
_IMAGES = (("pixels", "label"), ("image", "label"))
_BYTES_OF_A_TEXT = 200


class Tff(NamedTuple):
    """What two files of TensorFlow Federated have.

    Attributes:
      train: each user's examples, by name: images with class ids, or texts (object arrays of
        words with spaces between them) with targets of 0.
      test: the same of the other file; None if there is none.
      texts: whether inputs are texts.
      notes: lines about files that were not read, and users that were passed over.
    """

    train: dict[str, list[Examples]]
    test: dict[str, list[Examples]] | None
    texts: bool
    notes: tuple[str, ...]


def tff_hdf5(
    data_dir: pathlib.Path, least: int, chosen: Callable[[list[str]], Iterable[str]], most: int
) -> Tff:
    """Reads the users of `NAME_train.h5`, and of `NAME_test.h5` if there is one; needs h5py.

    A file has the features of each user under `examples/USER/FEATURE`: `pixels` and `label`
    (EMNIST), `image` and `label` (CIFAR-100), or `tokens` (StackOverflow).

    Args:
      data_dir: folder of the files.
      least: where only some users are read, those with fewer training examples are passed over.
      chosen: puts names into the order in which users are taken.
      most: users to read; 0 for all.

    Returns:
      The examples.

    Raises:
      UserError: if there is no such file, or not one only, if it is damaged or has other features,
        or if h5py is not installed.
    """
    try:
        import h5py  # The package is optional, so it is imported only here.
    except ImportError:
        raise UserError("files *_train.h5 need h5py: pip install 'hasa_jax[data]'") from None
    path = _train_file(data_dir)
    other = path.with_name(path.name.removesuffix("_train.h5") + "_test.h5")
    _check_file(other)
    files = (own for own in data_dir.iterdir() if not own.is_dir())
    unread = sorted(own.name for own in files if own not in (path, other))
    notes = (f"{len(unread)} other files were not read: {first_of(unread)}",) if unread else ()
    with _naming(path), h5py.File(path, "r") as file:
        group = _group(path, file)
        if not other.is_file():
            return _read(path, group, None, None, least, chosen, most, notes)
        with _naming(other), h5py.File(other, "r") as test:
            of_test = _group(other, test)
            return _read(path, group, other, of_test, least, chosen, most, notes)


@contextlib.contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
    """Says that a file is damaged, whatever goes wrong with it."""
    try:
        yield
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(f"{shown(path)} is damaged ({one_line(error)}): get it again") from None


def _train_file(data_dir: pathlib.Path) -> pathlib.Path:
    """Returns the only training file of a folder."""
    if not data_dir.is_dir():
        why = "is a file: name its folder" if data_dir.exists() else "does not exist: name a folder"
        raise UserError(f"{shown(data_dir)} {why} with `data_dir`")
    found = sorted(data_dir.glob("*_train.h5"))
    if len(found) != 1:
        every = first_of(sorted(path.name for path in data_dir.iterdir()))
        raise UserError(
            f"{shown(data_dir)} has {len(found)} files *_train.h5, where one is needed, among "
            f"{every}: unpack what is packed, or name the folder of one data set with `data_dir`"
        )
    _check_file(found[0])
    return found[0]


def _check_file(path: pathlib.Path) -> None:
    """Refuses what is no file, and one that is packed."""
    check_regular(path)
    if path.is_dir():
        raise UserError(f"{shown(path)} is a directory, where a file of HDF5 is needed: move it")
    if path.exists():
        with opened(path, "a file of HDF5", fits=False) as stream:
            if stream.read(2) == GZIP:
                raise UserError(f"{shown(path)} is packed by gzip: unpack it")


def _group(path: pathlib.Path, file: Any) -> Any:
    """Returns the group of users."""
    group = _own(path, file, _GROUP)
    if group is None or not hasattr(group, "keys") or not len(group):
        raise UserError(
            f"{shown(path)} has no users under {_GROUP!r}: give a file of TensorFlow Federated"
        )
    return group


def _read(
    path: pathlib.Path,
    train: Any,
    other: pathlib.Path | None,
    test: Any,
    least: int,
    chosen: Callable[[list[str]], Iterable[str]],
    most: int,
    notes: tuple[str, ...],
) -> Tff:
    """Reads all users, or the first ones in an order that have enough examples."""
    names = _names(path, train)
    features = _features(path, names[0], _user(path, train, names[0]))
    if most:
        known, order = set() if test is None else {*test}, list(chosen(names))
        names, passed = [], 0
        for name in order:
            tested = test is None or name in known
            if tested and _count(path, _user(path, train, name), features) >= least:
                names.append(name)
            else:
                passed += 1
            if len(names) == most:
                break
        notes += _passed(passed, least, tested=test is not None, replaced=len(names) == most)
    _check_total(path, train, names, features)
    first: list[tuple[str, str, Examples]] = []
    found = {name: [_examples(path, name, train, features, first)] for name in names}
    if test is None or other is None:
        return Tff(found, None, features == (_TEXT,), notes)
    of_test = _names(other, test)
    both = [name for name in names if name in test]
    _check_total(other, test, both, features)
    tests = {n: [_examples(other, n, test, features, first)] for n in both}
    if not most:
        tests |= {name: [] for name in sorted({*of_test} - {*train})}
    return Tff(found, tests, features == (_TEXT,), notes)


def _names(path: pathlib.Path, group: Any) -> list[str]:
    """Returns the names of users in their order."""
    names = list(group)
    for name in names:
        if not isinstance(name, str) or not is_text(name) or not plain_name(name):
            raise UserError(
                f"{shown(path)}: the name {name!r} of a user is empty or not UTF-8: give it "
                "another one"
            )
    return sorted(names)


def _passed(count: int, least: int, *, tested: bool, replaced: bool) -> tuple[str, ...]:
    """Writes how many users were passed over, and if others were found; nothing if none were."""
    if not count:
        return ()
    untested = ", or none for testing" if tested else ""
    return (
        f"{count} users that were drawn have fewer than {least} examples for training{untested}, "
        f"{'so others were drawn for them' if replaced else 'and there are no others'}",
    )


def _check_total(
    path: pathlib.Path, group: Any, names: Sequence[str], features: tuple[str, ...]
) -> None:
    """Refuses examples that this machine has no memory for, by the sizes that a file states."""
    with _naming(path):
        users = [_user(path, group, name) for name in names]
        total = sum(_count(path, user, features) for user in users)
        if features == (_TEXT,):
            needed, what = 2 * _BYTES_OF_A_TEXT * total, "texts"
        else:
            arrays = [_own(path, user, features[0], "feature ") for user in users]
            needed, what = sum(getattr(array, "nbytes", 0) for array in arrays), "images"
        check_memory(needed, f"{total} {what} of {len(names)} users in {shown(path)}")


def _own(path: pathlib.Path, group: Any, name: str, where: str = "user ") -> Any:
    """Returns what a group itself has by a name, or None; a link may name any file."""
    link = group.get(name, getlink=True)
    if link is not None and type(link).__name__ != "HardLink":
        raise UserError(
            f"{shown(path)}: {where}{name!r} is a link: links are not followed, get the file again"
        )
    return group.get(name)


def _user(path: pathlib.Path, group: Any, name: str) -> Any:
    """Returns the features of a user."""
    own = _own(path, group, name)
    if not hasattr(own, "keys"):
        raise UserError(f"{shown(path)}: user {name!r} has no features: the file is damaged")
    return own


def _features(path: pathlib.Path, user: str, group: Any) -> tuple[str, ...]:
    """Returns the features to read."""
    for features in (*_IMAGES, (_TEXT,)):
        if all(feature in group for feature in features):
            return features
    raise UserError(
        f"{shown(path)}: user {user!r} has the features {first_of(group)}: pixels and label, image "
        "and label, or tokens are read"
    )


def _count(path: pathlib.Path, group: Any, features: tuple[str, ...]) -> int:
    """Returns the examples of a user; 0 without its features."""
    shape = getattr(_own(path, group, features[0], "feature "), "shape", ())
    return shape[0] if shape else 0


def _examples(
    path: pathlib.Path,
    user: str,
    users: Any,
    features: tuple[str, ...],
    first: list[tuple[str, str, Examples]],
) -> Examples:
    """Reads the features of a user; `first` has those of the first one, once there is one."""
    with _naming(path):
        own = _read_features(path, user, _user(path, users, user), features)
    if len(own.targets):
        if not first:
            first.append((shown(path), user, own))
        check_alike(shown(path), user, own, first[0])
    return own


def _read_features(
    path: pathlib.Path, user: str, group: Any, features: tuple[str, ...]
) -> Examples:
    """Reads the features of a user."""
    where = f"{shown(path)}: user {user!r}"
    arrays = [_own(path, group, feature, f"user {user!r}: ") for feature in features]
    if not all(getattr(array, "shape", None) is not None for array in arrays):
        raise UserError(f"{where} has no {' and '.join(features)}: the file is damaged")
    if any(array.external or array.is_virtual for array in arrays):
        raise UserError(f"{where} refers to other files, which are not read: get it again")
    if features == (_TEXT,):
        return _texts(where, np.asarray(arrays[0]))
    pixels, labels = arrays
    images = len(pixels.shape) in (3, 4) and pixels.dtype.kind in "uif"
    if not images or not labels.shape or len(pixels) != len(labels):
        raise UserError(
            f"{where} has {pixels.dtype} {features[0]} of shape {pixels.shape} and "
            f"{labels.dtype} labels of shape {labels.shape}: numbers of shape [n, height, width] "
            "or [n, height, width, channels] with labels [n] are read"
        )
    inputs, targets = np.asarray(pixels), np.asarray(labels)
    if inputs.dtype == np.uint8:
        return Examples(inputs if inputs.ndim == 4 else inputs[..., None], targets, raw=True)
    if not (np.abs(inputs) <= np.finfo(np.float32).max).all():
        raise UserError(f"{where} has {features[0]} that are not finite: remove or replace them")
    return Examples(pixels_of(inputs.astype(np.float32)), targets)


def _texts(where: str, values: np.ndarray) -> Examples:
    """Reads texts of words with spaces between them."""
    if values.ndim != 1 or not all(isinstance(each, bytes | str) for each in values.tolist()):
        raise UserError(
            f"{where} has tokens of shape {values.shape} and type {values.dtype}: one text of "
            "words for each example is read"
        )
    found = np.empty(len(values), object)
    try:
        found[:] = [v.decode() if isinstance(v, bytes) else v for v in values.tolist()]
    except ValueError as error:
        raise UserError(f"{where} has tokens that are not UTF-8 ({one_line(error)})") from None
    return Examples(found, np.zeros(len(found), np.int32))
