"""Data sets of LEAF, such as FEMNIST and Shakespeare: every user is a client."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from hasa_jax.base import IGNORED, FederatedDataset, UserError
from hasa_jax.datasets.arrays import check_number_of_classes, targets_of
from hasa_jax.datasets.examples import Examples
from hasa_jax.datasets.files.leaf_json import leaf_json
from hasa_jax.datasets.images import standardised
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.paths import path_of
from hasa_jax.datasets.scales import are_bytes
from hasa_jax.datasets.users import Encoding, from_users
from hasa_jax.datasets.vocabulary import FIRST_WORD_ID, PADDING_ID, UNKNOWN_ID


def leaf(
    key: jax.Array,
    *,
    data_dir: str | os.PathLike[str],
    min_examples: int = 10,
    max_clients: int = 0,
    folds: int = 0,
    fold: int = 0,
) -> FederatedDataset:
    """Reads the JSON files of LEAF (arXiv 1812.01097), whose users are the clients.

    Lists of 784 numbers are images of 28 x 28 pixels (FEMNIST). Texts predict the character that
    follows them (Shakespeare): as in LEAF, only the last position of a text has a target, as the
    next text of the user is one character further on. Other numbers stay as they are.

    Texts of a user that follow each other, each one some characters further on, are split in their
    order, with a gap (`windows.marks_in_order`). It is that of LEAF's `-t sample`, and what it
    leaves out is counted in a note. With a folder `test`, texts for validation are drawn at random
    from those for training, and may overlap with them; so may other texts. A note says so.

    Args:
      key: root key of the run; it is not consumed.
      data_dir: folder of files `*.json`, or of the folders `train` and `test` that have them, as
        LEAF's `preprocess.sh -t sample` writes them.
      min_examples: users with fewer examples, beside those in `test`, are left out with a note.
      max_clients: users to use, drawn at random; 0 for all.
      folds: number of folds `K` of cross-validation, in which every example is for test once; 0
        for none. A client needs `K` examples, and three; four for two folds.
        Data with a folder `test` have no folds.
      fold: which of them, from 1 to `K`; 0 if there are none. Folds of one key share what is drawn
        beside the splits.

    Returns:
      The dataset; clients are in the order of their names. Inputs of images are float32 `[D, 28,
      28, 1]`, with mean 0 and deviation 1 over all training images. Inputs of texts are int32
      `[D, T]`, ids of characters, and targets are int32 `[D, T]`. Other targets are int32 `[D]`.

    Raises:
      UserError: if a file is missing or damaged, or if there are too few users or examples.
    """
    found = leaf_json(path_of(data_dir))
    train, test = found.train, found.test
    if not found.texts:
        train, test = with_classes(train, test)
    return from_users(
        train,
        test,
        _characters if found.texts else encode_numbers,
        key,
        min_examples=min_examples,
        max_clients=max_clients,
        folds=folds,
        fold=fold,
        overlap=found.texts,
        notes=found.notes,
    )


def with_classes(
    train: Mapping[str, Sequence[Examples]], test: Mapping[str, Sequence[Examples]] | None
) -> tuple[dict[str, list[Examples]], dict[str, list[Examples]] | None]:
    """Reads targets as class ids.

    Args:
      train: parts of each user's examples, by name.
      test: the same of those for testing, if the authors set some apart.

    Returns:
      The same with targets `[n]`, int32.

    Raises:
      UserError: if they are no class ids; it names the user.
    """
    found = [
        {user: [_with_classes(user, part) for part in parts] for user, parts in own.items()}
        for own in (train, test or {})
    ]
    every = [(part.targets, user) for own in found for user, parts in own.items() for part in parts]
    count = sum(len(targets) for targets, _ in every)
    if count:
        largest, user = max((int(targets.max(initial=-1)), user) for targets, user in every)
        check_number_of_classes(user, largest + 1, count, 1)
    return found[0], None if test is None else found[1]


def _with_classes(user: str, part: Examples) -> Examples:
    """Reads the targets of a user as class ids."""
    _check_targets(user, part.targets)
    return part._replace(targets=targets_of(user, (), part.targets, 0))


def _check_targets(user: str, targets: np.ndarray) -> None:
    """Refuses targets that are no numbers, or several of an example."""
    flat = targets.ravel()
    odd = flat[:1]
    if targets.dtype.kind == "f":
        odd = flat[~(np.isfinite(flat) & (np.trunc(flat) == flat))]
    if targets.dtype.kind not in "biu" and len(odd):
        raise UserError(
            f"user {user!r} has targets such as {odd.tolist()[0]!r}: class ids are whole numbers "
            "from 0"
        )
    if targets.ndim > 1 and targets.shape[1:] != (1,):
        raise UserError(
            f"user {user!r} has targets of shape {targets.shape[1:]} for each example: one class "
            "id is read, so give numpy.argmax of labels that are one-hot"
        )


def encode_numbers(inputs: np.ndarray, targets: np.ndarray, train: np.ndarray) -> Encoding:
    """Encodes images of bytes, or other numbers, with class ids; an `EncodeFn`."""
    num_classes = int(targets.max(initial=-1)) + 1
    notes = _untrained(targets, targets[train])
    if inputs.dtype == np.uint8:
        check_memory(2 * 4 * inputs.size, f"{len(inputs)} images")
        return Encoding(functools.partial(_standardised, inputs[train]), num_classes, notes=notes)
    if inputs.ndim == 4 and are_bytes(inputs):
        notes += ("pixels are whole numbers from 0 to 255, so they are read as bytes",)
        check_memory(2 * 4 * inputs.size, f"{len(inputs)} images")
        like = inputs[train].astype(np.uint8)
        return Encoding(functools.partial(_bytes_standardised, like), num_classes, notes=notes)
    notes += ("pixels are no bytes over 255, so they stay as they are",) * (inputs.ndim == 4)
    return Encoding(lambda inputs, targets: (inputs, targets), num_classes, notes=notes)


def _untrained(targets: np.ndarray, trained: np.ndarray) -> tuple[str, ...]:
    """Writes how many classes only validation or testing has; nothing if there are none."""
    every = np.unique(targets)
    count = len(every) - len(np.unique(trained))
    return (f"{count} of {len(every)} classes have no example for training",) if count else ()


def _bytes_standardised(
    like: np.ndarray, inputs: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what `_standardised` does of images that are numbers from 0 to 255."""
    return _standardised(like, inputs.astype(np.uint8), targets)


