"""Label rows by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import IGNORED, UNKNOWN, ClientData, UserError
from hasa_jax.supernet import label_rows
from tests.support import small

# Two clients: the first has two texts, the second has one.
TEXTS = ClientData(
    inputs=np.array([[3, 2, 0], [6, 3, 0], [1, 1, 4]], np.int32),
    targets=np.array([[1, UNKNOWN, IGNORED], [1, 2, IGNORED], [4, 0, 0]], np.int32),
    offsets=np.array([0, 2, 3], np.int32),
    num_classes=small.NUM_CLASSES,
)
CLASSES = [[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]]


def test_classes_of_each_client():
    """Padding and unknown words are no class."""
    np.testing.assert_array_equal(label_rows.present_classes(TEXTS), CLASSES)


def test_label_rows_of_each_client():
    present = label_rows.present_label_rows(TEXTS, small.lstm())
    np.testing.assert_array_equal(present["classes"], CLASSES)
    tokens = [[1, 0, 1, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0, 0]]
    np.testing.assert_array_equal(present["tokens"], tokens)


def test_masks_cut_head_and_embedding_only():
    model = small.lstm()
    present = label_rows.present_label_rows(TEXTS, model)
    masks = label_rows.label_row_masks(model, {name: rows[0] for name, rows in present.items()})
    np.testing.assert_array_equal(masks["head_kernel"], np.array([CLASSES[0]], np.float32))
    np.testing.assert_array_equal(masks["head_bias"], CLASSES[0])
    np.testing.assert_array_equal(masks["embedding"][:, 0], [1, 0, 1, 1, 0, 0, 1])
    np.testing.assert_array_equal(masks["input_kernel"], jnp.ones((1, 1, 1)))


def test_a_model_without_label_axes_is_refused():
    assert label_rows.label_row_axes(small.perceptron()) == {"classes": small.NUM_CLASSES}
    with pytest.raises(UserError, match=r"`label_split` .* names no axis 'classes'"):
        label_rows.label_row_axes(small.mlp())
