"""Folders that try to make the program import or run something of theirs."""

import json
import os
import pathlib
import socket
import sys

import numpy as np
import pytest
from tensorflow_datasets.core.features.feature import FeatureConnector

from hasa_jax import UserError
from hasa_jax.datasets.tfds import gate, tfds
from tests.support.prepared import assert_refused
from tests.support.written import assert_equal_pools, little_memory

TRAP = "import pathlib\npathlib.Path({path!r}).write_text('it ran')\nclass X: pass\n"
LABEL = "tensorflow_datasets.core.features.class_label_feature.ClassLabel"


@pytest.fixture
def trapped(folder, monkeypatch):
    """The folder of a data set, with modules in it that leave a mark when they are imported."""
    mark = folder / "mark"
    payload = folder / "evil" / "payload"
    payload.mkdir(parents=True)
    for path in (payload / "__init__.py", folder / "evil" / "__init__.py", folder / "inside.py"):
        path.write_text(TRAP.format(path=str(mark)), encoding="utf-8")
    monkeypatch.chdir(folder.parent)
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    assert not mark.exists()
    assert not [name for name in sys.modules if name.partition(".")[0] in ("evil", "inside")]


def rewrite(folder, change):
    (path,) = folder.rglob("features.json")
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name"])
@pytest.mark.parametrize(
    "name",
    [
        "data.evil.payload.X",
        "evil.payload.X",
        "evil.payload",
        "inside.X",
        "os.X",
        "tensorflow_datasets.scripts.cli.main.X",
        "tensorflow_datasets.core.features.feature.FeatureConnectorX",
        "tensorflow_datasets.core.features.evil.X",
        "X",
        "",
        "..evil.X",
        "evil\n.X",
    ],
)
def test_no_class_of_a_folder_is_imported(trapped, name, key):
    def change(text):
        assert LABEL in text
        text = text.replace(f'"{LABEL}"', json.dumps(name))
        return text.replace('"pythonClassName"', f'"{key}"')

    modules = set(sys.modules)
    rewrite(trapped, change)
    assert_refused("shapes", trapped, "feature class" if name else "shapes")
    assert not any("evil" in module for module in set(sys.modules) - modules)


@pytest.mark.parametrize("version", ["shapes", "shapes:1.0.0"])
def test_classes_within_others_are_refused_too(trapped, version):
    def change(text):
        found = json.loads(text)
        features = found["featuresDict"]["features"]
        features["more"] = {
            "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence",
            "sequence": {"feature": {"pythonClassName": "evil.payload.X", "jsonFeature": {}}},
        }
        return json.dumps(found)

    rewrite(trapped, change)
    assert_refused(version, trapped, "'evil.payload.X'", "nothing of it is imported")


def test_the_module_that_a_folder_names_is_not_imported(trapped):
    (path,) = trapped.rglob("dataset_info.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    found["moduleName"] = "evil.payload"
    path.write_text(json.dumps(found), encoding="utf-8")
    assert len(tfds("shapes", trapped).targets) == 52


def test_a_data_set_that_is_a_module_of_the_folder_is_not_found(trapped):
    assert_refused("evil", trapped, "evil")


def test_python_looks_elsewhere_only_while_data_are_read(trapped):
    places, usual = list(sys.path), FeatureConnector.cls_from_name
    with gate.no_foreign_code(trapped):
        assert str(trapped) not in sys.path
        assert not {"", str(pathlib.Path.cwd())} & set(sys.path)
        with pytest.raises(ImportError):
            __import__("inside")
        with pytest.raises(gate.UnknownFeature):
            FeatureConnector.cls_from_name("evil.payload.X")
        assert FeatureConnector.cls_from_name(LABEL).__name__ == "ClassLabel"
    assert sys.path == places
    assert FeatureConnector.cls_from_name == usual


def test_another_way_to_restore_features_is_refused(folder, monkeypatch):
    monkeypatch.delattr(FeatureConnector, "cls_from_name")
    with pytest.raises(UserError, match="unknown way, so prepared folders are not read"):
        tfds("shapes", folder)


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json", "array_record"])
def test_pipes_and_devices_do_not_block(folder, name):
    (path, *_) = sorted(folder.rglob(f"*{name}*"))
    path.unlink()
    os.mkfifo(path)
    for target in ("/dev/zero", "/nowhere", None):
        with pytest.raises(UserError, match=r"is a pipe, a device|link to nothing") as caught:
            tfds("shapes", folder)
        assert path.name in str(caught.value)
        path.unlink()
        if target:
            path.symlink_to(target)


def test_saved_arrays_may_be_no_pipe(folder):
    (folder / "hasa_jax").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "hasa_jax" / "shapes.npz"))
        with pytest.raises(UserError, match="socket"):
            tfds("shapes", folder)


def test_saved_arrays_that_are_a_bomb_are_not_unpacked(folder):
    first, path = tfds("shapes", folder), folder / "hasa_jax" / "shapes.npz"
    with np.load(path) as file:
        arrays = dict(file)
    bomb = np.zeros((len(first.targets), 2**21), np.uint8)
    np.savez_compressed(path, **{**arrays, "images": bomb})
    del bomb
    with little_memory(2**25):
        assert_equal_pools(first, tfds("shapes", folder))
