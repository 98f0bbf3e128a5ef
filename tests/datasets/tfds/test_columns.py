"""The features that are inputs and label, and data sets without such a choice."""

import numpy as np
import tensorflow_datasets

from hasa_jax.datasets.tfds import tfds
from tests.support import prepared
from tests.support.prepared import CLASSES, assert_refused, shapes


def assert_features_refused(folder, features, examples, *words):
    prepared.prepare(folder, {"train": examples}, features)
    assert_refused("shapes", folder, *words)


def test_supervised_keys_choose_the_label(tmp_path):
    coarse = tensorflow_datasets.features.ClassLabel(names=["round", "pointed"])
    identity = tensorflow_datasets.features.Text()
    features = prepared.features_of(coarse_label=coarse, id=identity)
    examples = [{**each, "coarse_label": 1, "id": "x"} for each in shapes(9)]
    prepared.prepare(tmp_path, {"train": examples}, features, supervised=("image", "label"))
    pool = tfds("shapes", tmp_path)
    assert pool.classes == CLASSES
    assert pool.inputs.dtype == np.uint8


def test_several_texts_have_one_order(tmp_path):
    text = tensorflow_datasets.features.Text()
    label = tensorflow_datasets.features.ClassLabel(num_classes=2)
    features = {"z": text, "label": label, "a": text, "row_id": text, "m": text}
    examples = [
        {"z": "last", "a": "first", "m": f"{i}", "row_id": "-", "label": 1} for i in range(4)
    ]
    pool = tfds("shapes", prepared.prepare(tmp_path, {"train": examples}, features))
    assert sorted(pool.inputs) == [f"first {i} last" for i in range(4)]
    assert pool.classes == ("0", "1")


def test_two_labels_are_refused(tmp_path):
    features = prepared.features_of(other=tensorflow_datasets.features.ClassLabel(num_classes=2))
    examples = [{**each, "other": 0} for each in shapes(6)]
    found = "image (Image), label (ClassLabel), other (ClassLabel)"
    assert_features_refused(tmp_path, features, examples, "2 features of type ClassLabel", found)


def test_no_label_is_refused(tmp_path):
    features = {"image": prepared.features_of()["image"], "note": np.int64}
    examples = [{"image": each["image"], "note": 1} for each in shapes(6)]
    found = "image (Image), note (Tensor)"
    assert_features_refused(tmp_path, features, examples, "no class label", found)


def test_no_inputs_are_refused(tmp_path):
    text = tensorflow_datasets.features.Text()
    features = {"id": text, "label": prepared.features_of()["label"]}
    examples = [{"id": "x", "label": 0}] * 6
    assert_features_refused(tmp_path, features, examples, "neither an image nor a text")


def test_images_of_16_bits_are_refused(tmp_path):
    image = tensorflow_datasets.features.Image(shape=(6, 5, 3), dtype=np.uint16)
    assert_features_refused(tmp_path, prepared.features_of(image=image), shapes(6), "uint16")
