"""TensorFlow Federated's HDF5 files: users as clients, next words and images."""

import gzip

import h5py
import jax
import numpy as np
import pytest

from hasa_jax.base import IGNORED, UNKNOWN, UserError
from hasa_jax.datasets import tff
from tests.support.federated import parts

KEY = jax.random.key(0)


def write(folder, users, part="train", name="stackoverflow"):
    """Writes a file; `users` has the features of each."""
    folder.mkdir(exist_ok=True)
    with h5py.File(folder / f"{name}_{part}.h5", "w") as file:
        for user, features in users.items():
            for feature, values in features.items():
                file[f"examples/{user}/{feature}"] = values
    return folder


def texts(count, text="a b a c"):
    tokens = np.array([text] * count, object)
    return {"tokens": tokens, "title": tokens, "score": np.arange(count)}


def test_next_words_by_hand(tmp_path):
    """The words of training texts are the vocabulary, the most frequent first."""
    write(tmp_path, {"u1": texts(11), "u2": texts(10, "c b a a a"), "u3": texts(4)})
    tests = {"u1": texts(2, "b a z d"), "u2": {"tokens": np.array(["a", "b c"], object)}}
    write(tmp_path, tests | {"u9": texts(10)}, "test")
    data = tff(KEY, data_dir=tmp_path, max_length=3)
    assert data.client_names == ("u1", "u2")
    assert (data.num_tokens, data.train.num_classes) == (5, 3)
    assert [p.num_examples.tolist() for p in parts(data)] == [[10, 9], [1, 1], [2, 1]]
    # Of training words a is the most frequent, then b and c, which are equally frequent.
    assert data.test.inputs.tolist() == [[3, 2, 1], [3, 2, 1], [3, 0, 0]]
    b, a, c = data.test.inputs[0][0] - 2, 0, 2
    assert data.test.targets[0].tolist() == [a, UNKNOWN, UNKNOWN]
    assert data.test.targets[2].tolist() == [c, IGNORED, IGNORED]
    assert b == 1
    assert data.notes == (
        "1 texts of fewer than two words were left out",
        "2 users with fewer than 10 examples for training were left out: 'u3', 'u9'",
    )


def test_some_users_are_drawn_and_only_they_are_read(tmp_path):
    users = {f"u{i:02}": texts(10 + i) for i in range(20)}
    users["u03"]["tokens"] = np.arange(13.0)  # No texts, which would be refused if it were read.
    users |= {f"v{i}": texts(2) for i in range(5)}
    write(tmp_path, users)
    found = {tff(jax.random.key(s), data_dir=tmp_path, max_clients=3).client_names for s in (0, 2)}
    assert len(found) == 2
    assert all(len(names) == 3 and names[0].startswith("u") for names in found)
    folds = [tff(KEY, data_dir=tmp_path, max_clients=3, folds=2, fold=f) for f in (1, 2)]
    assert folds[0].client_names == folds[1].client_names


def test_images_of_bytes_and_of_fractions(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 28, 28), np.uint8)
    labels = rng.integers(0, 10, (12, 1))
    users = {u: {"pixels": (1 - pixels / 255).astype(np.float32), "label": labels} for u in "ab"}
    data = tff(KEY, data_dir=write(tmp_path, users, name="fed_emnist"))
    assert data.train.inputs.shape == (20, 28, 28, 1)
    assert abs(data.train.inputs.std() - 1) < 1e-3
    assert data.num_tokens == 0
    cifar = rng.integers(0, 256, (12, 32, 32, 3), np.uint8)
    users = {u: {"image": cifar, "label": labels[:, 0], "coarse_label": labels} for u in "ab"}
    data = tff(KEY, data_dir=write(tmp_path / "cifar", users, name="fed_cifar100"))
    assert data.train.inputs.shape == (20, 32, 32, 3)


