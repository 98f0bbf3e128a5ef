"""AG News: counts and hash of the real files, and damaged files."""

import hashlib

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets.files.ag_news import CLASSES, ag_news
from hasa_jax.datasets.partitioned import partitioned

TRAIN = '"3","Fears for T N pension","Unions at Turner   Newall say\\they are ""sad""."\n'
TEST = '"4","AT amp;T wins","Haiti #39;s price:  #36;10 &lt;b&gt;...&lt;/b&gt; &lt;TXN.N&gt;up."\n'
HASH = "339c6f5fb827670014fc673c2347a62fbd5a344c226e40888a3d2c9c389c1965"


def write(folder, train=TRAIN, test=TEST, name="train.csv"):
    for file, content in ((name, train), ("test.csv", test)):
        if content is not None:
            (folder / file).write_text(content, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def real(data_dir):
    return ag_news(data_dir / "ag_news")


def test_the_real_files(real):
    pool = real
    train, test = (np.bincount(pool.targets[pool.is_test == part]) for part in (False, True))
    assert train.tolist() == [3591, 1577, 1666, 3802]
    assert test.tolist() == [1900] * 4
    assert pool.classes == CLASSES
    assert pool.group_names == ("all",)
    content = "\n".join(pool.inputs).encode() + pool.targets.tobytes() + pool.is_test.tobytes()
    assert hashlib.sha256(content).hexdigest() == HASH
    # The training subset has no rows of the test file, except one with another spelling.
    assert len(set(pool.inputs[pool.is_test]) & set(pool.inputs[~pool.is_test])) == 1


def test_the_real_texts_as_tokens(real):
    numbers = {"max_examples": 500, "num_clients": 5, "vocab_size": 1000, "max_length": 64}
    data = partitioned(real, jax.random.key(0), partition="dirichlet", alpha=1.0, **numbers)
    assert data.num_tokens == 1000
    assert data.train.num_classes == 4
    assert data.train.inputs.shape[1:] == (64,)
    assert 0.7 < (data.train.inputs > 0).mean() < 1


def test_markup_becomes_text(tmp_path):
    pool = ag_news(write(tmp_path))
    assert pool.inputs.tolist() == [
        'Fears for T N pension Unions at Turner Newall say they are "sad".',
        "AT&T wins Haiti's price: $10 ... up.",
    ]
    assert pool.targets.tolist() == [2, 3]
    assert pool.is_test.tolist() == [False, True]


def test_training_and_test_texts_are_cleaned_in_the_same_way(tmp_path):
    pool = ag_news(write(tmp_path, TRAIN + TEST))
    assert pool.inputs[1] == pool.inputs[2]


def test_a_subset_has_a_header(tmp_path):
    content = "label,text,source\n2,AT amp;T wins,a\n1,so be it,b\n"
    pool = ag_news(write(tmp_path, content, name="train_subset.csv"))
    assert pool.inputs[:2].tolist() == ["AT&T wins", "so be it"]
    assert pool.targets.tolist() == [1, 0, 3]
    # The full file comes first if both exist.
    assert len(ag_news(write(tmp_path)).inputs) == 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TEST[:-1], "line 1 of .*test.csv has no end"),
        (TEST + TEST[:30] + "\n", "line 2 of .*test.csv is not valid CSV"),
        (TEST + '"4","a title"\n', "line 2 of .*test.csv has 2 columns"),
        (TEST + '"5","a","b"\n', "line 2 of .*test.csv has class '5' where 1 to 4"),
        ("class,title,description\n" + TEST, "line 1 of .*test.csv has class 'class'"),
        (TEST + '"4"," ","\\"\n', "line 2 of .*test.csv has no text"),
        ("\n", "test.csv is empty"),
        ("", "test.csv has no end"),
        (None, "has no test.csv"),
    ],
)
def test_damaged_files(tmp_path, content, expected):
    with pytest.raises(UserError, match=expected) as caught:
        ag_news(write(tmp_path, test=content))
    assert "\n" not in str(caught.value)


def test_a_damaged_subset(tmp_path):
    for content, expected in [
        ("label,text\n", "no rows"),
        ("label,title\n1,a\n", "'text' is not there"),
        ("label,text\n0,a\n", "line 2 .* class '0'"),
        ("label,text\n1\n", "line 2 .* 1 columns where the header has 2"),
    ]:
        with pytest.raises(UserError, match=expected):
            ag_news(write(tmp_path, content, name="train_subset.csv"))


def test_a_file_cut_off_at_any_byte_is_read_up_to_a_row_or_refused(tmp_path):
    content = TEST * 2
    for end in range(len(content)):
        try:
            pool = ag_news(write(tmp_path, test=content[:end]))
        except UserError:
            continue
        assert end % len(TEST) == 0
        assert len(pool.inputs) == 1 + end // len(TEST)
