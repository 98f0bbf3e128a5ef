"""Failures of the code, the downloads and the checks of TensorFlow Datasets."""

import errno
import itertools
import sys

import pytest
import tensorflow_datasets
from tensorflow_datasets.core.download import downloader
from tensorflow_datasets.core.utils import tqdm_utils

from hasa_jax.datasets.files import READERS
from hasa_jax.datasets.tfds import prepare, tfds
from tests.support import prepared
from tests.support.prepared import assert_refused, counted


def fail(monkeypatch, error):
    """Makes the preparation of `ag_news_subset` raise an error."""

    def splits(*_):
        raise error

    cls = tensorflow_datasets.builder_cls("ag_news_subset")
    monkeypatch.setattr(cls, "_split_generators", splits)


def test_unknown_names(tmp_path):
    assert_refused("mnistt", tmp_path, "did you mean mnist")
    assert_refused("qqqqqqqqqq", tmp_path, "list_builders")
    assert_refused("emnist/roman", tmp_path, "configs: balanced, byclass")
    assert_refused("mnist:9.9.9", tmp_path, "only: 3.0.1")
    assert list(tmp_path.iterdir()) == []


def test_another_format(folder):
    prepared.as_tfrecord(folder)
    words = ("as tfrecord", "only array_record is read", "`data_dir`", f"rm -r {folder}")
    assert_refused("shapes", folder, *words)


def test_a_damaged_description(folder):
    (path,) = folder.rglob("dataset_info.json")
    path.write_text("{", encoding="utf-8")
    assert_refused("shapes", folder, "cannot be opened")


def test_no_network(tmp_path, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # No server uses this port.
    monkeypatch.setattr(prepare, "_RETRIES", 0)
    usual = downloader.MAX_RETRIES
    words = ("https://storage.googleapis.com/cvdf-datasets/mnist/", "connect to the internet")
    assert_refused("mnist", tmp_path, *words, str(tmp_path / "mnist" / "3.0.1"))
    assert usual == downloader.MAX_RETRIES
    assert tqdm_utils._active


def test_no_tensorflow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    prepared.downloaded(tmp_path, "ag_news_subset", "", "ag_news_csv.tar.gz").write_bytes(b"")
    words = ("needs TensorFlow", "pip install 'hasa_jax[prepare]'", "into `data_dir`")
    assert_refused("ag_news_subset", tmp_path, *words)


def test_missing_packages(tmp_path):
    assert_refused("c4", tmp_path, "apache_beam", "install it")
    for package in ("importlib_resources", "array_record"):
        line = prepare.missing_package("mnist", ModuleNotFoundError("no", name=package))
        assert line == f"tfds:mnist needs {package}: pip install 'hasa_jax[data]'"
    line = prepare.missing_package("mnist", ImportError("OpenCV or PIL"))
    assert "needs PIL: pip" in line


def test_files_that_users_must_get_themselves(tmp_path):
    words = ("get yourself, into", "ILSVRC2012_img_train.tar")
    assert_refused("imagenet2012", tmp_path, *words)


def test_other_files_than_those_of_the_authors(tmp_path):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for part, kind in itertools.product(("train", "t10k"), ("images-idx3", "labels-idx1")):
        (manual / f"{part}-{kind}-ubyte.gz").write_bytes(b"other")
    words = (str(manual), "is not the file that tensorflow-datasets knows")
    assert_refused("mnist", tmp_path, *words)


def test_a_full_disk(tmp_path, monkeypatch):
    fail(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    assert_refused("ag_news_subset", tmp_path, f"no space left in {tmp_path}", "make room")


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "downloads").write_text("mine", encoding="utf-8")
    assert_refused("ag_news_subset", tmp_path, f"{tmp_path}, which cannot be written")


def test_other_failures(tmp_path, monkeypatch):
    fail(monkeypatch, ValueError("odd\n" + 999 * "x"))
    line = assert_refused("ag_news_subset", tmp_path, "could not be prepared (ValueError): odd xxx")
    assert len(line) < 600


@pytest.mark.slow
def test_mnist_from_its_own_files(tmp_path, data_dir):
    """The code of TFDS reads the real files; its image encoder needs TensorFlow."""
    pytest.importorskip("tensorflow")
    for path in (data_dir / "mnist").glob("*.gz"):
        # The origin of the files does not matter: the result is compared with the files.
        target = prepared.downloaded(
            tmp_path, "mnist", f"cvdf-datasets/mnist/{path.name}", path.name
        )
        target.write_bytes(path.read_bytes())
    found, expected = tfds("mnist", tmp_path), READERS["mnist"](data_dir / "mnist")
    assert found.classes == expected.classes
    for test in (False, True):
        one, other = (
            counted(pool.inputs[pool.is_test == test], pool.targets[pool.is_test == test])
            for pool in (found, expected)
        )
        assert one == other
