"""The CNN of HeteroFL."""

import itertools

import pytest

import hasa_jax as hj
from hasa_jax.base import UserError
from hasa_jax.models import CNN, cnn
from hasa_jax.supernet import costs
from hasa_jax.supernet.linen import supernet_of
from tests.support import small


def bind(**fields):
    return cnn(**fields).bind(small.dataset(kind="cnn"), norm="batch", scaler="none")


def test_every_stage_has_twice_the_units_of_the_one_before():
    groups = {"stage1": 64, "stage2": 128, "stage3": 256, "stage4": 512}
    assert bind().groups == groups
    assert bind(hidden=3).groups == {"stage1": 3, "stage2": 6, "stage3": 12, "stage4": 24}


def test_it_has_the_parameters_of_four_convolutions():
    channels = (3, 64, 128, 256, 512)
    # Kernel, bias, and gain and shift of the norm; then the head.
    stages = sum(9 * a * b + 3 * b for a, b in itertools.pairwise(channels))
    model = bind()
    expected = stages + 512 * small.NUM_CLASSES + small.NUM_CLASSES
    assert costs.parameter_count(model, model.groups) == expected


def test_exits_are_spread_over_the_stages():
    model = bind(hidden=2, exits=2)
    assert model.num_exits == 2
    assert [model.depths[f"head_{number}"]["kernel"] for number in (1, 2)] == [1, 2]
    assert [model.depths[f"conv_{stage}"]["kernel"] for stage in (1, 2, 3, 4)] == [1, 1, 2, 2]


def test_exits_stand_where_the_user_has_them():
    model = bind(hidden=2, exits_after=(1, 3))
    assert model.num_exits == 3
    assert [model.depths[f"conv_{stage}"]["kernel"] for stage in (1, 2, 3, 4)] == [1, 2, 2, 3]
    assert bind(hidden=2, exits=3, exits_after=[1, 3]).depths == model.depths


def test_published_heads_add_three_convolutions_to_each_early_exit():
    """9 U^2 parameters a convolution without bias, 2 U a norm, and U K + K in front of K classes.

    The last exit is linear: its 8 units are those of the fourth stage.
    """
    linear, published = (
        bind(hidden=1, exits_after=(1, 3), exit_head=head) for head in ("linear", "published")
    )
    added = sum(3 * (9 * units**2 + 2 * units) for units in (1, 4))
    counts = [costs.parameter_count(model, model.groups) for model in (linear, published)]
    assert counts[1] - counts[0] == added
    shapes = published.shapes
    assert shapes["head_2"]["conv_3"]["kernel"].shape == (3, 3, 4, 4)
    assert shapes["head_2"]["linear"]["kernel"].shape == (4, small.NUM_CLASSES)
    assert shapes["head_3"]["kernel"].shape == (8, small.NUM_CLASSES)
    # Each convolution is a group of its own, which is cut like its stage.
    assert published.groups["stage3/head2_1"] == 4
    shape = hj.extraction.depth_width((0.5, 0.7, 1)).shape(published, 8)
    assert dict(shape.kept)["stage3/head2_3"] == dict(shape.kept)["stage3"]


@pytest.mark.parametrize("places", [(0, 2), (2, 2), (3, 1), (4,), (1.5,)])
def test_places_that_do_not_rise_below_the_depth_are_refused(places):
    with pytest.raises(UserError, match=r"`exits_after`=.*rising from 1 to 3"):
        bind(exits_after=places)


def test_exits_that_contradict_each_other_are_refused():
    with pytest.raises(UserError, match="`exits`=2, but `exits_after` names 2 early exits"):
        bind(exits=2, exits_after=(1, 2))
    with pytest.raises(UserError, match="unknown `exit_head` 'deep': use one of linear, published"):
        bind(exit_head="deep")


def test_small_images_are_refused():
    with pytest.raises(UserError, match="8 x 8 or more"):
        small.cnn(side=4)


def test_places_of_exits_are_checked():
    module = CNN(small.NUM_CLASSES, **small.STAGES, exits=2)
    with pytest.raises(UserError, match="exits=2 but exit_blocks"):
        supernet_of(module, small.client_data(kind="cnn").inputs)
