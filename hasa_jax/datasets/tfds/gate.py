"""What stops a prepared folder of TensorFlow Datasets from running code of its own."""

from __future__ import annotations

import contextlib
import pathlib
import sys
from collections.abc import Iterator

from hasa_jax.base import UserError
from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.paths import check_regular, shown

_OWN = "tensorflow_datasets.core.features."


class UnknownFeature(UserError):
    """A prepared folder names a feature class that tensorflow-datasets does not have."""


@contextlib.contextmanager
def no_foreign_code(data_dir: pathlib.Path) -> Iterator[None]:
    """Closes the two ways by which data can make the program import a module.

    `features.json` of a prepared folder names Python classes, and tensorflow-datasets imports the
    module of a class that it does not know. Here only its own public feature classes exist, and any
    other name is refused before an import. Modules are also not found in the working directory or
    in the folder of the data, where a file could have the name of a missing package.

    Args:
      data_dir: folder of all data sets.

    Raises:
      UserError: if the installed tensorflow-datasets restores features in an unknown way.
    """
    with _no_imports_from(pathlib.Path.cwd(), data_dir):
        try:
            import tensorflow_datasets as tfds  # It is slow to import, so it is imported only here.
        except ImportError as error:
            raise UserError(
                f"data sets of tfds: need {error.name or 'tensorflow-datasets'}: pip install "
                "'hasa_jax[data]'"
            ) from None
        connector = tfds.features.FeatureConnector
        usual = vars(connector).get("cls_from_name")
        if not isinstance(usual, classmethod):
            raise UserError(
                f"tensorflow-datasets {tfds.__version__} restores features in an unknown way, so "
                "prepared folders are not read: install tensorflow-datasets 4.9"
            )
        public = [getattr(tfds.features, name) for name in dir(tfds.features)]
        kinds = [kind for kind in public if isinstance(kind, type) and issubclass(kind, connector)]
        known = {f"{kind.__module__}.{kind.__name__}": kind for kind in kinds}
        # Folders of earlier versions have further names of the same classes.
        registered = dict(getattr(connector, "_registered_features", {}))
        known |= {name: kind for name, kind in registered.items() if name.startswith(_OWN)}

        def own_class(_: type, python_class_name: str) -> type:
            if python_class_name not in known:
                raise UnknownFeature(
                    f"a prepared folder names the feature class {one_line(python_class_name)!r}, "
                    "which tensorflow-datasets does not have: nothing of it is imported; use a "
                    "folder with features of tensorflow-datasets only"
                )
            return known[python_class_name]

        connector.cls_from_name = classmethod(own_class)  # pyright: ignore
        try:
            yield
        finally:
            connector.cls_from_name = usual  # pyright: ignore


def check_files(folder: pathlib.Path) -> None:
    """Refuses a prepared folder with pipes or devices in place of files: they could block.

    Args:
      folder: folder of one data set; it may not exist.

    Raises:
      UserError: if one of its files is no regular file; the message names it.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and not path.exists():
            raise UserError(f"{shown(path)} is a link to nothing: remove it")
        check_regular(path)


@contextlib.contextmanager
def _no_imports_from(*folders: pathlib.Path) -> Iterator[None]:
    """Removes folders from the places where Python looks for modules."""
    closed = {folder.resolve() for folder in folders}
    usual = list(sys.path)
    sys.path[:] = [entry for entry in usual if pathlib.Path(entry).resolve() not in closed]
    try:
        yield
    finally:
        # The code of a data set may have added places of its own.
        sys.path[:] = usual
