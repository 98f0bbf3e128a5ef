"""Data sets of TensorFlow Datasets, read from what it prepared itself."""

import errno
import inspect
import itertools
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
import tensorflow_datasets
from tensorflow_datasets.core.download import downloader
from tensorflow_datasets.core.utils import tqdm_utils

from hasa_jax.base import UserError
from hasa_jax.datasets import DATASETS, dataset_builder
from hasa_jax.datasets.files import READERS
from hasa_jax.datasets.tfds import prepare, tfds
from tests.experiments.test_train_and_compare import ROOT, rows_of, run
from tests.support import prepared
from tests.support.prepared import CLASSES, images, shapes

SPLITS = {"train": shapes(40), "test": shapes(12, seed=1), "validation": shapes(5, seed=2)}
ROWS = {
    "train": [(i % 4 + 1, f"Title {i}", f'Café "{i}", \U0001f642 news') for i in range(20)],
    "test": [(i % 4 + 1, f"Test {i}", "a\nb") for i in range(8)],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return prepared.prepare(tmp_path_factory.mktemp("tfds"), SPLITS)


@pytest.fixture
def folder(original, tmp_path):
    return pathlib.Path(shutil.copytree(original, tmp_path / "data"))


@pytest.fixture
def without_tfds(monkeypatch):
    """Makes every import of TFDS fail."""
    return lambda: monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)


def counted(inputs, targets):
    """Examples in whatever order."""
    return sorted((each.tobytes(), int(label)) for each, label in zip(inputs, targets, strict=True))


def refused(name, folder, *told):
    with pytest.raises(UserError) as caught:
        tfds(name, folder)
    line = str(caught.value)
    assert "\n" not in line
    for each in (f"tfds:{name}", *told):
        assert each in line
    return line


def same(first, second):
    np.testing.assert_array_equal(first.inputs, second.inputs)
    assert first.inputs.dtype == second.inputs.dtype
    for name in ("targets", "is_test", "groups"):
        one, other = getattr(first, name), getattr(second, name)
        assert one.tobytes() == other.tobytes()
        assert one.dtype == other.dtype
    assert first.classes == second.classes


class TestImages:
    def test_are_those_that_were_prepared(self, folder):
        pool = tfds("shapes", folder)
        assert pool.inputs.shape == (52, 6, 5, 3)
        assert pool.inputs.dtype == np.uint8
        assert pool.targets.dtype == np.int32
        assert pool.classes == CLASSES
        for test, (drawn, labels) in ((False, images(40)), (True, images(12, seed=1))):
            rows = pool.is_test == test
            found = counted(pool.inputs[rows], pool.targets[rows])
            assert found == counted(drawn, labels)

    def test_name_their_version_too(self, folder):
        same(tfds("shapes", folder), tfds("shapes:1.0.0", folder))

    def test_of_a_folder_without_a_test_split(self, tmp_path):
        pool = tfds("shapes", prepared.prepare(tmp_path, {"train": shapes(9)}))
        assert len(pool.targets) == 9
        assert not pool.is_test.any()

    def test_of_one_channel(self, tmp_path):
        image = tensorflow_datasets.features.Image(shape=(6, 5, 1))
        one = prepared.features_of(image=image)
        pool = tfds("shapes", prepared.prepare(tmp_path, {"train": shapes(9, 0, (6, 5, 1))}, one))
        assert counted(pool.inputs, pool.targets) == counted(*images(9, 0, (6, 5, 1)))

    def test_take_the_label_that_the_data_set_is_about(self, tmp_path):
        coarse = tensorflow_datasets.features.ClassLabel(names=["round", "pointed"])
        identity = tensorflow_datasets.features.Text()
        features = prepared.features_of(coarse_label=coarse, id=identity)
        examples = [{**each, "coarse_label": 1, "id": "x"} for each in shapes(9)]
        prepared.prepare(tmp_path, {"train": examples}, features, supervised=("image", "label"))
        pool = tfds("shapes", tmp_path)
        assert pool.classes == CLASSES
        assert pool.inputs.dtype == np.uint8


