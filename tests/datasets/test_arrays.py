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
        ((np.zeros((5, 2)), np.zeros(5)), "targets of client 'bad' are float64"),
        ((np.zeros((5, 2)), np.zeros(5, bool)), "targets of client 'bad' are bool"),
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
        from_arrays([pair(target=-1)] * 2, KEY)
