"""The pre-activation ResNet-18 of HeteroFL."""

import jax
import numpy as np
import pytest

from hasa_jax.models import ResNet18, resnet18
from hasa_jax.supernet import costs, units
from hasa_jax.supernet.linen import supernet_of
from tests.support import small


@pytest.mark.parametrize(
    ("size", "expected"),
    [(512, 11_172_170), (256, 2_796_714), (128, 701_018), (64, 176_178), (32, 44_510)],
)
def test_it_has_the_published_parameters(size, expected):
    """Those of HeteroFL's levels a to e on CIFAR-10, all tensors counted."""
    example = np.zeros((1, 8, 8, 3), np.float32)
    model = supernet_of(ResNet18(10, 64, 128, 256, 512, norm="batch"), example)
    kept = units.kept_of_size(model.groups, size)
    assert costs.parameter_count(model, kept) == expected
    narrow = ResNet18(10, *(kept[f"stage{stage}"] for stage in (1, 2, 3, 4)), norm="batch")
    shapes = supernet_of(narrow, example).shapes
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == expected


def test_every_stage_has_twice_the_units_of_the_one_before():
    dataset = small.dataset(kind="resnet18")
    groups = resnet18().bind(dataset, norm="batch", scaler="none").groups
    stages = {f"stage{stage}": 64 * 2 ** (stage - 1) for stage in (1, 2, 3, 4)}
    inner = {f"{stage}/inner{block}": stages[stage] for stage in stages for block in (0, 1)}
    assert groups == stages | inner


def test_exits_are_spread_over_the_stages():
    dataset = small.dataset(kind="resnet18")
    model = resnet18(hidden=2, exits=4).bind(dataset, norm="none", scaler="none")
    assert [model.depths[f"head_{number}"]["bias"] for number in (1, 2, 3, 4)] == [1, 2, 3, 4]


def test_exits_after_blocks_may_stand_inside_a_stage():
    """After 30, 38 and 46 of 54 blocks as published is after 4, 6 and 7 of 8."""
    dataset = small.dataset(kind="resnet18")
    assert [round(8 * blocks / 54) for blocks in (30, 38, 46)] == [4, 6, 7]
    spec = resnet18(hidden=1, exits_after=(4, 6, 7), exit_head="published")
    model = spec.bind(dataset, norm="batch", scaler="none")
    assert model.num_exits == 4
    names = [f"stage_{stage}_block_{block}" for stage in (1, 2, 3, 4) for block in (1, 2)]
    first = [model.depths[name]["conv_1"]["kernel"] for name in names]
    assert first == [1, 1, 1, 1, 2, 2, 3, 4]
    assert model.shapes["head_3"]["conv_1"]["kernel"].shape == (3, 3, 8, 8)
    assert model.shapes["head_4"]["kernel"].shape == (8, small.NUM_CLASSES)
