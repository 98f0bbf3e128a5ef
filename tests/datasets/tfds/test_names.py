import pytest

from hasa_jax.datasets.tfds.names import short_message
from tests.support.prepared import assert_refused


@pytest.mark.parametrize("name", ["", "..", "../x", "a/../b", "a b", "MNIST", "x:y", "a/b/c"])
def test_invalid_names_are_refused(name, tmp_path):
    assert_refused(name, tmp_path, "write tfds:NAME")


def test_messages_have_one_short_line():
    assert short_message(ValueError("odd\n  number")) == "odd number"
    assert short_message(ValueError()) == "ValueError"
    assert len(short_message(ValueError(999 * "x"))) < 410