def test_bytes_beside_numbers_up_to_255_are_one_scale(tmp_path):
    """Bytes have a scale of their own, so they fit to fractions as well."""
    train = {u: pixels(12, i) for i, u in enumerate("ab")}
    tests = {u: pixels(4, i + 2) for i, u in enumerate("ab")}
    expected = tff(KEY, data_dir=write(write(tmp_path / "bytes", train), tests, "test"))
    for name, scale, notes in (
        ("numbers", 1, ("pixels are whole numbers from 0 to 255, so they are read as bytes",)),
        ("fractions", 255, ()),
    ):
        other = {u: own | {"pixels": own["pixels"] / scale} for u, own in tests.items()}
        data = tff(KEY, data_dir=write(write(tmp_path / name, train), other, "test"))
        np.testing.assert_array_equal(data.test.inputs, expected.test.inputs)
        np.testing.assert_array_equal(data.train.inputs, expected.train.inputs)
        assert data.notes == notes


def test_a_user_that_is_no_group_is_damage(tmp_path):
    write(tmp_path, {"a": texts(10), "b": texts(10)})
    with h5py.File(tmp_path / "stackoverflow_train.h5", "a") as file:
        file["examples/zz"] = np.arange(3)
    for most in (0, 3):
        with pytest.raises(UserError, match="user 'zz' has no features: the file is damaged"):
            tff(KEY, data_dir=tmp_path, max_clients=most)


SIDES = (("a", 28), ("b", 32))
SNIPPETS = {"a": {"snippets": np.array(["to be"] * 10, object)}}


@pytest.mark.parametrize(
    ("users", "match"),
    [
        (SNIPPETS, r"user 'a' has the features \['snippets'\]: pixels and label"),
        ({}, "has no users under 'examples'"),
        ({"a": texts(10)}, "only one client"),
        ({"a": texts(10), "b": {"title": np.arange(10)}}, "user 'b' has no tokens"),
        (
            {u: {"pixels": np.ones((9, 28, 28)), "label": np.ones(8, int)} for u in "ab"},
            "with labels",
        ),
        ({u: texts(9) for u in "ab"}, "none of 2 users can be a client"),
        (
            {u: texts(12, "word") for u in "ab"},
            r"none of 2 users can be a client \(24 texts of fewer than two words were left out; ",
        ),
        ({u: {"tokens": np.arange(12)} for u in "ab"}, r"'a' has tokens of shape \(12,\) and type"),
        (
            {u: {"tokens": np.array([["a b"]] * 12, object)} for u in "ab"},
            r"user 'a' has tokens of shape \(12, 1\) and type object",
        ),
        (
            {u: {"pixels": np.ones((12, n, n)), "label": np.ones(12, int)} for u, n in SIDES},
            r"user 'b' has numbers of shape \(32, 32, 1\), but user 'a' of .* \(28, 28, 1\)",
        ),
        (
            {"a": {"pixels": 1.0, "label": 1}, "b": texts(10)},
            "user 'a' has float64 pixels of shape .* and int64 labels of shape",
        ),
    ],
)
def test_bad_files_are_one_line(tmp_path, users, match):
    with pytest.raises(UserError, match=match) as caught:
        tff(KEY, data_dir=write(tmp_path, users))
    assert "\n" not in str(caught.value)


def test_files_that_are_missing_too_many_or_no_hdf5(tmp_path):
    with pytest.raises(UserError, match=r"has 0 files \*_train.h5, where one is needed"):
        tff(KEY, data_dir=tmp_path)
    (tmp_path / "a_train.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match=r"a_train\.h5 is damaged"):
        tff(KEY, data_dir=tmp_path)
    write(tmp_path, {"a": texts(10)})
    with pytest.raises(UserError, match=r"has 2 files \*_train.h5"):
        tff(KEY, data_dir=tmp_path)


def test_links_to_other_files_are_refused(tmp_path):
    write(tmp_path, {"a": texts(10), "b": texts(10)}, name="other")
    (tmp_path / "own").mkdir()
    with h5py.File(tmp_path / "own" / "own_train.h5", "w") as file:
        for user in "ab":
            file[f"examples/{user}"] = h5py.ExternalLink(
                str(tmp_path / "other_train.h5"), f"examples/{user}"
            )
    with pytest.raises(UserError, match="user 'a' is a link: links are not followed"):
        tff(KEY, data_dir=tmp_path / "own")


def pixels(count, seed=0, **changes):
    values = np.random.default_rng(seed).integers(0, 256, (count, 8, 8), np.uint8)
    return {"pixels": values, "label": np.arange(count) % 3} | changes


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"pixels": np.full((12, 8, 8), np.nan)}, "'b' has pixels that are not finite: remove"),
        ({"pixels": np.full((12, 8, 8), 1e300)}, "'b' has pixels that are not finite: remove"),
        ({"pixels": np.ones((12, 0, 8))}, r"'b' has inputs of shape \(0, 8, 1\), which have no"),
        ({"pixels": np.ones((12, 64))}, r"'b' has float64 pixels of shape \(12, 64\) and int64 la"),
        ({"label": np.full(12, 0.5)}, "user 'b' has targets such as 0.5: class ids are"),
        ({"label": np.array([b"a"] * 12)}, "user 'b' has targets such as b'a': class ids are"),
        ({"label": np.eye(12)}, r"user 'b' has targets of shape \(12,\) for each example"),
        ({"pixels": h5py.Empty("f4")}, "user 'b' has no pixels and label: the file is damaged"),
    ],
)
def test_examples_that_are_none_are_one_line(tmp_path, changes, match):
    users = {"a": pixels(12), "b": pixels(12, 1) | changes}
    with pytest.raises(UserError, match=match):
        tff(KEY, data_dir=write(tmp_path, users))


