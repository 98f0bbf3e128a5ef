"""What every dataset of the table promises."""

import csv
import inspect
import json

import h5py
import jax
import numpy as np
import pytest
from PIL import Image

from hasa_jax import IGNORED, FederatedDataset, UserError
from hasa_jax.datasets import DATASETS, fingerprint
from tests.support import written
from tests.support.federated import parts

WITH_TESTS = ("ag_news", "cifar10", "digits_domains", "mnist", "mnist_m", "optdigits", "usps")
"""Data sets whose authors set a test set apart."""
WITHOUT_FOLDS = ("synthetic_needs",)
"""Data sets that draw a test part of a size of its own."""


@pytest.fixture(scope="module")
def csv_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "titles.csv"
    generator = np.random.default_rng(0)
    rows = [
        (" ".join(generator.choice(list("abcdefgh"), generator.integers(2, 12))), f"c{i % 3}")
        for i in range(90)
    ]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("title", "publication"), *rows])
    return path


@pytest.fixture(scope="module")
def npz_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "images.npz"
    generator = np.random.default_rng(0)
    inputs, indices = generator.integers(0, 256, (90, 4, 4, 1), np.uint8), np.arange(90)
    np.savez(path, inputs=inputs, targets=indices % 5, clients=indices % 3)
    return path