class TestTexts:
    @pytest.fixture
    def news(self, tmp_path):
        return prepared.news(tmp_path, ROWS)

    def test_are_prepared_by_the_code_of_the_data_set(self, news, capfd):
        """All the way: TFDS's own builder, its download folder, its files, its reader."""
        pool = tfds("ag_news_subset", news)
        for test, part in ((False, "train"), (True, "test")):
            rows = pool.is_test == test
            expected = [(f"{title} {text}", label - 1) for label, title, text in ROWS[part]]
            found = zip(pool.inputs[rows], pool.targets[rows].tolist(), strict=True)
            assert sorted(found) == sorted(expected)
        assert pool.classes == prepared.NEWS
        assert pool.inputs.dtype == object
        # No terminal, so no bars; what TFDS says of itself is no result.
        assert capfd.readouterr() == ("", "")

    def test_are_the_same_from_the_cache_and_by_version(self, news, without_tfds):
        first = tfds("ag_news_subset", news)
        same(first, tfds("ag_news_subset:1.0.0", news))
        without_tfds()
        same(first, tfds("ag_news_subset", news))

    def test_of_several_features_come_in_one_order(self, tmp_path):
        text = tensorflow_datasets.features.Text()
        label = tensorflow_datasets.features.ClassLabel(num_classes=2)
        features = {"z": text, "label": label, "a": text, "row_id": text, "m": text}
        examples = [
            {"z": "last", "a": "first", "m": f"{i}", "row_id": "-", "label": 1} for i in range(4)
        ]
        pool = tfds("shapes", prepared.prepare(tmp_path, {"train": examples}, features))
        assert sorted(pool.inputs) == [f"first {i} last" for i in range(4)]
        assert pool.classes == ("0", "1")


class TestCache:
    def test_is_read_without_tfds(self, folder, without_tfds):
        first = tfds("shapes", folder)
        without_tfds()
        same(first, tfds("shapes", folder))
        assert [p.name for p in (folder / "hasa_jax").iterdir()] == ["shapes.npz"]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: content[: len(content) // 2],
            lambda content: content[:700] + bytes(64) + content[764:],
            lambda content: b"",
            lambda content: b"PK\x03\x04",
        ],
    )
    def test_that_is_damaged_is_made_anew(self, folder, damage):
        first, path = tfds("shapes", folder), folder / "hasa_jax" / "shapes.npz"
        content = path.read_bytes()
        path.write_bytes(damage(content))
        same(first, tfds("shapes", folder))
        assert path.read_bytes() == content

    def test_that_could_run_code_is_not_unpickled(self, folder):
        class Bomb:
            def __reduce__(self):
                return pytest.fail, ("unpickled",)

        first, path = tfds("shapes", folder), folder / "hasa_jax" / "shapes.npz"
        with np.load(path) as file:
            arrays = dict(file)
        np.savez(path, **{**arrays, "images": np.array([Bomb()] * len(first.targets))})
        same(first, tfds("shapes", folder))

    def test_of_other_files_is_left_alone(self, folder):
        tfds("shapes", folder)
        shutil.rmtree(folder / "shapes")
        prepared.prepare(folder, {"train": shapes(7, seed=5)})
        pool = tfds("shapes", folder)
        assert counted(pool.inputs, pool.targets) == counted(*images(7, seed=5))

    def test_that_cannot_be_written_is_done_without(self, folder):
        """A file in place of the folder keeps even root from writing."""
        first = tfds("shapes", folder)
        shutil.rmtree(folder / "hasa_jax")
        (folder / "hasa_jax").write_text("mine", encoding="utf-8")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = sorted(folder.rglob("*"))
        same(first, tfds("shapes", folder))
        assert sorted(folder.rglob("*")) == before
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)

    def test_of_a_full_disk_leaves_nothing_half(self, folder, monkeypatch):
        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(np, "savez", full)
        tfds("shapes", folder)
        assert list((folder / "hasa_jax").iterdir()) == []


def test_a_fresh_process_loads_no_tensorflow(folder, tmp_path):
    """One that could: what stands in for it on the path is not imported."""
    (tmp_path / "path" / "tensorflow").mkdir(parents=True)
    (tmp_path / "path" / "tensorflow" / "__init__.py").write_text("", encoding="utf-8")
    code = (
        "import pathlib, sys\n"
        "from hasa_jax.datasets.tfds import tfds\n"
        "tfds('shapes', pathlib.Path(sys.argv[1]))\n"
        "print(sorted({'tensorflow', 'tensorflow_datasets'} & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path / 'path'}"}
    for expected in ("['tensorflow_datasets']", "[]"):  # The second time, from the cache.
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected


def test_a_script_runs_on_them(folder, tmp_path):
    done = run(
        "train",
        "--dataset=tfds:shapes",
        f"--data_dir={folder}",
        "--model=mlp",
        "--hidden_dim=4",
        "--num_rounds=1",
        "--num_clients=2",
        "--min_examples=5",
        f"--workdir={tmp_path / 'w'}",
    )
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "w" / "metrics.csv")
    assert {row["client"] for row in rows} == {"client_0", "client_1"}
    assert done.stderr == ""