def test_the_damaged_file_of_two_is_named(tmp_path):
    write(tmp_path, {"a": pixels(12), "b": pixels(12, 1)})
    write(tmp_path, {"a": pixels(3, 2), "b": pixels(3, 3)}, "test")
    path = tmp_path / "stackoverflow_test.h5"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"_test\.h5 is damaged \(.*truncated"):
        tff(KEY, data_dir=tmp_path)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(UserError, match=r"_test\.h5 is packed by gzip: unpack it"):
        tff(KEY, data_dir=tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(
        UserError, match=r"_test\.h5 is a directory, where a file of HDF5 is needed"
    ):
        tff(KEY, data_dir=tmp_path)


def test_what_is_not_read_is_counted(tmp_path):
    """Files of another name, and users that were drawn in vain."""
    users = {f"u{i}": pixels(12, i) for i in range(3)} | {f"v{i}": pixels(2) for i in range(6)}
    write(tmp_path, users)
    (tmp_path / "stackoverflow_test.h5.bz2").write_bytes(b"")
    data = tff(KEY, data_dir=tmp_path, max_clients=3)
    files, drawn = data.notes
    assert files == "1 other files were not read: ['stackoverflow_test.h5.bz2']"
    number, _, rest = drawn.partition(" ")
    assert 0 < int(number) <= 6
    assert rest == (
        "users that were drawn have fewer than 10 examples for training, so others were drawn for "
        "them"
    )
    (drawn,) = tff(KEY, data_dir=tmp_path, max_clients=5).notes[1:]
    assert drawn == (
        "6 users that were drawn have fewer than 10 examples for training, and there are no others"
    )
    # Users with too few examples for the folds are passed over as well.
    assert len(tff(KEY, data_dir=tmp_path, max_clients=3, min_examples=2).client_names) == 3
    data = tff(KEY, data_dir=tmp_path, max_clients=3, min_examples=2, folds=5, fold=1)
    assert data.client_names == ("u0", "u1", "u2")
    write(tmp_path, {"w": pixels(3)}, "test")
    with pytest.raises(UserError, match=r"no user can be a client \(.*; 9 users that were"):
        tff(KEY, data_dir=tmp_path, max_clients=3)


def test_a_name_in_another_encoding_is_refused(tmp_path):
    write(tmp_path, {"a": pixels(12), "b": pixels(12, 1)})
    with h5py.File(tmp_path / "stackoverflow_train.h5", "a") as file:
        h5py.h5g.create(file["examples"].id, b"\xff\xfe")
    with pytest.raises(UserError, match=r"the name b'\\xff\\xfe' of a user is empty or not UTF-8"):
        tff(KEY, data_dir=tmp_path)


def test_images_that_no_memory_holds_are_refused_before_they_are_read(tmp_path):
    """Compressed zeros take no room in the file."""
    write(tmp_path, {"a": pixels(12)})
    with h5py.File(tmp_path / "stackoverflow_train.h5", "a") as file:
        shape, chunks = (10**9, 28, 28), (10, 28, 28)
        file["examples"].create_group("b").create_dataset("pixels", shape, "f4", chunks=chunks)
    with pytest.raises(UserError, match=r"1000000012 images of 2 users in .*this needs .* GiB"):
        tff(KEY, data_dir=tmp_path)
