"""LEAF's JSON files: users as clients, images and characters, and files that cannot be used."""

import gzip
import json

import jax
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.base import IGNORED, UNKNOWN, UserError
from hasa_jax.datasets import leaf
from hasa_jax.datasets.files.leaf_json import leaf_json
from hasa_jax.datasets.vocabulary import UNKNOWN_ID
from tests.support.federated import parts

KEY = jax.random.key(0)


def write(folder, users, name="all_data_0.json", changes=None):
    """Writes a file as LEAF does; `users` has x and y of each."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
    }
    (folder / name).write_text(json.dumps(content | (changes or {})), encoding="utf-8")
    return folder


def images(count, seed=0):
    """Returns x and y of a user of FEMNIST: bytes over 255, of three classes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 784)) / 255
    return pixels.tolist(), (np.arange(count) % 3).tolist()


def vectors(count, seed=0):
    """Returns x and y of a user of LEAF's synthetic data: three numbers, two classes."""
    numbers = np.random.default_rng(seed).normal(size=(count, 3))
    return numbers.tolist(), (np.arange(count) % 2).tolist()


TEXT = "to be, or not to be: that is the question"


def texts(count, length=8, text=TEXT):
    """Returns x and y of a user of Shakespeare: windows, and the character after each."""
    x = [text[i : i + length] for i in range(count)]
    return x, [text[i + length] for i in range(count)]


def test_images_of_users_in_several_files(tmp_path):
    """Users may share names with numbers, stand in two files, and have too few examples."""
    write(tmp_path, {"f01": images(20), "f02": images(12, 1)})
    write(tmp_path, {"f02": images(9, 2), "f03": images(4, 3), "f00": images(10, 4)}, "b.json")
    data = leaf(KEY, data_dir=tmp_path)
    assert data.client_names == ("f00", "f01", "f02")
    assert sum(part.num_examples for part in parts(data)).tolist() == [10, 20, 21]
    assert data.train.inputs.shape[1:] == (28, 28, 1)
    assert data.train.inputs.dtype == np.float32
    assert abs(data.train.inputs.mean()) < 1e-3
    assert abs(data.train.inputs.std() - 1) < 1e-3
    assert data.notes == (
        "1 users have examples in several places, joined: 'f02'",
        "1 users with fewer than 10 examples for training were left out: 'f03'",
    )
    again = leaf(KEY, data_dir=str(tmp_path), max_clients=2, min_examples=3)
    assert len(again.client_names) == 2


def test_pixels_are_the_bytes_of_the_authors(tmp_path):
    found = leaf_json(write(tmp_path, {"a": images(3)}))
    (own,) = found.train["a"]
    expected = np.random.default_rng(0).integers(0, 256, (3, 784))
    np.testing.assert_array_equal(own.inputs.reshape(3, 784), expected)
    assert own.inputs.dtype == np.uint8
    assert found.test is None


def test_the_authors_test_set_of_each_user(tmp_path):
    write(tmp_path / "train", {"a": images(20), "b": images(10, 1), "c": images(11, 2)})
    write(tmp_path / "test", {"b": images(2, 3), "a": images(3, 4), "d": images(5, 5)})
    data = leaf(KEY, data_dir=tmp_path)
    assert data.client_names == ("a", "b")
    counts = [part.num_examples.tolist() for part in parts(data)]
    assert counts == [[18, 9], [2, 1], [3, 2]]
    assert data.test.targets.tolist() == images(3, 4)[1] + images(2, 3)[1]
    assert data.notes == (
        "1 users with fewer than 10 examples for training were left out: 'd'",
        "1 users without examples for testing were left out: 'c'",
    )
    with pytest.raises(UserError, match=r"`folds` is 2, but the authors of these data set 10 ex"):
        leaf(KEY, data_dir=tmp_path, folds=2, fold=1)


