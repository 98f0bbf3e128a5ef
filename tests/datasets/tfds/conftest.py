"""A data set that TensorFlow Datasets prepared."""

import pathlib
import shutil

import pytest

from tests.support import prepared
from tests.support.prepared import shapes


@pytest.fixture(scope="session")
def _original(tmp_path_factory):
    splits = {"train": shapes(40), "test": shapes(12, seed=1), "validation": shapes(5, seed=2)}
    return prepared.prepare(tmp_path_factory.mktemp("tfds"), splits)


@pytest.fixture
def folder(_original, tmp_path):
    """A folder with data set `shapes`: 40 images for training, 12 for testing, and others."""
    return pathlib.Path(shutil.copytree(_original, tmp_path / "data"))
