"""The CNN of HeteroFL."""

import itertools

import pytest

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


def test_small_images_are_refused():
    with pytest.raises(UserError, match="8 x 8 or more"):
        small.cnn(side=4)


def test_places_of_exits_are_checked():
    module = CNN(small.NUM_CLASSES, **small.STAGES, exits=2)
    with pytest.raises(UserError, match="exits=2 but exit_blocks"):
        supernet_of(module, small.client_data(kind="cnn").inputs)
