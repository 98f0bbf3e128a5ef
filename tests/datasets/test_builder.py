"""Builders from readers: their arguments, their docstrings, and the table."""

import inspect

import jax
import numpy as np
import pytest

from hasa_jax import UserError, datasets
from hasa_jax.datasets import DATASETS, dataset_builder
from hasa_jax.datasets.builder import builder
from hasa_jax.datasets.files import READERS, TEXTS
from hasa_jax.datasets.partitioned import partitioned
from hasa_jax.datasets.pool import Pool
from tests.support import written
from tests.support.federated import parts

KEY = jax.random.key(0)


def read(data_dir, flavour="plain"):
    """Reads a data set.

    Args:
      data_dir: a folder.
      flavour: another
        argument.

    Returns:
      A pool.

    Raises:
      UserError: if it is raining.
    """
    assert data_dir.name == "here"
    count = 120
    groups = np.zeros(count, np.int32) if flavour == "plain" else np.arange(count) % 3
    names = ("all",) if flavour == "plain" else ("north", "south", "east")
    images = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 1), np.uint8)
    targets = np.arange(count, dtype=np.int32) % 5
    return Pool(images, targets, np.zeros(count, bool), tuple("abcde"), groups, names)


def test_arguments_go_to_the_reader_or_to_the_partition():
    build = builder(read, name="any")
    assert len(build(KEY, data_dir="far/here").client_names) == 10
    assert build(KEY, data_dir="here", flavour="mixed").client_names[0] == "north"
    with pytest.raises(TypeError, match="colour"):
        build(KEY, data_dir="here", colour="red")


def test_builders_take_only_what_their_inputs_need():
    images, texts = builder(read, name="any", texts=False), builder(read, name="any", texts=True)
    with pytest.raises(TypeError, match="vocab_size"):
        images(KEY, data_dir="here", vocab_size=8)
    with pytest.raises(TypeError, match="resize"):
        texts(KEY, data_dir="here", resize=8)


def test_the_docstring_is_of_reader_and_partition():
    build = builder(read, name="any", texts=True)
    assert build.__name__ == "any"
    lines = inspect.getdoc(build).splitlines()
    assert lines[0] == "Reads a data set."
    assert lines[3:7] == [
        "  key: root key of the run; it is not consumed.",
        "  data_dir: a folder.",
        "  flavour: another",
        "    argument.",
    ]
    assert "  UserError: if it is raining." in lines
    assert not any(line.startswith("  resize:") for line in lines)


@pytest.mark.parametrize("name", sorted({reader for reader, _ in written.LAYOUTS.values()}))
def test_a_builder_reads_and_partitions(name, tmp_path):
    layout = next(layout for layout, (reader, _) in written.LAYOUTS.items() if reader == name)
    _, pool = written.write(layout, tmp_path)
    arguments = {"partition": "iid", "num_clients": 3, "min_examples": 5, "max_examples": 50}
    data = DATASETS[name](KEY, data_dir=str(tmp_path), **arguments)
    expected = partitioned(pool, KEY, **arguments)
    for one, other in zip(parts(data), parts(expected), strict=True):
        for array in ("inputs", "targets", "offsets"):
            np.testing.assert_array_equal(getattr(one, array), getattr(other, array))


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_builder_has_the_arguments_of_reader_and_partition(name):
    found = list(inspect.signature(DATASETS[name]).parameters)
    own = list(inspect.signature(READERS[name]).parameters)
    unused = {"resize"} if name in TEXTS else {"vocab_size", "max_length"}
    others = set(inspect.signature(partitioned).parameters) - {"pool", "key"} - unused
    assert found[: 1 + len(own)] == ["key", *own]
    assert set(found) == {"key", *own} | others


def test_builders_of_tfds_take_the_arguments_of_images_and_of_texts():
    found = list(inspect.signature(dataset_builder("tfds:mnist")).parameters)
    own = [inspect.signature(dataset_builder(name)).parameters for name in ("mnist", "ag_news")]
    assert set(found) == set(own[0]) | set(own[1])
    assert found[:2] == ["key", "data_dir"]


def test_names_give_builders():
    for name, build in DATASETS.items():
        assert dataset_builder(name) is build
        assert getattr(datasets, name) is build
        assert name in datasets.__all__


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match=r"did you mean mnist.*usps, or tfds:NAME"):
        dataset_builder("mnits")
    with pytest.raises(UserError, match="write tfds:NAME"):
        dataset_builder("tfds:")
