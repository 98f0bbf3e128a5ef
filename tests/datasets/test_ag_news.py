"""AG News: the real file as it is counted and hashed, and files that are not whole."""

import hashlib

import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.base import UserError
from hasa_jax.datasets.files.ag_news import CLASSES, ag_news
from tests.support import small

TRAIN = '"3","Fears for T N pension","Unions at Turner   Newall say\\they are ""sad""."\n'
TEST = '"4","AT amp;T wins","Haiti #39;s price:  #36;10 &lt;b&gt;...&lt;/b&gt; &lt;TXN.N&gt;up."\n'
HASH = "339c6f5fb827670014fc673c2347a62fbd5a344c226e40888a3d2c9c389c1965"


def write(folder, train=TRAIN, test=TEST, name="train.csv"):
    for file, content in ((name, train), ("test.csv", test)):
        if content is not None:
            (folder / file).write_text(content, encoding="utf-8")
    return folder


def test_the_real_files(data_dir):
    pool = ag_news(data_dir / "ag_news")
    train, test = (np.bincount(pool.targets[pool.is_test == part]) for part in (False, True))
    assert train.tolist() == [3591, 1577, 1666, 3802]
    assert test.tolist() == [1900] * 4
    assert pool.classes == CLASSES
    assert pool.group_names == ("all",)
    content = "\n".join(pool.inputs).encode() + pool.targets.tobytes() + pool.is_test.tobytes()
    assert hashlib.sha256(content).hexdigest() == HASH
    # Rows of the test file were taken out of the subset; one came back by another spelling.
    assert len(set(pool.inputs[pool.is_test]) & set(pool.inputs[~pool.is_test])) == 1


def test_the_real_texts_as_tokens(data_dir):
    arguments = {"data_dir": str(data_dir / "ag_news"), "max_examples": 2000, "num_clients": 5}
    data = hj.DATASETS["ag_news"](
        small.KEY, partition="dirichlet", alpha=1.0, vocab_size=1000, max_length=32, **arguments
    )
    assert data.num_tokens == 1000
    assert data.train.num_classes == 4
    assert data.train.inputs.shape[1:] == (32,)
    assert 0.9 < (data.train.inputs > 0).mean() < 1


def test_markup_becomes_text(tmp_path):
    pool = ag_news(write(tmp_path))
    assert pool.inputs.tolist() == [
        'Fears for T N pension Unions at Turner Newall say they are "sad".',
        "AT&T wins Haiti's price: $10 ... up.",
    ]
    assert pool.targets.tolist() == [2, 3]
    assert pool.is_test.tolist() == [False, True]


def test_training_and_test_texts_are_cleaned_alike(tmp_path):
    pool = ag_news(write(tmp_path, TRAIN + TEST))
    assert pool.inputs[1] == pool.inputs[2]


def test_a_subset_has_a_header(tmp_path):
    content = "label,text,source\n2,AT amp;T wins,a\n1,so be it,b\n"
    pool = ag_news(write(tmp_path, content, name="train_subset.csv"))
    assert pool.inputs[:2].tolist() == ["AT&T wins", "so be it"]
    assert pool.targets.tolist() == [1, 0, 3]
    # The whole file comes first where both are.
    assert len(ag_news(write(tmp_path)).inputs) == 2


@pytest.mark.parametrize(
    ("content", "told"),
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
def test_damaged_files(tmp_path, content, told):
    with pytest.raises(UserError, match=told) as caught:
        ag_news(write(tmp_path, test=content))
    assert "\n" not in str(caught.value)


def test_a_damaged_subset(tmp_path):
    for content, told in [
        ("label,text\n", "no rows"),
        ("label,title\n1,a\n", "'text' is not there"),
        ("label,text\n0,a\n", "line 2 .* class '0'"),
        ("label,text\n1\n", "line 2 .* 1 columns where the header has 2"),
    ]:
        with pytest.raises(UserError, match=told):
            ag_news(write(tmp_path, content, name="train_subset.csv"))


def test_cut_anywhere_it_is_read_up_to_a_row_or_refused(tmp_path):
    content = TEST * 3
    for end in range(len(content)):
        try:
            pool = ag_news(write(tmp_path, test=content[:end]))
        except UserError:
            continue
        assert end % len(TEST) == 0
        assert len(pool.inputs) == 1 + end // len(TEST)