@pytest.fixture(scope="module")
def news_dir(tmp_path_factory):
    path, generator = tmp_path_factory.mktemp("news"), np.random.default_rng(0)
    for name, count in (("train.csv", 120), ("test.csv", 40)):
        words = [" ".join(generator.choice(list("abcdefgh"), 6)) for _ in range(count)]
        with open(path / name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((1 + i % 4, w[:5], w[6:]) for i, w in enumerate(words))
    return path


@pytest.fixture(scope="module")
def texts_path(tmp_path_factory):
    path, generator = tmp_path_factory.mktemp("data") / "texts.csv", np.random.default_rng(0)
    rows = [(" ".join(generator.choice(list("abcdefgh"), 6)), "xyz"[i % 3]) for i in range(120)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture(scope="module")
def folder_of_images(tmp_path_factory):
    path, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for index in range(90):
        (path / f"class_{index % 3}").mkdir(exist_ok=True)
        image = Image.fromarray(generator.integers(0, 256, (4, 5, 3), np.uint8))
        image.save(path / f"class_{index % 3}" / f"{index}.png")
    return path


@pytest.fixture(scope="module")
def leaf_dir(tmp_path_factory):
    path, generator = tmp_path_factory.mktemp("leaf"), np.random.default_rng(0)
    data = {
        f"f{user}": {
            "x": (generator.integers(0, 256, (30, 784)) / 255).tolist(),
            "y": generator.integers(0, 5, 30).tolist(),
        }
        for user in range(3)
    }
    content = {"users": [*data], "num_samples": [30] * 3, "user_data": data}
    (path / "all_data_0.json").write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tff_dir(tmp_path_factory):
    path, generator = tmp_path_factory.mktemp("tff"), np.random.default_rng(0)
    with h5py.File(path / "stackoverflow_train.h5", "w") as file:
        for user in range(3):
            texts = [" ".join(generator.choice(list("abcdefgh"), 5)) for _ in range(30)]
            file[f"examples/{user:08}/tokens"] = np.array(texts, object)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of small files for each published data set."""
    found = {}
    for layout, (name, _) in written.LAYOUTS.items():
        if name not in found:
            found[name], _ = written.copied(layout, tmp_path_factory.mktemp(name))
    return found


@pytest.fixture(scope="module")
def of_users(leaf_dir, tff_dir):
    return {"leaf": leaf_dir, "tff": tff_dir}


@pytest.fixture(scope="module", params=sorted(DATASETS))
def make(request, csv_path, npz_path, news_dir, texts_path, folder_of_images, folders, of_users):
    # Required arguments, and small sizes.
    published = {"num_clients": 4, "min_examples": 5}
    arguments = {
        **{name: {"data_dir": folder} | published for name, folder in folders.items()},
        "ag_news": {"data_dir": news_dir, "num_clients": 4, "vocab_size": 30, "max_length": 9},
        "csv": {"data_path": texts_path, "num_clients": 4, "vocab_size": 30, "max_length": 9},
        "image_folder": {"data_dir": folder_of_images, "num_clients": 4, "resize": 3},
        "leaf": {"data_dir": of_users["leaf"]},
        "npz": {"data_path": npz_path},
        "synthetic_images": {"num_images": 300},
        "synthetic_needs": {"num_titles": 300, "test_titles": 8},
        "synthetic_titles": {"num_titles": 300, "max_length": 9},
        "synthetic_topics": {"num_titles": 300, "max_length": 9},
        "tff": {"data_dir": of_users["tff"], "max_length": 9},
        "titles": {"data_path": csv_path, "max_length": 9},
    }[request.param]
    return lambda seed, **own: DATASETS[request.param](jax.random.key(seed), **arguments, **own)


@pytest.fixture(scope="module")
def data(make):
    return make(0)


def test_shapes_and_types(data):
    assert isinstance(data, FederatedDataset)
    for part in parts(data):
        assert part.inputs.shape[0] == part.targets.shape[0] == part.offsets[-1]
        assert part.inputs.shape[1:] == data.train.inputs.shape[1:]
        assert part.targets.dtype == part.offsets.dtype == np.int32
        assert part.inputs.dtype in (np.int32, np.float32)


def test_clients_are_the_same_in_every_split(data):
    assert len(set(data.client_names)) == len(data.client_names) >= 2
    for part in parts(data):
        assert part.num_clients == len(data.client_names)
        assert part.offsets[0] == 0
        assert (part.num_examples >= 1).all()
        assert part.num_classes == data.train.num_classes


def test_targets_are_classes_or_the_two_special_ones(data):
    for part in parts(data):
        assert part.targets.min() >= IGNORED
        assert part.targets.max() < part.num_classes
        # Every example counts: it has a target that is not padding.
        assert (part.targets.reshape(len(part.targets), -1) != IGNORED).any(-1).all()


def test_inputs_are_tokens_or_finite_numbers(data):
    for part in parts(data):
        if data.num_tokens:
            assert part.inputs.dtype == np.int32
            assert part.inputs.min() >= 0
            assert part.inputs.max() < data.num_tokens
            # Padding comes after the words, and every text has a word.
            assert (np.diff((part.inputs == 0).astype(int), axis=-1) >= 0).all()
            assert (part.inputs[:, 0] > 0).all()
        else:
            assert np.isfinite(part.inputs).all()


def test_inputs_are_padded_where_targets_are(data):
    for part in parts(data):
        if part.targets.ndim == 2 and part.inputs.shape == part.targets.shape:
            np.testing.assert_array_equal(part.inputs == 0, part.targets == IGNORED)
            assert data.num_tokens == part.num_classes + 2


def test_same_key_same_bytes(make, data):
    assert fingerprint(make(0)) == fingerprint(data) != fingerprint(make(1))


def test_folds_test_every_example_once(request, make, data):
    """Data with a test set of their authors have no folds."""
    name = request.node.callspec.params["make"]
    if "folds" not in inspect.signature(DATASETS[name]).parameters:
        assert name in WITHOUT_FOLDS
        return
    if name in WITH_TESTS:
        with pytest.raises(UserError, match=r"`folds` is 3, but the authors of these data set \d+"):
            make(0, folds=3, fold=1)
        return
    folds = [make(0, folds=3, fold=fold) for fold in (1, 2, 3)]
    every = sum(part.num_examples for part in parts(data))
    for own in folds:
        np.testing.assert_array_equal(sum(part.num_examples for part in parts(own)), every)
        assert own.client_names == data.client_names
    tests = np.array([own.test.num_examples for own in folds])
    np.testing.assert_array_equal(tests.sum(0), every)
    assert (tests.max(0) - tests.min(0) <= 1).all()
    assert len({fingerprint(own) for own in folds}) == 3
    assert fingerprint(make(0, folds=0, fold=0)) == fingerprint(data)


def test_nothing_is_left_out_of_clean_files(data):
    assert data.notes == ()


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_the_key_comes_first_and_all_arguments_are_documented(name):
    build = DATASETS[name]
    key, *others = inspect.signature(build).parameters.values()
    assert key.name == "key"
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in others)
    assert build.__name__ == name
    lines = inspect.getdoc(build).splitlines()
    sections = [line for line in lines if line and not line.startswith(" ") and line[-1] == ":"]
    assert sections[:3] == ["Args:", "Returns:", "Raises:"]
    arguments = lines[lines.index("Args:") + 1 : lines.index("Returns:")]
    documented = [line.partition(":")[0].strip() for line in arguments if line[2:3].strip()]
    assert documented == [key.name, *(parameter.name for parameter in others)]