def test_the_next_character_by_hand(tmp_path):
    """The last position of a text has the only target; new characters of tests are unknown."""
    write(tmp_path / "train", {"a": (["aab", "bb"], ["a", "a"]), "b": (["aa", "ab"], ["b", "b"])})
    write(tmp_path / "test", {"a": (["az"], ["b"]), "b": (["bb"], ["z"])})
    with pytest.raises(UserError, match="fewer than 10 examples"):
        leaf(KEY, data_dir=tmp_path)
    train = {"a": (["aab", "bb"] * 2, ["a", "a"] * 2), "b": (["aa", "aa"] * 2, ["b", "a"] * 2)}
    write(tmp_path / "train", train)
    data = leaf(KEY, data_dir=tmp_path, min_examples=4)
    # a is more frequent than b whatever example is for validation.
    assert (data.num_tokens, data.train.num_classes) == (4, 2)
    assert data.test.inputs.tolist() == [[2, 1, 0], [3, 3, 0]]
    assert data.test.targets.tolist() == [[IGNORED, 1, IGNORED], [IGNORED, UNKNOWN, IGNORED]]
    first = data.train.inputs[0].tolist()
    assert first in ([2, 2, 3], [3, 3, 0])
    place = 2 if first == [2, 2, 3] else 1
    assert data.train.targets[0].tolist() == [0 if i == place else IGNORED for i in range(3)]


def test_every_character_is_predicted_once(tmp_path):
    write(tmp_path, {"a": texts(30), "b": texts(27, text=TEXT[::-1])})
    data = leaf(KEY, data_dir=tmp_path)
    for part in parts(data):
        assert ((part.targets != IGNORED).sum(1) == 1).all()
    folds = [leaf(KEY, data_dir=tmp_path, folds=3, fold=fold) for fold in (1, 2, 3)]
    assert sum(own.test.num_examples for own in folds).tolist() == [30, 27]


def test_windows_are_split_in_their_order_without_overlap(tmp_path):
    """The last tenths are for validation and test; seven texts before them share characters."""
    users = {"a": texts(30), "b": texts(16, text=TEXT[::-1]), "c": texts(9), "d": texts(4)}
    data = leaf(KEY, data_dir=write(tmp_path, users), min_examples=5)
    assert data.client_names == ("a", "b")
    assert [part.num_examples.tolist() for part in parts(data)] == [[19, 7], [2, 1], [2, 1]]
    again = leaf(jax.random.key(1), data_dir=tmp_path, min_examples=5)
    np.testing.assert_array_equal(data.test.inputs, again.test.inputs)
    # Places in the play say who follows whom: ids are equal where characters are.
    first, last = data.train.inputs[0], data.test.inputs[1]
    text = [*first, *data.train.inputs[1:19, -1]]
    assert len({*zip(text, TEXT[:26], strict=True)}) == len(set(TEXT[:26]))
    assert len({*zip(last, TEXT[29:37], strict=True)}) == len(set(TEXT[29:37]))
    assert data.notes == (
        "1 users with fewer than 5 examples for training were left out: 'd'",
        "1 users with 9 texts, too few beside a gap of 7, were left out: 'c'",
        "texts of a user overlap, so they are split in their order: 14 that are nearer than 8 "
        "places to one for validation or testing are left out",
    )
    with pytest.raises(
        UserError, match=r"only user 'a' of 4 users .* two gaps of 7.* or give users with"
    ):
        leaf(KEY, data_dir=tmp_path, folds=5, fold=1)


def test_a_user_whose_texts_are_in_another_order_is_counted(tmp_path):
    x, y = texts(30)
    order = np.random.default_rng(0).permutation(30)
    users = {"a": texts(30), "b": ([x[i] for i in order], [y[i] for i in order])}
    first, second = leaf(KEY, data_dir=write(tmp_path, users)).notes
    assert first == (
        "1 users have texts that mostly do not follow each other, so some may overlap: 'b'"
    )
    assert second.startswith("texts of a user overlap, so they are split in their order: 14 that")


