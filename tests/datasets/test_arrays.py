import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets.arrays import from_arrays
from hasa_jax.datasets.fingerprint import fingerprint

KEY = jax.random.key(0)


def pair(num_examples=10, shape=(2,), dtype=np.float64, target=1):
    inputs = np.arange(num_examples * np.prod(shape)).reshape(num_examples, *shape)
    return inputs.astype(dtype), np.full(num_examples, target)


def test_every_example_is_in_one_split_with_its_target():
    inputs = np.arange(40.0)
    targets = np.arange(40)
    data = from_arrays({"a": (inputs[:10], targets[:10]), "b": (inputs[10:], targets[10:])}, KEY)
    parts = (data.train, data.validation, data.test)
    for part in parts:
        np.testing.assert_array_equal(part.inputs, part.targets)
        assert part.inputs.dtype == np.float32
        assert part.targets.dtype == np.int32
        assert (part.targets[: part.offsets[1]] < 10).all()
        assert (part.targets[part.offsets[1] :] >= 10).all()
    found = np.concatenate([part.targets for part in parts])
    np.testing.assert_array_equal(np.sort(found), targets)
    np.testing.assert_array_equal([part.num_examples for part in parts], [[8, 24], [1, 3], [1, 3]])
    assert data.train.num_classes == 40
    assert data.client_names == ("a", "b")


def test_sequences_get_names_and_integers_stay_integers():
    tokens = (np.ones((5, 3), np.uint8), np.array([[0, -1, -2]] * 5))
    data = from_arrays([tokens, tokens], KEY, num_classes=7)
    assert data.client_names == ("client_0", "client_1")
    assert data.train.inputs.dtype == np.int32
    assert data.train.targets.shape == (6, 3)
    assert data.train.num_classes == 7


def test_device_arrays_and_lists_are_accepted():
    data = from_arrays([(jnp.ones((5, 2)), [0, 1, 0, 1, 0])] * 2, KEY)
    assert data.train.inputs.shape == (6, 2)
    assert data.train.num_classes == 2


def test_bytes_follow_from_the_key():
    clients = {"a": pair(30), "b": pair(30)}
    one, same, other = (fingerprint(from_arrays(clients, jax.random.key(s))) for s in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((np.zeros((5, 2)), np.zeros(4, int)), "'bad' has 5 inputs but 4 targets"),
        ((np.zeros((5, 2)), np.full(5, 0.5)), "targets of client 'bad' are float64"),
        ((np.zeros((5, 2)), np.full(5, np.nan)), "targets of client 'bad' are float64"),
        ((np.zeros((5, 2)), np.array(["a"] * 5)), "targets of client 'bad' are <U1"),
        ((np.zeros((5, 2)), np.full(5, -1)), "targets .* 'bad' go from -1 to -1: use 0 and 1"),
        ((np.zeros((5, 2)), np.array([-2, 0, 1, 2, 3])), "'bad' go from -2 to 3: give class ids"),
        (
            (np.zeros((5, 2)), np.zeros((5, 3), int)),
            r"\(5, 3\) and inputs \(5, 2\): give one class",
        ),
        ((np.zeros((5, 0)), np.zeros(5, int)), r"inputs of client 'bad' .*\(5, 0\)"),
        (([[1], [1, 2], [1], [1], [1]], np.zeros(5, int)), "have several lengths"),
        ((np.zeros((5, 2)), np.zeros((5, 1, 1), int)), r"targets .* shape \(5, 1, 1\)"),
        ((np.zeros((5, 2)), np.full(5, -3)), "targets of client 'bad' go from -3 to -3"),
        ((np.zeros((5, 2)), np.full(5, 2**31)), "targets of client 'bad' go from 2147483648"),
        ((np.zeros((5, 2)), np.full(5, 9)), "'bad' has target 9 but `num_classes` is 4"),
        ((np.zeros((5, 3)), np.zeros(5, int)), r"inputs of client 'bad' are float32 .*\(3,\)"),
        ((np.zeros((5, 2), int), np.zeros(5, int)), "inputs of client 'bad' are int32 of"),
        ((np.zeros((5, 2)), np.zeros((5, 2), int)), r"targets of client 'bad' are int32 .*\(2,\)"),
        ((np.zeros((2, 2)), np.zeros(2, int)), "client 'bad' has 2 examples"),
        ((np.array([["a"]] * 5), np.zeros(5, int)), "inputs of client 'bad' are <U1"),
        ((np.array(1.0), np.zeros(5, int)), r"inputs of client 'bad' .* shape \(\)"),
        ((np.array([0, 1, np.nan, 3, 4]), np.zeros(5, int)), "not finite in float32 in example 2"),
        ((np.full((5, 2), 1e300), np.zeros(5, int)), "not finite in float32 in example 0"),
        ((np.full((5, 2), 2**40), np.zeros(5, int)), "do not fit int32"),
    ],
)
def test_bad_clients(bad, message):
    with pytest.raises(UserError, match=message) as error:
        from_arrays({"good": pair(), "bad": bad}, KEY, num_classes=4)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("clients", [{}, {"solo": pair()}, [pair()]])