class TestRefusal:
    def made(self, folder, features, *told, examples=None, **options):
        examples = examples or shapes(6)
        prepared.prepare(folder, {"train": examples}, features, **options)
        refused("shapes", folder, *told)

    @pytest.mark.parametrize("name", ["", "..", "../x", "a/../b", "a b", "MNIST", "x:y", "a/b/c"])
    def test_of_names_that_are_none(self, tmp_path, name):
        refused(name, tmp_path, "tfds:NAME")

    def test_of_unknown_names(self, tmp_path):
        refused("mnistt", tmp_path, "did you mean mnist")
        refused("qqqqqqqqqq", tmp_path, "list_builders")
        refused("emnist/roman", tmp_path, "configs: balanced, byclass")
        refused("mnist:9.9.9", tmp_path, "only: 3.0.1")
        assert list(tmp_path.iterdir()) == []

    def test_of_two_labels(self, tmp_path):
        other = tensorflow_datasets.features.ClassLabel(num_classes=2)
        examples = [{**each, "other": 0} for each in shapes(6)]
        features = prepared.features_of(other=other)
        found = "image (Image), label (ClassLabel), other (ClassLabel)"
        self.made(tmp_path, features, "2 features of type ClassLabel", found, examples=examples)

    def test_of_no_label(self, tmp_path):
        features = {"image": prepared.features_of()["image"], "note": np.int64}
        examples = [{"image": each["image"], "note": 1} for each in shapes(6)]
        told = ("no class label", "image (Image), note (Tensor)")
        self.made(tmp_path, features, *told, examples=examples)

    def test_of_nothing_to_learn_from(self, tmp_path):
        features = {
            "id": tensorflow_datasets.features.Text(),
            "label": prepared.features_of()["label"],
        }
        examples = [{"id": "x", "label": 0}] * 6
        self.made(tmp_path, features, "neither an image nor a text", examples=examples)

    def test_of_images_of_16_bits(self, tmp_path):
        image = tensorflow_datasets.features.Image(shape=(6, 5, 3), dtype=np.uint16)
        self.made(tmp_path, prepared.features_of(image=image), "uint16")

    def test_of_examples_without_a_label(self, tmp_path):
        examples = [{**each, "label": -1} for each in shapes(6)]
        self.made(tmp_path, None, "no labels", "split train", examples=examples)

    def test_of_images_of_several_sizes(self, tmp_path):
        examples = [*shapes(3), *shapes(3, size=(7, 5, 3))]
        self.made(tmp_path, None, "6x5x3", "7x5x3", "--dataset=npz", examples=examples)

    def test_of_test_images_of_another_size(self, tmp_path):
        splits = {"train": shapes(4), "test": shapes(4, size=(7, 5, 3))}
        refused("shapes", prepared.prepare(tmp_path, splits), "6x5x3 and 7x5x3")

    def test_of_a_folder_without_a_train_split(self, tmp_path):
        prepared.prepare(tmp_path, {"test": shapes(4), "extra": shapes(4)})
        refused("shapes", tmp_path, "no split train", "only test, extra")

    def test_of_another_format(self, folder):
        prepared.as_tfrecord(folder)
        refused("shapes", folder, "as tfrecord", "only array_record is read", f"rm -r {folder}")

    @pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.9])
    def test_of_files_that_are_cut_off(self, folder, part):
        """Cut at half, which is the end of a block, TFDS yields examples of None."""
        (path,) = folder.rglob("*train.array_record*")
        content = path.read_bytes()
        path.write_bytes(content[: int(part * len(content))])
        refused("shapes", folder, "damaged or cut off", "prepare them anew")

    def test_of_a_description_that_is_damaged(self, folder):
        (path,) = folder.rglob("dataset_info.json")
        path.write_text("{", encoding="utf-8")
        refused("shapes", folder, "cannot be opened")

    def test_of_a_file_for_a_folder(self, tmp_path):
        (tmp_path / "file").write_text("mine", encoding="utf-8")
        with pytest.raises(UserError, match="is a file: name a folder"):
            tfds("mnist", tmp_path / "file")