@pytest.mark.parametrize("names", [("a_2.json", "a_10.json"), ("a.json", "b.json")])
def test_windows_in_several_files_are_in_the_order_of_the_text(tmp_path, names):
    """Whatever file is read first; each letter stands once in the text."""
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 108)))
    x, y = texts(100, text=text)
    users = {"a": (x[:50], y[:50]), "b": texts(30)}
    write(write(tmp_path, users, names[0]), {" a ": (x[50:], y[50:])}, names[1])
    for folds, fold in ((0, 0), (3, 1), (3, 2), (3, 3)):
        data = leaf(KEY, data_dir=tmp_path, min_examples=3, folds=folds, fold=fold)
        assert data.train.num_examples[0] > 40
        train, test = (p.inputs[: p.num_examples[0]].ravel() for p in (data.train, data.test))
        assert {*train} & {*test} <= {UNKNOWN_ID}
    # Without a text between them, both may overlap, and only the longer chain is used.
    write(tmp_path, {" a ": (x[52:], y[52:])}, names[1])
    data = leaf(KEY, data_dir=tmp_path)
    assert data.train.num_examples[0] + 2 * data.test.num_examples[0] + 7 == 50
    assert data.notes[1] == (
        "1 users have texts in several places that do not follow each other and may overlap, so "
        "only the longest chain of each is used and 48 others are left out: 'a'"
    )


def test_numbers_of_other_shapes_stay_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    users = {u: (rng.normal(size=(10, 3)).tolist(), [0.0, 1.0] * 5) for u in "ab"}
    data = leaf(KEY, data_dir=write(tmp_path, users))
    assert data.train.inputs.shape == (16, 3)
    np.testing.assert_array_equal(
        np.sort(data.test.inputs[:1, 0]), np.sort(data.test.inputs[:1, 0].astype(np.float32))
    )
    assert data.train.num_classes == 2
    scaled = {u: ((np.array(images(10)[0]) * 2 - 1).tolist(), images(10)[1]) for u in "ab"}
    data = leaf(KEY, data_dir=write(tmp_path / "scaled", scaled))
    assert data.train.inputs.min() < 0
    assert data.notes == ("pixels are no bytes over 255, so they stay as they are",)


def test_many_users_are_fast(tmp_path):
    """Keys of users one by one would take seconds."""
    x, y = [[0.5, 0.25]] * 10, [0, 1] * 5
    for number in range(40):
        write(tmp_path, {f"u{number:03}{i:02}": (x, y) for i in range(30)}, f"{number}.json")
    data = leaf(KEY, data_dir=tmp_path)
    assert len(data.client_names) == 1200
    assert data.train.inputs.shape == (9600, 2)


def test_texts_that_are_split_at_random_say_that_they_may_overlap(tmp_path):
    x, y = texts(30)
    order = np.random.default_rng(0).permutation(30)
    users = {u: ([x[i] for i in order], [y[i] for i in order]) for u in "ab"}
    (note,) = leaf(KEY, data_dir=write(tmp_path / "one", users)).notes
    assert "for validation or testing predicts may stand in a training text" in note
    write(tmp_path / "two" / "train", {"a": texts(12), "b": texts(12)})
    write(tmp_path / "two" / "test", {u: texts(9, text=TEXT[::-1]) for u in "ab"})
    data = leaf(KEY, data_dir=tmp_path / "two")
    (note,) = data.notes
    assert "a text for validation predicts" in note
    # The authors left a gap, and a reader of their texts needs none.
    assert data.train.num_examples.tolist() == [11, 11]


def test_pixels_from_0_to_255_are_the_same_images(tmp_path):
    over = {"a": images(12), "b": images(12, 1), "c": ([[0.0] * 783 + [1 / 255]] * 12, [1] * 12)}
    whole = {u: ((np.array(x) * 255).round().astype(int).tolist(), y) for u, (x, y) in over.items()}
    expected = leaf(KEY, data_dir=write(tmp_path / "over", over))
    data = leaf(KEY, data_dir=write(tmp_path / "whole", whole))
    np.testing.assert_array_equal(data.train.inputs, expected.train.inputs)
    assert expected.notes == ()
    assert data.notes == ("pixels are whole numbers from 0 to 255, so they are read as bytes",)


