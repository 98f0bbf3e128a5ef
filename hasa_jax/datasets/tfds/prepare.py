"""Prepared files of TensorFlow Datasets: found in a folder, or downloaded and prepared there."""

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
from hasa_jax.datasets.tfds.gate import UnknownFeature, check_files
from hasa_jax.datasets.tfds.names import PREFIX, short_message

FORMAT = "array_record"
"""The only format of TFDS that is read without TensorFlow and without further packages."""

_RETRIES = 4  # They take 3 s without a network; the 10 of TFDS take more than 3 minutes.
_EXTRAS = {"array_record": "data", "importlib_resources": "data", "PIL": "data"}


def prepared(name: str, data_dir: pathlib.Path) -> Any:
    """Returns the TFDS builder of a data set; prepares its files if they do not exist.

    Args:
      name: such as `mnist`, `emnist/letters` or `mnist:3.0.1`.
      data_dir: folder of all data sets; downloads go to its folder `downloads`.

    Returns:
      A `tfds.core.DatasetBuilder`, prepared as `FORMAT`.

    Raises:
      UserError: if there is no such data set, if it cannot be prepared, or if its files are in
        another format.
    """
    if data_dir.exists() and not data_dir.is_dir():
        raise UserError(f"{data_dir} is a file: name a folder with `data_dir`")
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        check_files(data_dir / "downloads")
        _prepare(name, builder, data_dir)
    formats = sorted(each.value for each in builder.info.available_file_formats())
    if FORMAT not in formats:
        raise UserError(
            f"{builder.data_dir} has {PREFIX}{name} as {' and '.join(formats) or 'nothing'}, but "
            f"only {FORMAT} is read: run again with another `data_dir`, or after rm -r "
            f"{builder.data_dir}, to prepare it in this format"
        )
    return builder


def missing_package(name: str, error: BaseException) -> str:
    """Writes the message that names a missing package and how to install it.

    Args:
      name: name of the data set.
      error: an `ImportError`, or an error that it caused.

    Returns:
      The message.
    """
    # TFDS raises errors of its own for a failed import, without the name of the package.
    package = [each.name for each in _causes(error) if isinstance(each, ImportError)][-1]
    package = package.partition(".")[0] if package else None
    if package is None and "PIL" in str(error):
        package = "PIL"
    if package == "tensorflow":
        return (
            f"preparing {PREFIX}{name} needs TensorFlow, but only once: pip install "
            f"'hasa_jax[prepare]', or copy the folder of {PREFIX}{name}, prepared as {FORMAT} "
            "on another machine, into `data_dir`"
        )
    if package in _EXTRAS:
        return f"{PREFIX}{name} needs {package}: pip install 'hasa_jax[{_EXTRAS[package]}]'"
    return (
        f"{PREFIX}{name} needs a package that is not installed ({short_message(error)}): install it"
    )


def _builder(name: str, data_dir: pathlib.Path) -> Any:
    """Finds a data set in the folder, or among the data sets whose code TFDS has."""
    import tensorflow_datasets as tfds  # It is slow to import, so it is imported only here.

    base, _, version = name.partition(":")
    try:
        # With a version in the name, TFDS reads features from files, in another order.
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
        raise UserError(missing_package(name, error)) from error
    except Exception as error:  # No such config or version, or a damaged description.
        # TFDS packs errors into errors of its own.
        for cause in _causes(error):
            if isinstance(cause, UnknownFeature):
                raise UserError(f"{PREFIX}{name} in {data_dir}: {cause}") from None
        # TFDS lists only similar configs here, so this lists all of them.
        why, known = short_message(error).partition(" Here are ")[0].rstrip("."), []
        with contextlib.suppress(tfds.core.DatasetNotFoundError):
            known = sorted(tfds.builder_cls(base.partition("/")[0]).builder_configs)
        hint = f"; configs: {', '.join(known)}" if "BuilderConfig" in why else ""
        raise UserError(f"{PREFIX}{name} cannot be opened in {data_dir}: {why}{hint}") from error


def _prepare(name: str, builder: Any, data_dir: pathlib.Path) -> None:
    """Downloads and prepares; every failure becomes an error of one line."""
    try:
        with _bars_on_terminals(), _fewer_retries():
            builder.download_and_prepare(file_format=FORMAT)
    except Exception as error:  # The code of the data set may raise any exception.
        raise UserError(_why(name, builder, data_dir, error)) from error


def _why(name: str, builder: Any, data_dir: pathlib.Path, error: Exception) -> str:
    """Writes the message that names why a data set was not prepared, and what to do."""
    import requests  # TFDS downloads with it.
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    causes, why = _causes(error), short_message(error)
    numbers = {each.errno for each in causes if isinstance(each, OSError)}
    if any(isinstance(each, ImportError) for each in causes):
        return missing_package(name, error)
    if any(isinstance(each, NonMatchingChecksumError) for each in causes):
        file = why.partition(" has wrong checksum")[0].rstrip(",")
        return (
            f"{PREFIX}{name}: {file}, is not the file that tensorflow-datasets knows: remove it if "
            "it exists, and run again; if that does not help, update tensorflow-datasets"
        )
    if any(isinstance(each, requests.RequestException) for each in causes):
        asked = [getattr(each, "request", None) for each in causes]
        sites = " or ".join(sorted(str(each.url) for each in asked if each)) or "its site"
        return (
            f"{PREFIX}{name} is not in {data_dir}, and could not be downloaded from {sites}: "
            f"connect to the internet, or copy the folder of {PREFIX}{name}, prepared as {FORMAT} "
            f"on another machine, to {builder.data_dir}"
        )
    if numbers & {errno.ENOSPC, errno.EDQUOT} or "Not enough disk space" in str(error):
        return f"no space left in {data_dir} for {PREFIX}{name} ({why}): make room"
    if numbers & {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
        return f"{PREFIX}{name} is not in {data_dir}, which cannot be written ({why})"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return (
            f"{PREFIX}{name} has files that you must get yourself, into "
            f"{data_dir / 'downloads' / 'manual'}: {why}"
        )
    return f"{PREFIX}{name} could not be prepared ({type(error).__name__}): {why}"


def _causes(error: BaseException) -> list[BaseException]:
    """Returns an error and the errors that caused it, in that order."""
    found: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in found:
        found.append(each)
        each = each.__cause__ or each.__context__
    return found


@contextlib.contextmanager
def _bars_on_terminals() -> Iterator[None]:
    """Shows progress on a terminal; writes nothing to files and pipes."""
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
    """Limits the retries of downloads; another run continues with the files that arrived."""
    from tensorflow_datasets.core.download import downloader

    usual = getattr(downloader, "MAX_RETRIES", _RETRIES)
    downloader.MAX_RETRIES = min(usual, _RETRIES)
    try:
        yield
    finally:
        downloader.MAX_RETRIES = usual