class TestPreparing:
    """What TFDS's own code, downloads and checks run into."""

    def failing(self, monkeypatch, error):
        def fail(*_):
            raise error

        cls = tensorflow_datasets.builder_cls("ag_news_subset")
        monkeypatch.setattr(cls, "_split_generators", fail)

    def test_without_a_network(self, tmp_path, monkeypatch):
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")  # Nobody listens there.
        monkeypatch.setattr(prepare, "_RETRIES", 0)
        usual = downloader.MAX_RETRIES
        told = ("https://storage.googleapis.com/cvdf-datasets/mnist/", "connect to the internet")
        refused("mnist", tmp_path, *told, str(tmp_path / "mnist" / "3.0.1"))
        assert usual == downloader.MAX_RETRIES
        assert tqdm_utils._active

    def test_without_tensorflow(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorflow", None)
        prepared.downloaded(tmp_path, "ag_news_subset", "", "ag_news_csv.tar.gz").write_bytes(b"")
        refused("ag_news_subset", tmp_path, "needs TensorFlow", "pip install 'hasa_jax[prepare]'")

    def test_without_packages(self, tmp_path):
        refused("c4", tmp_path, "apache_beam", "install it")
        for package in ("importlib_resources", "array_record"):
            line = prepare.needs("mnist", ModuleNotFoundError("no", name=package))
            assert line == f"tfds:mnist needs {package}: pip install 'hasa_jax[data]'"
        assert "needs PIL: pip" in prepare.needs("mnist", ImportError("OpenCV or PIL"))

    def test_of_files_that_one_must_get_oneself(self, tmp_path):
        refused("imagenet2012", tmp_path, "get yourself, into", "ILSVRC2012_img_train.tar")

    def test_of_other_files_than_those_of_the_authors(self, tmp_path):
        manual = tmp_path / "downloads" / "manual"
        manual.mkdir(parents=True)
        for part, kind in itertools.product(("train", "t10k"), ("images-idx3", "labels-idx1")):
            (manual / f"{part}-{kind}-ubyte.gz").write_bytes(b"other")
        refused("mnist", tmp_path, str(manual), "is not the file that tensorflow-datasets knows")

    def test_on_a_full_disk(self, tmp_path, monkeypatch):
        self.failing(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
        refused("ag_news_subset", tmp_path, f"no space left in {tmp_path}", "make room")

    def test_in_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "downloads").write_text("mine", encoding="utf-8")
        refused("ag_news_subset", tmp_path, f"{tmp_path}, which cannot be written")

    def test_that_fails_for_its_own_reasons(self, tmp_path, monkeypatch):
        self.failing(monkeypatch, ValueError("odd\n" + 999 * "x"))
        line = refused("ag_news_subset", tmp_path, "could not be prepared (ValueError): odd xxx")
        assert len(line) < 600

    @pytest.mark.slow
    def test_of_mnist_gives_what_its_own_files_hold(self, tmp_path, data_dir):
        """TFDS's code on the real files; its own image encoder is TensorFlow's."""
        pytest.importorskip("tensorflow")
        for path in (data_dir / "mnist").glob("*.gz"):
            # Where they come from does not matter: they are compared to the files read directly.
            place = prepared.downloaded(
                tmp_path, "mnist", f"cvdf-datasets/mnist/{path.name}", path.name
            )
            place.write_bytes(path.read_bytes())
        found, expected = tfds("mnist", tmp_path), READERS["mnist"](data_dir / "mnist")
        assert found.classes == expected.classes
        for test in (False, True):
            one, other = (
                counted(pool.inputs[pool.is_test == test], pool.targets[pool.is_test == test])
                for pool in (found, expected)
            )
            assert one == other


class TestNames:
    def test_builders_tell_their_arguments(self):
        found = list(inspect.signature(dataset_builder("tfds:mnist")).parameters)
        # It may turn out to hold images or texts.
        own = [inspect.signature(dataset_builder(name)).parameters for name in ("mnist", "ag_news")]
        assert set(found) == set(own[0]) | set(own[1])
        assert found[:2] == ["key", "data_dir"]

    def test_the_table_is_as_it_was(self):
        assert all(dataset_builder(name) is DATASETS[name] for name in DATASETS)

    def test_data_sets_are_dealt(self, folder):
        build = dataset_builder("tfds:shapes")
        data = build(jax.random.key(0), data_dir=str(folder), num_clients=3, min_examples=4)
        assert len(data.client_names) == 3
        assert sum(int(part.offsets[-1]) for part in (data.train, data.validation, data.test)) == 52
        assert data.train.inputs.dtype == np.float32

    def test_unknown_names_are_told(self):
        with pytest.raises(UserError, match=r"did you mean mnist.*usps, or tfds:NAME"):
            dataset_builder("mnits")
        with pytest.raises(UserError, match="write tfds:NAME"):
            dataset_builder("tfds:")
