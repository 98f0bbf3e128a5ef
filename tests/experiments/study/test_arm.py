"""What train and compare run."""

import pytest

from experiments.config import RunConfig, with_fields
from experiments.study.arm import arm_of_train, arms_of_compare
from hasa_jax import UserError


def compared(**values):
    return arms_of_compare(with_fields(RunConfig(), values), values.keys())


def test_train_runs_a_method_under_its_policy_or_another():
    assert arm_of_train(RunConfig(), set()) == ("hasa", "hasa")
    config = with_fields(RunConfig(), {"method": "fedavg"})
    assert arm_of_train(config, {"method"}) == ("fedavg", "full")
    config = with_fields(config, {"policy": "levels"})
    assert arm_of_train(config, {"method", "policy"}) == ("fedavg", "levels")


@pytest.mark.parametrize("name", ["methods", "policies", "num_seeds", "reference"])
def test_train_refuses_fields_of_compare(name):
    with pytest.raises(UserError, match=f"`{name}` is for compare"):
        arm_of_train(RunConfig(), {name})


def test_compare_runs_policies_of_a_method_or_methods():
    assert compared() == [("hasa", name) for name in ("uniform", "hasa", "inverse_hasa")]
    assert compared(method="fjord", policies=("full",)) == [("fjord", "full")]
    assert compared(methods=("hasa", "fiarse:levels", "fjord", "hasa:hasa@entropy")) == [
        ("hasa", "hasa"),
        ("fiarse", "levels"),
        ("fjord", "uniform"),
        ("hasa", "hasa@entropy"),
    ]
    assert compared(methods=("hasa", "fjord"), policy="levels") == [
        ("hasa", "levels"),
        ("fjord", "levels"),
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"methods": ("hasa",), "policies": ("full",)}, "write method:policy"),
        ({"methods": ("hasa",), "method": "hasa"}, "write method:policy"),
        ({"policy": "full"}, "compare takes `policies`"),
        ({"methods": ("hasa", "hasa:hasa")}, "named twice"),
        ({"policies": ("hasa", "hasa@label_divergence")}, "named twice"),
    ],
)
def test_compare_refuses_what_contradicts_itself(values, words):
    with pytest.raises(UserError, match=words):
        compared(**values)
