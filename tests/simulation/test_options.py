"""Options out of range are refused, with the name of the field."""

import dataclasses
import math

import pytest

import hasa_jax as hj


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (hj.Training, {"local_epochs": 0}),
        (hj.Training, {"batch_size": 0}),
        (hj.Training, {"clients_per_round": -1}),
        (hj.Execution, {"client_block": -1}),
        (hj.Execution, {"mesh": "clients:-1"}),
        (hj.Execution, {"mode": "narrow"}),
        (hj.Reporting, {"eval_every": 0}),
        (hj.Reporting, {"tail_fraction": -0.1}),
        (hj.Reporting, {"tail_fraction": 1.5}),
        (hj.Reporting, {"tail_fraction": math.nan}),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(options, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(hj.UserError, match=f"`{name}`") as caught:
        options(**wrong)
    assert str(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_mode_names_those_that_there_are():
    with pytest.raises(hj.UserError, match="use one of auto, masked, sliced"):
        hj.Execution("narrow")


@pytest.mark.parametrize("options", [hj.Training, hj.Execution, hj.Reporting])
def test_defaults_are_in_range_and_options_do_not_change(options):
    made = options()
    field = dataclasses.fields(options)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, field, 1)
