"""Fields that nothing in the run reads are refused."""

import pytest

from experiments.config import RunConfig, with_fields
from experiments.study import unused
from experiments.study.arm import Arm
from hasa_jax import UserError

HASA, LEVELS = Arm("hasa", "hasa"), Arm("hasa", "levels")


def refuse(values, *arms):
    unused.refuse_unused(with_fields(RunConfig(), values), values.keys(), arms or [HASA])


@pytest.mark.parametrize("field", unused._NEEDS)
def test_every_field_is_refused_without_its_reader(field):
    # No arm reads any of them: Adam is read without momentum, and SGD without its epsilon.
    config = with_fields(RunConfig(), {"client_optimizer": "sgd"})
    config = RunConfig() if field == "client_momentum" else config
    with pytest.raises(UserError, match=f"`{field}` is read only with {unused._NEEDS[field][0]}"):
        unused.refuse_unused(config, {field}, [Arm("fedavg", "full")])


def test_one_arm_that_reads_a_field_is_enough():
    with pytest.raises(UserError, match="`levels` is read only with policy levels"):
        refuse({"levels": (1, 0.5)})
    refuse({"levels": (1, 0.5)}, HASA, LEVELS)
    refuse({"rolling_step": 2}, HASA, Arm("fedrolex", "uniform"))
    refuse({"score": "entropy"}, HASA)
    with pytest.raises(UserError, match="`score` is read only with policy without @score"):
        refuse({"score": "entropy"}, Arm("hasa", "hasa@entropy"))
    with pytest.raises(UserError, match="`score_path` is read only with score file"):
        refuse({"score_path": "a.csv"}, HASA)
    refuse({"score_path": "a.csv"}, Arm("hasa", "hasa@file"))
    refuse({"corruption": "nan", "corrupted": 0.5})


def test_a_default_that_is_given_is_refused_too():
    with pytest.raises(UserError, match="`rolling_step` is read only with"):
        refuse({"rolling_step": RunConfig().method.rolling_step})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"num_images": 9}, "dataset synthetic_images"),
        ({"dataset": "synthetic_images", "num_titles": 9}, "dataset synthetic_needs or"),
        ({"partition": "iid"}, "`partition` is read only with"),
        ({"dataset": "cifar10", "alpha": 1}, "partition balanced_dirichlet or dirichlet or"),
        ({"dataset": "cifar10", "partition": "iid", "classes_per_client": 1}, "partition shards"),
        ({"dataset": "pacs", "partition": "natural", "num_clients": 2}, "`num_clients` is"),
        ({"dataset": "tfds:mnist", "num_topics": 2}, "dataset synthetic_topics"),
    ],
)
def test_fields_of_other_data_are_refused(values, words):
    with pytest.raises(UserError, match=words):
        refuse(values)


def test_fields_of_another_model_are_refused():
    with pytest.raises(UserError, match="`heads` is read only with model transformer"):
        unused.refuse_unused_of_model("lstm", {"heads", "hidden_dim"})
    unused.refuse_unused_of_model("transformer", {"heads", "hidden_dim"})