def test_too_few_clients(clients):
    with pytest.raises(UserError, match="at least two"):
        from_arrays(clients, KEY)


def test_no_class_at_all():
    with pytest.raises(UserError, match="nothing to learn"):
        from_arrays([(np.ones((5, 3), int), np.full((5, 3), -1))] * 2, KEY)


@pytest.mark.parametrize("layout", [(40,), (40, 1)])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64])
def test_labels_of_any_type_and_layout_are_the_same(dtype, layout):
    inputs, targets = np.arange(80.0).reshape(40, 2), np.arange(40) % 2
    expected = from_arrays([(inputs, targets)] * 2, KEY)
    found = from_arrays([(inputs, targets.astype(dtype).reshape(layout))] * 2, KEY)
    assert fingerprint(found) == fingerprint(expected)
    assert bool(found.notes) == (layout != (40,) or np.dtype(dtype).kind in "bf")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(2,), (8, 8, 3), (3,)])
def test_one_hot_targets_are_refused(dtype, shape):
    targets = np.eye(3)[np.arange(40) % 3].astype(dtype)
    with pytest.raises(UserError, match=r"one-hot, of shape \(40, 3\): .*argmax"):
        from_arrays([(np.ones((40, *shape), np.uint8), targets)] * 2, KEY)


def test_plus_and_minus_one_are_refused():
    """An unknown class exists only for words of texts."""
    targets = 2 * (np.arange(40) % 2) - 1
    with pytest.raises(UserError, match="use 0 and 1 for two classes, not -1 and 1"):
        from_arrays([(np.ones((40, 2)), targets)] * 2, KEY)


@pytest.mark.parametrize(("shape", "largest"), [((30,), 10**7), ((30,), 1000), ((30, 4), 2**19)])
def test_labels_far_above_the_number_of_targets_are_refused(shape, largest):
    targets = np.zeros(shape, int)
    targets[3] = largest
    pairs = [(np.ones((30, 4), int), targets)] * 2
    with pytest.raises(UserError, match=f"target {largest}, more than there are targets"):
        from_arrays(pairs, KEY)
    assert from_arrays(pairs, KEY, num_classes=largest + 1).train.num_classes == largest + 1


def test_token_ids():
    ids = np.arange(40).reshape(10, 4)
    data = from_arrays([(ids, np.arange(10) % 2)] * 2, KEY, num_tokens=40)
    assert data.num_tokens == 40
    assert data.train.inputs.dtype == np.int32
    one = from_arrays([(ids[:, :1], ids[:, :1] % 7)] * 2, KEY, num_tokens=40)
    assert one.train.targets.shape[1:] == (1,)
    for inputs, message in (
        (ids + 1, "from 1 to 40, but `num_tokens` is 40: ids go from 0 to 39"),
        (ids - 1, "from -1 to 38"),
        (ids / 2, "inputs of client 'client_0' are float64"),
        (ids[:, 0], r"shape \(10,\): give token ids as integers \[n, T\]"),
    ):
        with pytest.raises(UserError, match=message):
            from_arrays([(inputs, np.arange(10) % 2)] * 2, KEY, num_tokens=40)
    with pytest.raises(UserError, match="`num_tokens` is -1"):
        from_arrays([(ids, np.arange(10) % 2)] * 2, KEY, num_tokens=-1)


def test_names_are_plain_and_different():
    data = from_arrays({"cafe\u0301": pair(), "a\u200b \n b": pair()}, KEY)
    assert data.client_names == ("caf\u00e9", "a b")
    for names, message in (
        (("\u00e9", "e\u0301"), "is the same as that of"),
        (("a", "a\u200b"), "is the same as that of 'a'"),
        (("a", "\u200b"), "no visible character"),
        (("a", "H\udcf4pital"), r"'H\\udcf4pital' is not UTF-8: rename it"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            from_arrays({name: pair() for name in names}, KEY)
        str(caught.value).encode()
