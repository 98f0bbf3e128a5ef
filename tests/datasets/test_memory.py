"""Sizes that no machine has memory for are refused in one line, before anything is drawn."""

import time

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets import DATASETS, memory
from hasa_jax.datasets.partitioned import partitioned
from hasa_jax.datasets.pool import Pool
from hasa_jax.datasets.skew import label_mixtures
from tests.support import written
from tests.support.written import little_memory

KEY = jax.random.key(0)
HUGE = 10**13


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("synthetic_images", {"num_images": HUGE}),
        ("synthetic_images", {"num_images": HUGE, "num_clients": 10**12}),
        ("synthetic_images", {"num_classes": HUGE}),
        ("synthetic_images", {"image_size": 10**7}),
        ("synthetic_titles", {"num_titles": HUGE}),
        ("synthetic_titles", {"max_length": HUGE}),
        ("synthetic_topics", {"num_titles": HUGE}),
        ("synthetic_topics", {"num_topics": HUGE}),
        ("synthetic_topics", {"max_length": HUGE}),
    ],
)
def test_synthetic_data(name, arguments):
    start = time.monotonic()
    with (
        little_memory(2**24),
        pytest.raises(UserError, match=r"GiB of memory, but .* GiB are free"),
    ):
        DATASETS[name](KEY, **arguments)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("name", "arguments"), [("titles", {}), ("csv", {"num_clients": 2})], ids=["titles", "csv"]
)
def test_texts(name, arguments, tmp_path):
    path = tmp_path / "a.csv"
    lines = "".join(f"one two three,{'xy'[i % 2]},{'pq'[i % 2]}\n" for i in range(40))
    path.write_text(f"title,publication,label\n{lines}", encoding="utf-8")
    arguments |= {"text_column": "title"}
    with (
        little_memory(2**24),
        pytest.raises(UserError, match=f"`max_length` is {HUGE}: this needs"),
    ):
        DATASETS[name](KEY, data_path=path, max_length=HUGE, **arguments)


def test_images(tmp_path):
    folder, _ = written.copied("optdigits", tmp_path)
    with pytest.raises(UserError, match="`resize` is 1000000: this needs"):
        DATASETS["optdigits"](KEY, data_dir=folder, resize=10**6, num_clients=2)


def test_clients_times_classes():
    with pytest.raises(UserError, match="1000000000 clients of 1000000 classes: this needs"):
        label_mixtures(10**9, 10**6, 0.5, np.random.default_rng(0))


def test_a_pool_of_more_images_than_memory(monkeypatch):
    zeros = np.zeros(40, np.int32)
    pool = Pool(np.zeros((40, 9, 9, 3), np.uint8), zeros, zeros.astype(bool), ("a",), zeros)
    monkeypatch.setattr(memory, "_available_memory", lambda: 8 * 40 * 243 - 1)
    with pytest.raises(UserError, match="40 images: this needs"):
        partitioned(pool, KEY, num_clients=2)
