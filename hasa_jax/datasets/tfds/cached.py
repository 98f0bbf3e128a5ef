"""Pools kept as arrays beside the prepared files, so that each set is decoded once."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import pathlib
from typing import Any

import numpy as np

from hasa_jax.datasets.pool import Pool

_FOLDER = "hasa_jax"
_LAYOUT = "1"  # Of the arrays and of what is read into them: raise it when either changes.


def place(data_dir: pathlib.Path, name: str) -> pathlib.Path:
    """Returns where the arrays of a data set are kept.

    Args:
      data_dir: folder of all data sets.
      name: such as `mnist` or `emnist/letters:3.1.0`.

    Returns:
      The path of an npz file, that may not exist.
    """
    return data_dir / _FOLDER / f"{name.replace('/', '-').replace(':', '-')}.npz"


def fingerprint(data_dir: pathlib.Path, name: str) -> str:
    """Tells the prepared files of a data set from others, without opening them.

    Args:
      data_dir: folder of all data sets.
      name: as for `place`; all its configs and versions count.

    Returns:
      A hash of `name` and of the files' names, sizes and times of change; empty if there are none.
    """
    folder = data_dir / name.partition(":")[0].partition("/")[0]
    told = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            own = path.stat()
            told.append(f"{path.relative_to(folder)}\0{own.st_size}\0{own.st_mtime_ns}")
    return hashlib.sha256("\n".join([_LAYOUT, name, *told]).encode()).hexdigest() if told else ""


def load(path: pathlib.Path, expected: str) -> Pool | None:
    """Reads what `save` wrote; nothing is unpickled.

    Args:
      path: an npz file.
      expected: fingerprint of the prepared files.

    Returns:
      The pool; None if there is none, or one of other files, or a damaged one.
    """
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not expected or str(file["fingerprint"]) != expected:
                return None
            targets, is_test = file["targets"], file["is_test"]
            inputs = file["images"] if "images" in file.files else _texts(file)
            if not len(inputs) == len(targets) == len(is_test):
                return None
            return Pool(
                inputs=inputs,
                targets=targets,
                is_test=is_test,
                classes=tuple(map(str, file["classes"])),
                groups=np.zeros(len(targets), np.int32),
            )
    except Exception:  # Whatever is wrong with a copy, the data set itself is there.
        return None


def save(path: pathlib.Path, own: str, pool: Pool) -> None:
    """Keeps a pool, all of it or nothing; a folder that cannot be written keeps none.

    Args:
      path: where to.
      own: fingerprint of the prepared files that it was read from.
      pool: images of bytes, or texts.
    """
    arrays: dict[str, Any] = {
        "fingerprint": np.array(own),
        "targets": pool.targets,
        "is_test": pool.is_test,
        "classes": np.array(pool.classes),
    }
    arrays |= {"images": pool.inputs} if pool.inputs.dtype == np.uint8 else _bytes(pool.inputs)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    # Read-only, or full: the next run decodes again, as this one did.
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        try:
            with unfinished.open("wb") as stream:
                np.savez(stream, **arrays)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def _bytes(texts: np.ndarray) -> dict[str, np.ndarray]:
    """Turns texts into their UTF-8, end to end, and where each begins and ends."""
    encoded = [text.encode() for text in texts]
    return {
        "utf8": np.frombuffer(b"".join(encoded), np.uint8),
        "offsets": np.cumsum([0, *map(len, encoded)]),
    }


def _texts(file: np.lib.npyio.NpzFile) -> np.ndarray:
    """Undoes `_bytes`."""
    content, offsets = file["utf8"].tobytes(), file["offsets"].tolist()
    texts = np.empty(len(offsets) - 1, object)
    texts[:] = [content[a:b].decode() for a, b in itertools.pairwise(offsets)]
    return texts
