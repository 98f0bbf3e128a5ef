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
