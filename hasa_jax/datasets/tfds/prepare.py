"""Preparing a data set of TensorFlow Datasets, or finding it prepared."""

from __future__ import annotations

import contextlib
import difflib
import errno
import io
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from hasa_jax.base import UserError
from hasa_jax.datasets.tfds.names import PREFIX, told

FORMAT = "array_record"
"""The one format of TFDS for reading rows without TensorFlow that needs no further packages."""

_RETRIES = 4  # A wait of 3 s in all; the 10 of TFDS take more than 3 minutes to tell of no network.
_EXTRAS = {"array_record": "data", "importlib_resources": "data", "PIL": "data"}


def prepared(name: str, data_dir: pathlib.Path) -> Any:
    """Returns the TFDS builder of a data set whose files are there, preparing them if need be.

    Args:
      name: such as `mnist`, `emnist/letters` or `mnist:3.0.1`.
      data_dir: folder of all data sets; downloads go to its folder `downloads`.

    Returns:
      A `tfds.core.DatasetBuilder`, prepared as `FORMAT`.

    Raises:
      UserError: if there is no such data set, or it cannot be prepared, or only its files in
        another format are there.
    """
    if data_dir.exists() and not data_dir.is_dir():
        raise UserError(f"{data_dir} is a file: name a folder with --data_dir")
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        _prepare(name, builder, data_dir)
    formats = sorted(each.value for each in builder.info.available_file_formats())
    if FORMAT not in formats:
        raise UserError(
            f"{builder.data_dir} has {PREFIX}{name} as {' and '.join(formats) or 'nothing'}, but "
            f"only {FORMAT} is read: run again with another --data_dir, or after rm -r "
            f"{builder.data_dir}, to prepare it as that"
        )
    return builder


def needs(name: str, error: BaseException) -> str:
    """Says which package is missing, and how to get it.

    Args:
      name: of the data set.
      error: an `ImportError`, or one that was raised because of it.

    Returns:
      The message.
    """
    # TFDS tells of an import in errors of its own, without the name of the package.
    package = [each.name for each in _causes(error) if isinstance(each, ImportError)][-1]
    package = package.partition(".")[0] if package else None
    if package is None and "PIL" in str(error):
        package = "PIL"
    if package == "tensorflow":
        return (
            f"preparing {PREFIX}{name} needs TensorFlow, for this once: pip install "
            f"'hasa_jax[prepare]', or copy the folder of {PREFIX}{name}, prepared as {FORMAT} "
            "elsewhere, into --data_dir"
        )
    if package in _EXTRAS:
        return f"{PREFIX}{name} needs {package}: pip install 'hasa_jax[{_EXTRAS[package]}]'"
    return f"{PREFIX}{name} needs a package that is not installed ({told(error)}): install it"


def _builder(name: str, data_dir: pathlib.Path) -> Any:
    """Finds a data set in the folder, or among those that TFDS has the code of."""
    import tensorflow_datasets as tfds  # Slow to import, so only its user pays for it.

    base, _, version = name.partition(":")
    try:
        # Asked for a version, TFDS reads features from files, where their order is another.
        with contextlib.suppress(Exception):
            builder = tfds.builder(base, data_dir=data_dir)
            if version in ("", str(builder.version)):
                return builder
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        close = difflib.get_close_matches(
            base.partition("/")[0], tfds.list_builders(with_community_datasets=False)
        )
        hint = f"did you mean {' or '.join(close)}?" if close else "tfds.list_builders() has them"
        raise UserError(
            f"{PREFIX}{name} is neither in {data_dir} nor known to tensorflow-datasets "
            f"{tfds.__version__}: {hint}"
        ) from None
    except ImportError as error:
        raise UserError(needs(name, error)) from error
    except Exception as error:  # No such config or version, or a damaged description.
        # TFDS means to list the configs here, and lists those that are like the one asked for.
        why, known = told(error).partition(" Here are ")[0].rstrip("."), []
        with contextlib.suppress(tfds.core.DatasetNotFoundError):
            known = sorted(tfds.builder_cls(base.partition("/")[0]).builder_configs)
        hint = f"; configs: {', '.join(known)}" if "BuilderConfig" in why else ""
        raise UserError(f"{PREFIX}{name} cannot be opened in {data_dir}: {why}{hint}") from error


def _prepare(name: str, builder: Any, data_dir: pathlib.Path) -> None:
    """Downloads and prepares; whatever goes wrong is told in one line."""
    try:
        with _bars_on_terminals(), _fewer_retries():
            builder.download_and_prepare(file_format=FORMAT)
    except Exception as error:  # Code of a thousand data sets: it may raise anything.
        raise UserError(_why(name, builder, data_dir, error)) from error


def _why(name: str, builder: Any, data_dir: pathlib.Path, error: Exception) -> str:
    """Says what kept a data set from being prepared, and what to do."""
    import requests  # What TFDS downloads with.
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    causes = _causes(error)
    numbers = {each.errno for each in causes if isinstance(each, OSError)}
    if any(isinstance(each, ImportError) for each in causes):
        return needs(name, error)
    if any(isinstance(each, NonMatchingChecksumError) for each in causes):
        file = told(error).partition(" has wrong checksum")[0].rstrip(",")
        return (
            f"{PREFIX}{name}: {file}, is not the file that tensorflow-datasets knows: remove it if "
            "it is there, and run again; if that does not help, update tensorflow-datasets"
        )
    if any(isinstance(each, requests.RequestException) for each in causes):
        asked = [getattr(each, "request", None) for each in causes]
        sites = " or ".join(sorted(str(each.url) for each in asked if each)) or "its site"
        return (
            f"{PREFIX}{name} is not in {data_dir}, and could not be downloaded from {sites}: "
            f"connect to the internet, or copy the folder of {PREFIX}{name}, prepared as {FORMAT} "
            f"elsewhere, to {builder.data_dir}"
        )
    if numbers & {errno.ENOSPC, errno.EDQUOT} or "Not enough disk space" in str(error):
        return f"no space left in {data_dir} for {PREFIX}{name} ({told(error)}): make room"
    if numbers & {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
        return f"{PREFIX}{name} is not in {data_dir}, which cannot be written ({told(error)})"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return (
            f"{PREFIX}{name} has files that you must get yourself, into "
            f"{data_dir / 'downloads' / 'manual'}: {told(error)}"
        )
    return f"{PREFIX}{name} could not be prepared ({type(error).__name__}): {told(error)}"


def _causes(error: BaseException) -> list[BaseException]:
    """Returns an error and what it came from, in that order."""
    found: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in found:
        found.append(each)
        each = each.__cause__ or each.__context__
    return found


@contextlib.contextmanager
def _bars_on_terminals() -> Iterator[None]:
    """Shows progress to who looks at a terminal, and leaves log files and results alone."""
    import tensorflow_datasets as tfds

    terminal = sys.stderr.isatty()
    if not terminal:
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(sys.stderr if terminal else io.StringIO()):
            yield
    finally:
        if not terminal:
            tfds.enable_progress_bar()


@contextlib.contextmanager
def _fewer_retries() -> Iterator[None]:
    """Lets downloads fail within seconds; files that came are kept, so another run goes on."""
    from tensorflow_datasets.core.download import downloader

    usual = getattr(downloader, "MAX_RETRIES", _RETRIES)
    downloader.MAX_RETRIES = min(usual, _RETRIES)
    try:
        yield
    finally:
        downloader.MAX_RETRIES = usual
