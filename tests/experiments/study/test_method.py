"""From a configuration to a method: as published, unless the user changes a part."""

import dataclasses
import functools
import types

import pytest

import hasa_jax as hj
from experiments.config import RunConfig, with_fields
from experiments.study.method import describe, method_of, parts_of
from tests.support import small

CLIENTS = ("one", "two")
NAMES = ("norm", "scaler", "label_split", "aggregation", "client_weights", "robust")


def config_of(**values):
    return with_fields(RunConfig(), values)


def same(one, other):
    """Whether two callables are one function, or parts of one with the same arguments."""
    if isinstance(one, types.FunctionType) and isinstance(other, types.FunctionType):
        return one.__code__ is other.__code__
    if isinstance(one, functools.partial) and isinstance(other, functools.partial):
        arguments = (one.func, one.args, one.keywords) == (other.func, other.args, other.keywords)
        return arguments or (
            one.func == other.func
            and all(map(same, one.args, other.args))
            and one.keywords.keys() == other.keywords.keys()
            and all(same(one.keywords[name], other.keywords[name]) for name in one.keywords)
        )
    if isinstance(one, hj.Objective) and isinstance(other, hj.Objective):
        fields = dataclasses.fields(one)
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields)
    return one == other


@pytest.mark.parametrize("name", hj.METHODS)
def test_without_changes_a_method_is_as_published(name):
    published, config = hj.METHODS[name](), RunConfig()
    parts = parts_of(config, name)
    made = method_of(config, name, parts.policy, CLIENTS)
    assert made.policy.name == published.policy.name == parts.policy
    for field in (*NAMES, "trim", "proximal", "name", "summary"):
        assert getattr(made, field) == getattr(published, field), field
    for field in dataclasses.fields(hj.Extraction):
        own, other = (getattr(method.extraction, field.name) for method in (made, published))
        assert same(own, other), field.name
    assert same(made.objective, published.objective)
    assert (made.score is None) == (published.score is None)
    # A budget is counted in widths unless the user has another unit.
    assert made.budget == dataclasses.replace(published.budget, unit="width")


def test_every_part_can_be_changed():
    config = config_of(
        policy="levels",
        extraction="rolling",
        objective="masked_cross_entropy",
        norm="group",
        scaler="always",
        label_split=True,
        aggregation="full",
        client_weights="uniform",
        robust="median",
        trim=0.1,
        proximal=0.3,
        budget=0.3,
        budget_unit="params",
        budget_projection="paper",
        w_min=0.1,
        w_max=0.9,
        capacities=("0.5", "1"),
    )
    parts = parts_of(config, "hasa")
    assert vars(parts).items() <= (vars(config.method) | {"policy": "levels"}).items()
    made = method_of(config, "hasa", parts.policy, CLIENTS)
    assert {name: getattr(made, name) for name in NAMES} == {n: getattr(parts, n) for n in NAMES}
    assert (made.trim, made.proximal) == (0.1, 0.3)
    assert made.objective.own_classes
    assert made.budget == hj.BudgetSpec(0.3, "params", "paper", 0.1, 0.9, (0.5, 1.0))
    assert (made.policy.name, made.policy.budgeted, made.score) == ("levels", False, None)
    described = describe(config, "hasa", small.dataset())
    assert (described["extraction"], described["objective"]) == ("rolling", "masked_cross_entropy")
    assert "2606.07621" in described["summary"]


def test_run_json_names_the_objective_that_ran():
    images, texts = small.dataset(), small.dataset(kind="lstm")
    assert describe(RunConfig(), "fedrolex", images)["objective"] == "masked_cross_entropy"
    assert describe(RunConfig(), "fedrolex", texts)["objective"] == "cross_entropy"
    chosen = config_of(objective="masked_cross_entropy")
    assert describe(chosen, "fedrolex", texts)["objective"] == "masked_cross_entropy"
    assert not method_of(chosen, "fedrolex", "uniform", CLIENTS).objective.on_texts


def test_methods_without_a_policy_of_their_own_are_uniform_under_the_budget():
    for name in ("heterofl", "fjord", "fiarse", "scalefl", "fedrolex", "federated_dropout"):
        assert parts_of(RunConfig(), name).policy == "uniform"


def test_options_reach_their_parts():
    teacher = method_of(config_of(objective="self_distillation"), "fjord", "uniform", CLIENTS)
    assert teacher.extraction.teacher
    assert method_of(
        config_of(dropout_levels=(0.5, 1)), "fjord", "uniform", CLIENTS
    ).extraction.levels == (
        0.5,
        1.0,
    )
    assert (
        method_of(config_of(supernet_width=0.25), "heterofl", "levels", CLIENTS).supernet_width
        == 0.25
    )
    drawn = method_of(config_of(dynamic=True), "heterofl", "levels", CLIENTS)
    assert drawn.policy.dynamic
    named = method_of(RunConfig(), "hasa", "inverse_hasa@entropy", CLIENTS)
    assert same(named.score, hj.SCORES["entropy"]())
    assert method_of(config_of(score="file"), "hasa", "hasa", CLIENTS).score is None


@pytest.mark.parametrize(
    ("values", "method", "policy", "words"),
    [
        ({"exit_widths": (0.5, 1)}, "scalefl", "uniform", "`exit_widths` has 2 widths"),
        ({"exit_widths": (0.5, 1), "exits_after": (1, 2)}, "scalefl", "uniform", "has 3 exits"),
        ({"exit_widths": (1, 0.5), "exits": 2}, "scalefl", "uniform", "`exit_widths` at exits"),
        ({"dropout_levels": (1, 0.5)}, "fjord", "uniform", "`dropout_levels` of ordered dropout"),
        ({"levels": (2,)}, "hasa", "levels", "`levels` must be fractions"),
        ({"budget": 2}, "hasa", "hasa", r"`budget` 2\.0"),
        ({"objective": "multi_exit"}, "hasa", "hasa", "the other way round"),
    ],
)
def test_bad_options_name_their_field(values, method, policy, words):
    with pytest.raises(hj.UserError, match=words):
        method_of(config_of(**values), method, policy, CLIENTS)


def test_options_of_need_reach_the_policy():
    config = config_of(reallocate_every=7, need_objective="worst")
    policy = method_of(config, "hasa", "need", CLIENTS).policy
    assert policy.name == "need"
    assert policy.reallocate_every == 7
    assert policy.widths.args[0].objective == "worst"
