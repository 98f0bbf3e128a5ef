"""Pools saved as arrays beside the prepared files: each data set is decoded only once."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from hasa_jax.datasets.files.archive import check_size, member_of, values_of
from hasa_jax.datasets.paths import check_regular, opened
from hasa_jax.datasets.pool import Pool

_FOLDER = "hasa_jax"
_VERSION = "1"  # Version of these files: raise it when their arrays or contents change.


def path_of(data_dir: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the path of the saved arrays of a data set.

    Args:
      data_dir: folder of all data sets.
      name: such as `mnist` or `emnist/letters:3.1.0`.

    Returns:
      The path of an npz file; the file may not exist.
    """
    return data_dir / _FOLDER / f"{name.replace('/', '-').replace(':', '-')}.npz"


def fingerprint(data_dir: pathlib.Path, name: str) -> str:
    """Hashes the names, sizes and times of the prepared files of a data set.

    Args:
      data_dir: folder of all data sets.
      name: as in `path_of`; the files of all its configs and versions count.

    Returns:
      The hash of `name` and of the files' names, sizes and times of change; empty without files.
    """
    folder = data_dir / name.partition(":")[0].partition("/")[0]
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            own = path.stat()
            found.append(f"{path.relative_to(folder)}\0{own.st_size}\0{own.st_mtime_ns}")
    if not found:
        return ""
    return hashlib.sha256("\n".join([_VERSION, name, *found]).encode()).hexdigest()


def load(path: pathlib.Path, expected: str) -> Pool | None:
    """Reads a file of `save`; nothing is unpickled.

    Args:
      path: an npz file.
      expected: fingerprint of the prepared files.

    Returns:
      The pool; None if there is no file, if it is damaged, or if it is of other prepared files.
    """
    check_regular(path)
    try:
        with opened(path, "saved arrays") as stream, zipfile.ZipFile(stream) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            members = {name: member_of(archive, stream, name) for name in names}
            check_size(path, sum(member.info.file_size for member in members.values()))
            file = {name: values_of(archive, member) for name, member in members.items()}
            if not expected or str(file["fingerprint"]) != expected:
                return None
            targets, is_test = file["targets"], file["is_test"]
            inputs = file["images"] if "images" in file else _texts(file)
            if not len(inputs) == len(targets) == len(is_test):
                return None
            return Pool(
                inputs=inputs,
                targets=targets,
                is_test=is_test,
                classes=tuple(map(str, file["classes"])),
                groups=np.zeros(len(targets), np.int32),
            )
    except Exception:  # A damaged copy is no problem: the prepared files still exist.
        return None


def save(path: pathlib.Path, own: str, pool: Pool) -> None:
    """Saves a pool completely or not at all; does nothing in a folder that cannot be written.

    Args:
      path: path of the new file.
      own: fingerprint of the prepared files.
      pool: a pool of images or texts.
    """
    arrays: dict[str, Any] = {
        "fingerprint": np.array(own),
        "targets": pool.targets,
        "is_test": pool.is_test,
        "classes": np.array(pool.classes),
    }
    arrays |= {"images": pool.inputs} if pool.inputs.dtype == np.uint8 else _bytes(pool.inputs)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    # If the disk is read-only or full, the next run decodes again.
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        try:
            with unfinished.open("wb") as stream:
                np.savez(stream, **arrays)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def _bytes(texts: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the joined UTF-8 of texts, and the offset of each text in it."""
    encoded = [text.encode() for text in texts]
    return {
        "utf8": np.frombuffer(b"".join(encoded), np.uint8),
        "offsets": np.cumsum([0, *map(len, encoded)]),
    }


def _texts(file: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the texts of `_bytes`."""
    content, offsets = file["utf8"].tobytes(), file["offsets"].tolist()
    texts = np.empty(len(offsets) - 1, object)
    texts[:] = [content[a:b].decode() for a, b in itertools.pairwise(offsets)]
    return texts
