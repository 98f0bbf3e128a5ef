"""The JSON files of LEAF: users, and each user's inputs and targets."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.examples import Examples
from hasa_jax.datasets.messages import first_of, one_line
from hasa_jax.datasets.names import plain_name
from hasa_jax.datasets.paths import content_of, is_text, shown
from hasa_jax.datasets.users import check_alike

_WHAT = "a JSON file of LEAF"
GZIP = b"\x1f\x8b"
"""How a file begins that gzip packed."""

_SIDE = 28
"""Images are lists of 28 x 28 numbers."""

_PIXEL = 1e-3
"""Numbers are pixels of bytes if each is a multiple of 1 / 255, so far."""


class Leaf(NamedTuple):
    """What a folder of LEAF has.

    Attributes:
      train: parts of each user's examples, by name.
      test: those of the folder `test`; None if there is no such folder.
      texts: whether inputs are texts. Their codes are `[n, T]` uint32, with 0 after their end, and
        targets are the code of the character that follows. Else inputs are numbers `[n, ...]`:
        images of bytes `[n, height, width, channels]`, or float32.
      notes: lines about files that were not read.
    """

    train: dict[str, list[Examples]]
    test: dict[str, list[Examples]] | None
    texts: bool
    notes: tuple[str, ...]


class _Unread(NamedTuple):
    """Examples of a user that are none: why."""

    why: str


def leaf_json(data_dir: pathlib.Path) -> Leaf:
    """Reads a folder of LEAF, one file after the other and one user after the other.

    A file has `users` (names), `num_samples` (their numbers of examples) and `user_data`:
    `{user: {"x": [...], "y": [...]}}`. A user may stand in several files.

    Args:
      data_dir: folder of files `*.json`; or of folders `train` and `test` that have them.

    Returns:
      The examples.

    Raises:
      UserError: if there is no file, or one is damaged; the message names it, and the user.
    """
    folders = _folders(data_dir)
    found: dict[str, dict[str, list[Examples]]] = {name: {} for name in folders}
    first: tuple[str, str, Examples] | None = None
    unread = [] if data_dir in folders.values() else [*_listed(data_dir)]
    for name, folder in folders.items():
        files, others = _files(folder)
        unread += others
        for path in files:
            for user, own in _users(path).items():
                if len(own.targets):
                    first = first or (shown(path), user, own)
                    check_alike(shown(path), user, own, first)
                found[name].setdefault(user, []).append(own)
    if first is None:
        raise UserError(f"no user in {shown(data_dir)} has an example: get the files again")
    names = first_of(shown(path.relative_to(data_dir)) for path in unread)
    notes = (f"{len(unread)} other files were not read: {names}",) if unread else ()
    return Leaf(found["train"], found.get("test"), first[2].inputs.dtype == np.uint32, notes)


def _folders(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns the folders of files, by what their examples are for."""
    if not data_dir.is_dir():
        why = "is a file: name its folder" if data_dir.exists() else "does not exist: name a folder"
        raise UserError(f"{shown(data_dir)} {why} with `data_dir`")
    folders = {name: data_dir / name for name in ("train", "test")}
    if not folders["train"].is_dir():
        if folders["test"].is_dir() and not _files_of(data_dir):
            raise UserError(
                f"{shown(data_dir)} has a folder test and none with the name train: get LEAF's "
                "files for training, too"
            )
        return {"train": data_dir}
    return folders if folders["test"].is_dir() else {"train": folders["train"]}


def _listed(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns all files of a folder by name; those in folders of it are no part of it."""
    return sorted(path for path in folder.iterdir() if not path.is_dir())


def _files_of(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the JSON files of a folder by name, without those that are hidden."""
    own = _listed(folder)
    return [p for p in own if p.suffix.lower() == ".json" and not p.name.startswith(".")]


def _files(folder: pathlib.Path) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Returns the JSON files of a folder by name, and its other files."""
    found, every = _files_of(folder), _listed(folder)
    if found:
        return found, [path for path in every if path not in found]
    below = sorted({path.parent for path in folder.glob("*/*.json")})
    below += sorted({path.parent.parent for path in folder.glob("*/train/*.json")})
    if below:
        hint = f"name {shown(below[-1])} with `data_dir`"
    elif folder.name == "test":
        hint = "put LEAF's files for testing there, or remove the folder to split every user's own"
    else:
        hint = "name the folder that has them with `data_dir`"
    if every:
        hint = f"it has {first_of(shown(path.name) for path in every)}; unpack them, or {hint}"
    raise UserError(f"{shown(folder)} has no files *.json: {hint}")


def _users(path: pathlib.Path) -> dict[str, Examples]:
    """Reads the users of a file."""
    content = content_of(path, _WHAT)
    if content.startswith(GZIP):
        raise UserError(f"{shown(path)} is packed by gzip: unpack it")
    try:
        # Lists of numbers are large: each user's become arrays as soon as the user is read.
        found = json.loads(content, object_pairs_hook=_compact)
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{shown(path)} is no JSON ({one_line(error)}): it is damaged or cut off, get it again"
        ) from None
    data = found.get("user_data") if isinstance(found, dict) else None
    if not isinstance(data, dict) or not data:
        named = isinstance(found, dict) and "user_data" in found
        what = "users by name in its user_data" if named else "`user_data`"
        raise UserError(
            f"{shown(path)} has no {what}: give "
            "files of LEAF with users, num_samples and user_data, and keep others elsewhere"
        )
    counts = _counts(path, found, data)
    for user, own in data.items():
        if not is_text(user) or not plain_name(user):
            raise UserError(
                f"{shown(path)}: the name '{shown(user)}' of a user is "
                f"{'empty' if is_text(user) else 'not Unicode'}: give it another one"
            )
        if not isinstance(own, Examples):
            why = own.why if isinstance(own, _Unread) else "has no x and y"
            raise UserError(f"{shown(path)}: user {user!r} {why}")
        if counts.get(user, len(own.targets)) != len(own.targets):
            raise UserError(
                f"{shown(path)}: user {user!r} has {len(own.targets)} examples, but num_samples is "
                f"{counts[user]!r}: the file is damaged, get it again"
            )
    return data


def _counts(path: pathlib.Path, found: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """Returns the numbers of examples that a file states; empty if it states none."""
    users, counts = found.get("users", list(data)), found.get("num_samples")
    if not isinstance(users, list) or sorted(map(str, users)) != sorted(data):
        raise UserError(
            f"{shown(path)}: the names in `users` are not those in `user_data`: the file is "
            "damaged, get it again"
        )
    if counts is None:
        return {}
    if not isinstance(counts, list) or len(counts) != len(users):
        raise UserError(
            f"{shown(path)} has {len(users)} users, but not as many `num_samples`: the file is "
            "damaged, get it again"
        )
    return dict(zip(map(str, users), counts, strict=True))


def _compact(pairs: Sequence[tuple[str, Any]]) -> Any:
    """Makes arrays of a JSON object that has x and y; other objects become dicts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} stands there twice")
    # Users may have the names x and y.
    users = any(isinstance(found.get(name), dict | Examples | _Unread) for name in ("x", "y"))
    if users or not {"x", "y"} <= found.keys():
        return found
    try:
        return _examples(found["x"], found["y"])
    except UserError as error:
        return _Unread(str(error))


