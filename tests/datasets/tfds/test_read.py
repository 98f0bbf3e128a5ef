"""Data sets of TensorFlow Datasets, read from files that it prepared itself."""

import sys

import jax
import numpy as np
import pytest
import tensorflow_datasets

from hasa_jax import UserError
from hasa_jax.datasets import dataset_builder
from hasa_jax.datasets.tfds import tfds
from tests.support import prepared
from tests.support.prepared import CLASSES, assert_refused, counted, images, shapes
from tests.support.written import assert_equal_pools

NEWS = {
    "train": [(i % 4 + 1, f"Title {i}", f'Café "{i}", \U0001f642 news') for i in range(20)],
    "test": [(i % 4 + 1, f"Test {i}", "a\nb") for i in range(8)],
}


def test_images_are_those_that_were_prepared(folder):
    pool = tfds("shapes", folder)
    assert pool.inputs.shape == (52, 6, 5, 3)
    assert pool.inputs.dtype == np.uint8
    assert pool.targets.dtype == np.int32
    assert pool.classes == CLASSES
    for test, (drawn, labels) in ((False, images(40)), (True, images(12, seed=1))):
        of_split = pool.is_test == test
        found = counted(pool.inputs[of_split], pool.targets[of_split])
        assert found == counted(drawn, labels)


def test_the_name_may_have_a_version(folder):
    assert_equal_pools(tfds("shapes", folder), tfds("shapes:1.0.0", folder))


def test_images_of_one_channel_without_a_test_split(tmp_path):
    image = tensorflow_datasets.features.Image(shape=(6, 5, 1))
    one = prepared.features_of(image=image)
    pool = tfds("shapes", prepared.prepare(tmp_path, {"train": shapes(9, 0, (6, 5, 1))}, one))
    assert counted(pool.inputs, pool.targets) == counted(*images(9, 0, (6, 5, 1)))
    assert not pool.is_test.any()


def test_texts_are_prepared_by_the_code_of_the_data_set(tmp_path, capfd, monkeypatch):
    """All steps are those of TFDS: its builder, its download folder, its files, its reader."""
    news = prepared.news(tmp_path, NEWS)
    pool = tfds("ag_news_subset", news)
    for test, part in ((False, "train"), (True, "test")):
        of_split = pool.is_test == test
        expected = [(f"{title} {text}", label - 1) for label, title, text in NEWS[part]]
        found = zip(pool.inputs[of_split], pool.targets[of_split].tolist(), strict=True)
        assert sorted(found) == sorted(expected)
    assert pool.classes == prepared.NEWS
    assert pool.inputs.dtype == object
    # Without a terminal, TFDS shows nothing.
    assert capfd.readouterr() == ("", "")
    assert_equal_pools(pool, tfds("ag_news_subset:1.0.0", news))
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert_equal_pools(pool, tfds("ag_news_subset", news))


def test_data_sets_are_partitioned(folder):
    build = dataset_builder("tfds:shapes")
    data = build(jax.random.key(0), data_dir=str(folder), num_clients=3, min_examples=4)
    assert len(data.client_names) == 3
    assert sum(int(part.offsets[-1]) for part in (data.train, data.validation, data.test)) == 52
    assert data.train.inputs.dtype == np.float32


def test_images_of_several_sizes_are_refused(tmp_path):
    examples = [*shapes(3), *shapes(3, size=(7, 5, 3))]
    prepared.prepare(tmp_path, {"train": examples})
    assert_refused("shapes", tmp_path, "6x5x3", "7x5x3", "in an npz file")


def test_test_images_of_another_size_are_refused(tmp_path):
    splits = {"train": shapes(4), "test": shapes(4, size=(7, 5, 3))}
    assert_refused("shapes", prepared.prepare(tmp_path, splits), "6x5x3 and 7x5x3")


def test_examples_without_a_label_are_refused(tmp_path):
    examples = [{**each, "label": -1} for each in shapes(6)]
    prepared.prepare(tmp_path, {"train": examples})
    assert_refused("shapes", tmp_path, "no labels", "split train")


def test_a_folder_without_a_train_split_is_refused(tmp_path):
    prepared.prepare(tmp_path, {"test": shapes(4), "extra": shapes(4)})
    assert_refused("shapes", tmp_path, "no split train", "only test, extra")


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.9])
def test_files_that_are_cut_off_are_refused(folder, part):
    """Cut at half, which is the end of a block, TFDS yields examples of None."""
    (path,) = folder.rglob("*train.array_record*")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    assert_refused("shapes", folder, "damaged or cut off", "prepare them again")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is a file: name a folder with `data_dir`"):
        tfds("mnist", tmp_path / "file")