def _standardised(
    like: np.ndarray, inputs: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns images with the mean and deviation of training images, and class ids."""
    return standardised(inputs, like), targets


def _characters(inputs: np.ndarray, targets: np.ndarray, train: np.ndarray) -> Encoding:
    """Encodes texts by the characters of training texts, the most frequent first."""
    check_memory(2 * 8 * inputs.size, f"{len(inputs)} texts")
    seen = np.concatenate([inputs[train].ravel(), targets[train]])
    codes, counts = np.unique(seen[seen > 0], return_counts=True)
    # Of equally frequent ones the first in Unicode comes first.
    codes = codes[np.argsort(-counts, kind="stable")]
    ids = np.full(int(max(inputs.max(), targets.max())) + 1, UNKNOWN_ID, np.int32)
    ids[codes] = np.arange(len(codes), dtype=np.int32) + FIRST_WORD_ID
    ids[0] = PADDING_ID
    apply = functools.partial(_ids_of, ids)
    return Encoding(apply, len(codes), len(codes) + FIRST_WORD_ID)


def _ids_of(
    ids: np.ndarray, inputs: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids of texts `[n, T]`, and the class of what follows at their last characters."""
    following = np.full(inputs.shape, IGNORED, np.int32)
    last = np.count_nonzero(inputs, axis=1) - 1
    following[np.arange(len(inputs)), last] = ids[targets] - FIRST_WORD_ID
    return ids[inputs], following
