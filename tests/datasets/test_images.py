"""Resized images, and images converted to numbers."""

import numpy as np
import pytest

from hasa_jax.datasets.images import resized, standardised


def images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("side", [1, 7, 28])
def test_the_same_size_changes_nothing(side):
    given = images(3, side, side, 3)
    np.testing.assert_array_equal(resized(given, side), given)


@pytest.mark.parametrize("side", [1, 5, 8, 13, 32])
def test_a_constant_image_stays_constant(side):
    given = np.tile(np.array([0, 1, 127, 254, 255], np.uint8)[:, None, None, None], (1, 8, 11, 1))
    expected = np.broadcast_to(given[:, :1, :1], (5, side, side, 1))
    np.testing.assert_array_equal(resized(given, side), expected)


def test_half_the_size_is_the_mean_of_four_by_hand():
    given = np.array(
        [
            [0, 4, 10, 10],
            [8, 12, 10, 11],
            [255, 255, 1, 0],
            [255, 255, 0, 0],
        ],
        np.uint8,
    )
    # (0 + 4 + 8 + 12) / 4 = 6; 41 / 4 = 10.25; 255; 1 / 4.
    np.testing.assert_array_equal(
        resized(given[None, ..., None], 2)[0, ..., 0], [[6, 10], [255, 0]]
    )


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_integer_factors_give_means_over_areas(factor):
    given = images(5, 4 * factor, 4 * factor, 3)
    areas = given.reshape(5, 4, factor, 4, factor, 3).astype(float).mean(axis=(2, 4))
    assert np.abs(resized(given, 4) - areas).max() <= 0.5 + 1e-4


def test_parts_of_pixels_have_parts_of_the_weight():
    # New pixels are 1.5 old pixels wide: (10 + 20 / 2) / 1.5 and (20 / 2 + 70) / 1.5.
    given = np.tile(np.array([10, 20, 70], np.uint8), (3, 1))
    np.testing.assert_array_equal(
        resized(given[None, ..., None], 2)[0, ..., 0], np.tile([13, 53], (2, 1))
    )


def test_twice_the_size_is_between_neighbours():
    # Centres of the new pixels are at a quarter of the old ones; the ends do not change.
    given = np.tile(np.array([0, 100], np.uint8), (2, 1))
    np.testing.assert_array_equal(
        resized(given[None, ..., None], 4)[0, ..., 0], np.tile([0, 25, 75, 100], (4, 1))
    )


def test_height_and_width_are_not_exchanged():
    given = np.zeros((1, 4, 8, 1), np.uint8)
    given[0, 0, :] = 200  # A line at the top.
    found = resized(given, 4)[0, ..., 0]
    np.testing.assert_array_equal(found, [[200] * 4, [0] * 4, [0] * 4, [0] * 4])


def test_blocks_of_images_are_all_resized():
    given = images(4100, 2, 2, 1)  # More than one block of 4096.
    expected = np.round(given.astype(np.float32).mean(axis=(1, 2), keepdims=True))
    np.testing.assert_array_equal(resized(given, 1), expected)


def test_standardised_has_mean_0_and_deviation_1_on_the_reference_images():
    given = images(60, 5, 5, 3) // np.array([1, 4, 9], np.uint8)
    found = standardised(given, given[:40])
    assert found.dtype == np.float32
    assert found.shape == given.shape
    seen = found[:40].reshape(-1, 3).astype(float)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(seen.std(axis=0), 1, atol=1e-6)
    # The other images are converted in the same way.
    again = (given / 255 - (given[:40] / 255).mean(axis=(0, 1, 2))) / (given[:40] / 255).std(
        axis=(0, 1, 2)
    )
    np.testing.assert_allclose(found, again, atol=1e-5)


def test_a_constant_channel_is_not_divided():
    given = images(4, 3, 3, 2)
    given[..., 1] = 51
    other = given.copy()
    other[..., 1] = 102
    np.testing.assert_allclose(standardised(given, given)[..., 1], 0, atol=1e-7)
    # It may vary in other images: a difference of 0.2 stays 0.2.
    np.testing.assert_allclose(standardised(other, given)[..., 1], 0.2, atol=1e-6)