def test_files_beside_the_folders_are_counted(tmp_path):
    write(tmp_path, GOOD)
    write(tmp_path / "train", {"a": images(12), "b": images(12, 1)})
    data = leaf(KEY, data_dir=tmp_path)
    assert data.notes == ("1 other files were not read: ['all_data_0.json']",)


GOOD = {"a": texts(12), "b": texts(12)}


@pytest.mark.parametrize(
    ("users", "changes", "match"),
    [
        (GOOD, {"num_samples": [12, 11]}, r"0\.json: user 'b' has 12 examples, but num_samples is"),
        (GOOD, {"num_samples": [12]}, r"0\.json has 2 users, but not as many `num_samples`"),
        (GOOD, {"users": ["a", "c"]}, r"the names in `users` are not those in `user_data`"),
        (GOOD, {"user_data": []}, r"0\.json has no users by name in its user_data: give"),
        (GOOD, {"user_data": {"a": 3, "b": 4}}, r"0\.json: user 'a' has no x and y"),
        ({"a": ([[0.0, 1.0], [1.0]], [0, 1])}, {}, r"user 'a' has x of several lengths"),
        ({"a": ([[0.0]], [0, 1])}, {"num_samples": [1]}, r"user 'a' has x and y of 1 and 2"),
        ({"a": ([["id", "text"]], [0])}, {}, r"user 'a' has x that are neither numbers nor texts"),
        ({"a": (["ab", ""], ["c", "d"])}, {}, r"user 'a' has x that are no texts, or empty"),
        ({"a": (["ab"], ["cd"])}, {}, r"user 'a' has y of several characters"),
        ({"a": ([[float("nan")]], [1])}, {}, r"user 'a' has x that are not finite"),
        ({"a": ([[1e39]], [1])}, {}, r"user 'a' has x that are too large"),
        ({"a": ([[10**30]], [1])}, {}, r"user 'a' has x that are too large"),
        ({"a": ([[1.0]], [10**30])}, {}, r"user 'a' has y that are too large"),
        (
            {"": texts(12), "b": texts(12)},
            {},
            r"0\.json: the name '' of a user is empty: give it another",
        ),
        ({"a": ([[1.0]], [1]), "b": ([[1.0, 2.0]], [1])}, {}, r"user 'b' has numbers of shape"),
        ({"a": ([], [])}, {}, r"no user in .* has an example"),
        ({"a": texts(12)}, {}, r"none of 1 users .*a gap of 7.*: give users with more"),
        ({"a": texts(4), "b": texts(5)}, {}, r"none of 2 users can be a client .*`min_examples`"),
        (
            {u: ([[1.0]] * 10, [-1] * 10) for u in "ab"},
            {},
            r"targets of client 'a' go from -1 to -1",
        ),
        (
            {u: ([[1.0]] * 10, [0.5] * 10) for u in "ab"},
            {},
            r"user 'a' has targets such as 0\.5: class ids",
        ),
    ],
)
def test_bad_files_are_one_line(tmp_path, users, changes, match):
    with pytest.raises(UserError, match=match) as caught:
        leaf(KEY, data_dir=write(tmp_path, users, changes=changes))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_json(tmp_path):
    for content, match in (
        (b'{"users": ["a"], "num_', "is no JSON .*: it is damaged or cut off"),
        (b'{"users": [], "users": []}', "'users' stands there twice"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
    ):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(UserError, match=match):
            leaf(KEY, data_dir=tmp_path)


def test_folders_without_files_say_where_they_are(tmp_path):
    with pytest.raises(UserError, match=r"has no files \*\.json: name the folder that has them"):
        leaf(KEY, data_dir=tmp_path)
    write(tmp_path / "data" / "train", GOOD)
    with pytest.raises(UserError, match=r"has no files \*\.json: name .*/data with `data_dir`"):
        leaf(KEY, data_dir=tmp_path)


@pytest.mark.parametrize(
    ("users", "match"),
    [
        (
            {u: (vectors(12)[0], [[0, 1]] * 12) for u in "ab"},
            r"'a' has targets of shape \(2,\) for",
        ),
        (
            {"a": vectors(12), "b": (vectors(12, 1)[0], [10**6] * 12)},
            r"client 'b' has target 1000000",
        ),
        (
            {"a": vectors(12), "b": (vectors(12)[0], ["1"] * 12)},
            r"user 'b' has y such as '1': class",
        ),
        (
            {u: ([[]] * 12, [0] * 12) for u in "ab"},
            r"'a' has inputs of shape \(0,\), which have no",
        ),
        (
            {"a": images(12), "b": ((np.array(images(12)[0]) * 255).tolist(), images(12)[1])},
            r"user 'b' has pixels that are numbers up to 255, and user 'a' has fractions up",
        ),
        (
            # Fractions that are no multiples of 1 / 255.
            {
                "a": ((np.array(images(12)[0]) * 0.7).tolist(), images(12)[1]),
                "b": ((np.array(images(12)[0]) * 255).round().tolist(), images(12)[1]),
            },
            r"user 'b' has pixels that are numbers up to 255, and user 'a' has fractions up",
        ),
        (
            {"1": vectors(12), "1.0": vectors(9, 1), "c": vectors(3)},
            r"only user '1' of 2 users can be a client \(1 spellings .* left out: 'c'\), where two",
        ),
    ],
)
def test_users_that_cannot_be_clients_are_named(tmp_path, users, match):
    with pytest.raises(UserError, match=match) as caught:
        leaf(KEY, data_dir=write(tmp_path, users))
    assert "\n" not in str(caught.value)


def test_a_copy_of_a_file_is_refused(tmp_path):
    """Its examples would be for training and for testing."""
    users = {"a": vectors(12), "b": vectors(12, 1)}
    write(write(tmp_path / "one", users), {"b": users["b"]}, "copy.json")
    with pytest.raises(UserError, match=r"user 'b' has the same 12 examples twice, in two places"):
        leaf(KEY, data_dir=tmp_path / "one")
    write(tmp_path / "two" / "train", users)
    write(tmp_path / "two" / "test", users)
    with pytest.raises(UserError, match=r"'a' has the same 12 .* for training and for testing"):
        leaf(KEY, data_dir=tmp_path / "two")


def test_copies_in_testing_and_of_users_that_are_left_out(tmp_path):
    """A user that is no client refuses nothing, and equal tests are no training examples."""
    users = {"a": vectors(12), "b": vectors(12, 1), "tiny": vectors(4, 2)}
    write(tmp_path / "train", users)
    tests = {"a": vectors(5, 3), "b": vectors(5, 4), "tiny": vectors(4, 2)}
    write(tmp_path / "test", tests)
    assert leaf(KEY, data_dir=tmp_path).client_names == ("a", "b")
    write(tmp_path / "test", tests, "copy.json")
    with pytest.raises(UserError, match=r"user 'a' has the same 5 examples twice, in two places"):
        leaf(KEY, data_dir=tmp_path)


def test_examples_for_testing_that_are_trained_on_are_counted(tmp_path):
    """A half of a user's examples in another order; and two, which may be equal by chance."""
    users = {"a": vectors(12), "b": vectors(12, 1), "c": ([[0.5, 0.5, 0.5]] * 12, [1] * 12)}
    write(tmp_path / "train", users)
    x, y = users["a"]
    tests = {"a": (x[5::-1], y[5::-1]), "b": vectors(6, 2), "c": ([[0.5, 0.5, 0.5]] * 12, [1] * 12)}
    write(tmp_path / "test", tests)
    assert leaf(KEY, data_dir=tmp_path).notes == (
        "18 examples for testing of 2 users are also among those for training and validation: "
        "'a', 'c'",
    )
    # The same inputs with another class are another example.
    write(tmp_path / "test", tests | {"a": (x[:6], [1 - each for each in y[:6]])})
    (note,) = leaf(KEY, data_dir=tmp_path).notes
    assert note.startswith("12 examples for testing of 1 users")


def test_what_is_beside_the_files_is_counted(tmp_path):
    write(tmp_path, {"a": vectors(12), "b": vectors(12, 1)}, "DATA.JSON")
    for name in ("more.json.gz", "._DATA.JSON"):
        (tmp_path / name).write_bytes(b"\0")
    (tmp_path / "old.json").mkdir()
    data = leaf(KEY, data_dir=tmp_path)
    assert data.notes == ("2 other files were not read: ['._DATA.JSON', 'more.json.gz']",)


def test_users_may_have_the_names_of_fields(tmp_path):
    users = {name: vectors(12, seed) for seed, name in enumerate(("x", "y", "users"))}
    assert leaf(KEY, data_dir=write(tmp_path, users)).client_names == ("users", "x", "y")


def test_classes_that_only_testing_has_are_counted(tmp_path):
    users = {"a": vectors(12), "b": vectors(12, 1)}
    write(tmp_path / "train", users)
    write(tmp_path / "test", {u: (x[:2], [7, 8]) for u, (x, _) in users.items()})
    data = leaf(KEY, data_dir=tmp_path)
    assert data.notes == ("2 of 4 classes have no example for training",)


def test_names_that_no_one_can_read_are_short_or_refused(tmp_path):
    users = {"Ünï": vectors(12), "日本": vectors(12, 1), "n" * 9999: vectors(3)}
    data = leaf(KEY, data_dir=write(tmp_path / "one", users))
    assert data.client_names == ("Ünï", "日本")
    assert data.notes[0].endswith(f"were left out: '{'n' * 40}...'")
    (tmp_path / "two").mkdir()
    text = (tmp_path / "one" / "all_data_0.json").read_text(encoding="utf-8")
    (tmp_path / "two" / "a.json").write_text(text.replace("n" * 9999, "\\ud800"), encoding="utf-8")
    with pytest.raises(UserError, match=r"a\.json: the name '\\ud800' of a user is not Unicode"):
        leaf(KEY, data_dir=tmp_path / "two")


def test_folders_that_lack_a_part_say_what_to_do(tmp_path):
    file = write(tmp_path / "one", GOOD) / "all_data_0.json"
    write(tmp_path / "two" / "train", GOOD)
    (tmp_path / "two" / "test").mkdir()
    write(tmp_path / "three" / "test", GOOD)
    (tmp_path / "four").mkdir()
    (tmp_path / "four" / "a.json").write_bytes(gzip.compress(file.read_bytes()))
    (tmp_path / "five").mkdir()
    (tmp_path / "five" / "a.json.gz").write_bytes(gzip.compress(file.read_bytes()))
    for folder, match in (
        (file, r"0\.json is a file: name its folder with `data_dir`"),
        (tmp_path / "none", r"none does not exist: name a folder with `data_dir`"),
        (tmp_path / "two", r"test has no files \*\.json: .* or remove the folder to split every"),
        (tmp_path / "three", r"three has a folder test and none with the name train"),
        (tmp_path / "four", r"a\.json is packed by gzip: unpack it"),
        (tmp_path / "five", r"five has no files \*\.json: it has \['a\.json\.gz'\]; unpack them"),
    ):
        with pytest.raises(UserError, match=match):
            leaf(KEY, data_dir=folder)


@pytest.mark.slow
def test_models_train_on_characters(tmp_path):
    users = {f"u{i}": texts(30, text=TEXT[i:] + TEXT) for i in range(3)}
    data = leaf(KEY, data_dir=write(tmp_path, users))
    result = hj.simulate(
        hj.methods.fedavg(), hj.models.lstm(hidden=8, embed=4), data, num_rounds=1, key=KEY
    )
    assert np.isfinite(result.records["metrics"][-1]["loss"])
