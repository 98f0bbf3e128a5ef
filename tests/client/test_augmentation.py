"""Augmentation: its values by hand, and the identities that keyed changes keep."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax import keys
from hasa_jax.base import ClientData, UserError
from hasa_jax.client import augmentation, batches
from hasa_jax.models import layers
from hasa_jax.models.mlp import MLP
from hasa_jax.simulation import cohorts
from hasa_jax.supernet.linen import supernet_of
from tests.support import small

KEY = jax.random.key(5)
KEYS = jax.random.split(KEY, 400)
SIDE = 4
BOTH = hj.augmentation("crop", "flip")


def every(change, image):
    """Returns the distinct results over many keys, and how often each occurs."""
    found = jax.jit(jax.vmap(change, in_axes=(None, 0)))(jnp.asarray(image), KEYS)
    flat, counts = np.unique(np.asarray(found).reshape(len(KEYS), -1), axis=0, return_counts=True)
    return {tuple(row): count / len(KEYS) for row, count in zip(flat.tolist(), counts, strict=True)}


def test_crops_of_two_by_two_pixels_by_hand():
    """One pixel of zeros around the image, so nine windows of its size."""
    expected = {
        (0, 0, 0, 1), (0, 0, 1, 2), (0, 0, 2, 0),
        (0, 1, 0, 3), (1, 2, 3, 4), (2, 0, 4, 0),
        (0, 3, 0, 0), (3, 4, 0, 0), (4, 0, 0, 0),
    }  # fmt: skip
    found = every(augmentation.crop, np.array([[[1], [2]], [[3], [4]]]))
    assert found.keys() == expected
    assert all(0.05 < share < 0.2 for share in found.values())


def test_a_crop_moves_an_image_by_an_eighth_of_its_side_at_most():
    """All of 32 x 32 pixels are padded by 4, of 8 rows and 16 columns by 1 and 2."""
    for shape, padding in (((32, 32, 1), (4, 4)), ((8, 16, 2), (1, 2))):
        image = jnp.arange(1, 1 + np.prod(shape)).reshape(shape)
        found = np.asarray(jax.vmap(augmentation.crop, in_axes=(None, 0))(image, KEYS))
        assert found.shape == (len(KEYS), *shape)
        rows = (found == 0).all((2, 3)).sum(1)
        columns = (found == 0).all((1, 3)).sum(1)
        assert (rows.max(), columns.max()) == padding


def test_flips_by_hand():
    found = every(augmentation.flip, np.array([[[1], [2], [3]], [[4], [5], [6]]]))
    assert found.keys() == {(1, 2, 3, 4, 5, 6), (3, 2, 1, 6, 5, 4)}
    assert all(0.4 < share < 0.6 for share in found.values())


def test_an_augmentation_is_a_value():
    assert hj.augmentation("crop", "flip") == BOTH
    image = jnp.arange(16.0).reshape(SIDE, SIDE, 1)
    by_hand = augmentation.flip(
        augmentation.crop(image, jax.random.fold_in(KEY, 0)), jax.random.fold_in(KEY, 1)
    )
    np.testing.assert_array_equal(hj.augmentation("flip", "crop")(image, KEY), by_hand)


@pytest.mark.parametrize("names", [(), ("rotate",), ("flip", "flip")])
def test_bad_names_are_refused(names):
    with pytest.raises(UserError, match=r"`augment` is .*: it must be one or more of crop,flip"):
        hj.augmentation(*names)


def halved(image, key):
    del key
    return image[::2]


def test_inputs_that_are_no_images_are_refused():
    with pytest.raises(UserError, match=r"`augment` flip is for images .* have the shape \(4,\)"):
        augmentation.check_augmentation(hj.augmentation("flip"), small.client_data())
    with pytest.raises(UserError, match=r"`augment` makes .* it must return inputs of that shape"):
        augmentation.check_augmentation(halved, small.client_data())


def alone(image):
    return image


def test_what_is_no_function_of_an_example_and_a_key_is_refused():
    with pytest.raises(UserError, match=r"`augment` is 'flip', .* give augmentation\(\"flip\"\)"):
        augmentation.check_augmentation("flip", small.client_data())
    with pytest.raises(UserError, match=r"`augment` is 'alone', which does not take two arguments"):
        augmentation.check_augmentation(alone, small.client_data())


# A round of images, by the position of the pixels. Sizes make masked and sliced differ.
NAMES = ("a", "b", "c")
SIZES = (5, 9, 5)
SGD = optax.sgd(0.1)


def images(counts=(7, 10, 3), seed=0, side=SIDE):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(sum(counts), side, side, 1)).astype(np.float32)
    targets = rng.integers(0, small.NUM_CLASSES, sum(counts)).astype(np.int32)
    return ClientData(inputs, targets, np.cumsum([0, *counts]).astype(np.int32), small.NUM_CLASSES)


DATA = images()
MODEL = supernet_of(MLP(small.NUM_CLASSES, 9, 1), DATA.inputs)


def programs(mode="masked", augment=BOTH):
    return small.program(
        MODEL, DATA, mode, optimizer=SGD, local_epochs=2, batch_size=4, augment=augment
    )


def after(program, cohort, data=DATA, rounds=1):
    start = small.initial(program, KEY)
    stacked = cohorts.stack([cohort] * rounds)
    return hj.scan_rounds(program, start, data, stacked)[0].params


MASKED = programs()


def test_masked_sliced_and_the_order_of_clients_give_the_same():
    cohort = small.cohort(MASKED, DATA, SIZES)
    expected = after(MASKED, cohort)
    small.assert_trees_close(after(MASKED, small.permuted(cohort, [2, 0, 1])), expected, atol=1e-6)
    sliced = programs("sliced")
    small.assert_trees_close(after(sliced, small.cohort(sliced, DATA, SIZES)), expected, atol=1e-6)


@pytest.mark.slow
def test_two_rounds_are_one_and_one_more():
    cohort = small.cohort(MASKED, DATA, SIZES)
    both = after(MASKED, cohort, rounds=2)
    start = small.initial(MASKED, KEY)
    for _ in range(2):
        start, _ = hj.scan_rounds(MASKED, start, DATA, cohorts.stack([cohort]))
    small.assert_trees_equal(start.params, both)


@pytest.mark.slow
def test_data_of_some_clients_only_give_the_same():
    """As in streaming: the clients stand elsewhere in the data of the device."""
    cohort = small.cohort(MASKED, DATA, SIZES[1:], clients=[1, 2], sizes_in_run=SIZES)
    first = DATA.offsets[1]
    packed = ClientData(
        DATA.inputs[first:], DATA.targets[first:], DATA.offsets[1:] - first, DATA.num_classes
    )
    slots = dataclasses.replace(cohort.slots, local=cohort.slots.local - (cohort.slots.client > 0))
    moved = dataclasses.replace(cohort, slots=slots)
    small.assert_trees_equal(after(MASKED, moved, packed), after(MASKED, cohort))


def same(inputs, key):
    del key
    return inputs


@pytest.mark.slow
def test_a_change_of_nothing_is_none_to_the_byte():
    off = programs(augment=None)
    cohort = small.cohort(off, DATA, SIZES)
    assert small.max_difference(after(off, cohort), after(MASKED, cohort)) > 1e-3
    unchanged = programs(augment=same)
    small.assert_trees_equal(
        after(off, cohort), after(unchanged, small.cohort(unchanged, DATA, SIZES))
    )


def test_an_example_is_changed_by_its_place_among_the_clients_own():
    """Whatever its batch, and newly in each pass."""
    rounds, client = jnp.int32(3), jnp.int32(1)
    one_pass = batches.sequential_batches(DATA, client, 3, 4)
    both = one_pass._replace(indices=jnp.tile(one_pass.indices, (2, 1)))
    place = augmentation.augmented_at(KEY, rounds, client, DATA.offsets[1], one_pass.used)

    def changed(order, step):
        own = both._replace(indices=order(both.indices), valid=jnp.tile(both.valid, (2, 1)))
        batch = batches.take_batch(DATA, own, step)
        return np.asarray(augmentation.augment_batch(BOTH, place, batch, own, step).inputs)

    found = {step: changed(lambda x: x, step) for step in (0, 2, 3)}
    np.testing.assert_array_equal(changed(lambda x: x[:, ::-1], 0), found[0][::-1])
    assert (found[0] != found[3]).any()
    key = keys.address(KEY, keys.Stream.AUGMENT, rounds, client)
    by_hand = jax.random.fold_in(jax.random.fold_in(key, 0), 9)
    np.testing.assert_array_equal(
        found[2][1], BOTH(jnp.asarray(DATA.inputs[DATA.offsets[1] + 9]), by_hand)
    )


@pytest.mark.slow
def test_streams_blocks_and_modes_of_simulate_agree():
    names = tuple(f"client {i}" for i in range(3))
    dataset = hj.FederatedDataset(DATA, images(seed=1), images(seed=2), names)
    method = hj.methods.federated_dropout(budget=0.6)
    method = dataclasses.replace(method, norm="none")

    def params(**execution):
        result = hj.simulate(
            method,
            hj.models.mlp(hidden=9),
            dataset,
            num_rounds=2,
            key=KEY,
            client_optimizer=SGD,
            training=hj.Training(batch_size=4, clients_per_round=2, augment=BOTH),
            execution=hj.Execution(**{"mode": "masked", **execution}),
        )
        return result.state.params

    expected = params()
    for other in (
        {"stream": True},
        {"client_block": 2},
        {"mode": "sliced"},
        {"mesh": "clients:2"},
    ):
        small.assert_trees_close(params(**other), expected, atol=1e-5)


def black(inputs, key):
    del key
    return inputs * 0


@pytest.mark.slow
def test_evaluation_calibration_scores_and_need_see_images_as_they_are():
    """With no learning rate, black images in training change nothing that is recorded."""
    names = tuple(f"client {i}" for i in range(3))
    dataset = hj.FederatedDataset(*(images(seed=i, side=8) for i in range(3)), names)
    scored = hj.methods.hasa(budget=0.6, score=hj.SCORES["gradient_norm"]())
    measured = dataclasses.replace(
        scored, score=None, policy=hj.POLICIES["need"](reallocate_every=2)
    )

    def run(method, augment):
        return hj.simulate(
            dataclasses.replace(method, norm="static"),
            hj.models.cnn(hidden=8),
            dataset,
            num_rounds=3,
            key=KEY,
            client_optimizer=optax.sgd(0.0),
            training=hj.Training(batch_size=4, augment=augment),
            reporting=hj.Reporting(eval_every=1),
        )

    for method in (scored, measured):
        changed, plain = run(method, black), run(method, None)
        small.assert_trees_equal(changed.state.params, plain.state.params)
        for name in ("metrics", "summary", "sizes", "measured"):
            # A text, as a loss over no targets is NaN.
            assert str([*changed.records[name]]) == str([*plain.records[name]])
    assert len(changed.records["measured"])


class Dropping(nn.Module):
    """A net with dropout, whose draws a stop must not change either."""

    hidden: int = 9
    num_classes: int | None = None

    @nn.compact
    def __call__(self, x, context):
        x = nn.relu(layers.Dense(self.hidden, (None, "hidden"))(x.reshape(len(x), -1)))
        x = layers.Dropout(0.4, "hidden")(x, context)
        return layers.Dense(self.num_classes, ("hidden", "classes"))(x)


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path):
    names = tuple(f"client {i}" for i in range(3))
    dataset = hj.FederatedDataset(DATA, images(seed=1), images(seed=2), names)

    def after_rounds(count, folder):
        return hj.simulate(
            hj.methods.federated_dropout(budget=0.6),
            hj.from_linen(Dropping()),
            dataset,
            num_rounds=count,
            key=KEY,
            training=hj.Training(batch_size=4, clients_per_round=2, augment=BOTH),
            execution=hj.Execution(mode="sliced"),
            reporting=hj.Reporting(eval_every=1),
            checkpoints=hj.Checkpoints(folder, {"name": "one"}, every=1),
        )

    after_rounds(2, tmp_path / "stopped")
    gone_on, at_once = (after_rounds(4, tmp_path / name) for name in ("stopped", "at_once"))
    small.assert_trees_equal(gone_on.state.params, at_once.state.params)
    assert gone_on.records["metrics"] == at_once.records["metrics"]
