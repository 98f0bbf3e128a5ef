"""Statistics of synthetic images, and that their classes can be learned."""

import functools

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets import fingerprint, synthetic_images
from tests.support.federated import divergence, histograms, parts


@functools.cache
def build(seed=0, **arguments):
    return synthetic_images(jax.random.key(seed), **arguments)


def nearest_mean_accuracy(data):
    """Accuracy on test images of the class whose mean training image is nearest."""
    train, test = (part.inputs.reshape(len(part.inputs), -1) for part in (data.train, data.test))
    labels = np.unique(data.train.targets)
    means = np.stack([train[data.train.targets == label].mean(0) for label in labels])
    distances = ((test[:, None] - means) ** 2).sum(-1)
    return (labels[distances.argmin(-1)] == data.test.targets).mean()


def test_shapes_and_sizes():
    data = build(num_images=230, image_size=5, num_classes=4, num_clients=3)
    assert data.train.inputs.shape[1:] == (5, 5, 3)
    assert data.train.inputs.dtype == np.float32
    assert data.train.num_classes == 4
    assert data.num_tokens == 0
    assert data.client_names == ("client_0", "client_1", "client_2")
    # 200 above ten each: 109.1, 54.5 and 36.4.
    np.testing.assert_array_equal(sum(part.num_examples for part in parts(data)), [120, 64, 46])


def test_all_images_differ():
    images = np.concatenate([part.inputs for part in parts(build())])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images) == 2000


@pytest.mark.parametrize("size", [4, 8, 15])
def test_images_are_standardised(size):
    images = np.concatenate([part.inputs for part in parts(build(image_size=size))])
    np.testing.assert_allclose(images.mean((0, 1, 2)), 0.0, atol=0.02)
    np.testing.assert_allclose(images.var((0, 1, 2)), 1.0, atol=0.03)


def test_neighbouring_pixels_are_alike():
    images = build().train.inputs
    assert (images * np.roll(images, 1, axis=1)).mean() > 0.2
    assert (images * np.roll(images, 1, axis=2)).mean() > 0.2


def test_clients_are_alike_without_heterogeneity():
    counts = histograms(build(num_images=10000, heterogeneity=0.0, image_size=4))
    expected = counts.sum(-1, keepdims=True) / 10
    # Pearson's statistic of 90 degrees of freedom: mean 90, deviation 13.4.
    assert ((counts - expected) ** 2 / expected).sum() < 90 + 4 * 13.4


def test_a_client_has_one_class_at_most_heterogeneity():
    counts = histograms(build(heterogeneity=1.0, image_size=4))
    assert ((counts > 0).sum(-1) == 1).all()
    assert (counts.sum(0) > 0).all()


def test_heterogeneity_sets_how_far_clients_differ():
    differences = [
        divergence(histograms(build(heterogeneity=h, image_size=4))) for h in (0.0, 0.5, 0.75, 1.0)
    ]
    assert (np.diff(differences) > 0.05).all()
    assert differences[0] < 0.1
    assert differences[-1] == pytest.approx(np.log2(10))


@pytest.mark.parametrize("heterogeneity", [0.0, 0.5])
def test_classes_can_be_learned_but_not_easily(heterogeneity):
    accuracies = [
        nearest_mean_accuracy(build(seed, heterogeneity=heterogeneity)) for seed in range(2)
    ]
    # The most frequent class is at most a fifth of the images.
    assert 0.35 < np.mean(accuracies) < 0.8


def test_patterns_are_the_same_for_any_number_of_clients():
    def class_means(num_clients):
        part = build(num_images=4000, num_clients=num_clients).train
        return np.stack([part.inputs[part.targets == k].mean(0) for k in range(10)])

    one, other = (means.reshape(10, -1) for means in (class_means(4), class_means(9)))
    np.testing.assert_array_equal(np.corrcoef(one, other)[:10, 10:].argmax(-1), np.arange(10))


def test_every_argument_changes_the_bytes():
    arguments = {"num_images": 300}
    different = ({}, {"heterogeneity": 0.6}, {"num_clients": 9}, {"image_size": 9})
    assert len({fingerprint(build(0, **arguments, **others)) for others in different}) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_images": 99}, "`num_images` is 99: 10 clients need at least 100"),
        ({"image_size": 3}, "`image_size` is 3: it must be at least 4"),
        ({"num_classes": 1}, "`num_classes` is 1: it must be at least 2"),
        ({"num_clients": 1}, "`num_clients` is 1: it must be at least 2"),
        ({"heterogeneity": 1.1}, "`heterogeneity` is 1.1: it must be between 0 and 1"),
        ({"heterogeneity": float("nan")}, "`heterogeneity` is nan"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        build(**arguments)