def _examples(x: Any, y: Any) -> Examples:
    """Makes arrays of one user's lists; the error is a message without the user."""
    if not isinstance(x, list) or not isinstance(y, list) or len(x) != len(y):
        lengths = [len(v) if isinstance(v, list) else type(v).__name__ for v in (x, y)]
        raise UserError(f"has x and y of {lengths[0]} and {lengths[1]}: they need one length")
    if any(isinstance(each, str) for each in x):
        return Examples(_codes(x, "x"), _codes(y, "y")[:, 0] if y else np.zeros(0, np.uint32))
    inputs = _numbers(x, "x")
    if not np.isfinite(inputs).all():
        raise UserError("has x that are not finite: remove or replace them")
    if inputs.size and np.abs(inputs).max() > np.finfo(np.float32).max:
        raise UserError(_too_large("x"))
    return Examples(pixels_of(inputs.astype(np.float32)), _numbers(y, "y"))


def _numbers(values: list[Any], name: str) -> np.ndarray:
    """Returns nested lists of numbers as an array."""
    try:
        found = np.asarray(values)
    except ValueError:
        raise UserError(f"has {name} of several lengths: every example needs the same") from None
    if found.dtype == object and all(isinstance(each, int | float) for each in found.ravel()):
        raise UserError(_too_large(name))
    if found.dtype.kind not in "biuf" and name == "y":
        odd = next(v for v in values if not isinstance(v, int | float))
        raise UserError(f"has y such as {one_line(repr(odd))}: class ids are numbers from 0")
    if found.dtype.kind not in "biuf":
        raise UserError(
            f"has {name} that are neither numbers nor texts of characters: of LEAF, femnist, "
            "shakespeare, synthetic and other files of numbers are read"
        )
    return found


def _too_large(name: str) -> str:
    """Says that numbers are beyond what arrays hold."""
    return f"has {name} that are too large: arrays hold float32 inputs and int32 classes"


def _codes(texts: list[Any], name: str) -> np.ndarray:
    """Returns the code points of texts `[n, T]`, uint32; 0 after their ends."""
    if not all(isinstance(text, str) and text for text in texts):
        raise UserError(f"has {name} that are no texts, or empty ones: the next character is read")
    if name == "y" and any(len(text) != 1 for text in texts):
        raise UserError("has y of several characters: the one that follows a text is read")
    if any("\0" in text for text in texts):
        raise UserError(f"has {name} with a NUL character: remove it")
    array = np.array(texts)
    return array.view(np.uint32).reshape(len(array), -1)


def pixels_of(inputs: np.ndarray) -> np.ndarray:
    """Reads pixels that are bytes over 255.

    Args:
      inputs: numbers. Images are `[n, 784]`, `[n, height, width]` or `[n, height, width,
        channels]`.

    Returns:
      Images of bytes `[n, height, width, channels]` if all pixels are bytes over 255, else images
      of the numbers; other inputs as they are.
    """
    if inputs.shape[1:] == (_SIDE**2,):
        inputs = inputs.reshape(-1, _SIDE, _SIDE, 1)
    elif inputs.ndim == 3:
        inputs = inputs[..., None]
    if inputs.ndim != 4 or not inputs.size:
        return inputs
    scaled = inputs * 255
    rounded = np.round(scaled)
    inside = rounded.min() >= 0 and rounded.max() <= 255
    exact = inside and np.abs(scaled - rounded).max() <= _PIXEL * 255
    return rounded.astype(np.uint8) if exact else inputs
