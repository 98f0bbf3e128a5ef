"""One configuration: defaults of the library, bad values by their names, and JSON and back."""

import dataclasses
import inspect
import json

import pytest

import hasa_jax as hj
from experiments import fields, rooms
from experiments.config import (
    ROOM_OF,
    ROOMS,
    RunConfig,
    deciding,
    from_json,
    to_json,
    with_fields,
)
from hasa_jax.simulation.options import CLIENT_LEARNING_RATE

SPECS = {"client_dropout": "dropout", "corruption_scale": "scale"}


def test_every_field_has_a_name_of_its_own():
    names = [name for room in ROOMS.values() for name in fields.knobs(room)]
    assert len(names) == len(set(names)) == len(ROOM_OF)
    assert len(ROOMS) == 11
    for knob in (k for room in ROOMS.values() for k in fields.knobs(room).values()):
        assert knob.help.endswith(".")


def test_about_twenty_fields_are_common():
    common = [n for room in ROOMS.values() for n, knob in fields.knobs(room).items() if knob.common]
    assert 18 <= len(common) <= 25
    assert {"dataset", "model", "method", "policy", "budget", "num_rounds", "seed"} <= set(common)


def test_defaults_are_those_of_the_library():
    config = RunConfig()
    for library, room in (
        (hj.Training(), config.training),
        (hj.Execution(), config.execution),
        (hj.Reporting(), config.reporting),
        (hj.BudgetSpec(), config.allocation),
        (hj.Faults(), config.faults),
    ):
        own = {SPECS.get(name, name): value for name, value in vars(room).items()}
        names = {field.name for field in dataclasses.fields(library)} & own.keys()
        for name in names - {
            "augment",
            "capacities",
            "levels",
            "server_optimizer",
        }:  # Other things of these names.
            assert getattr(library, name) == own[name], name
    assert config.allocation.budget == hj.BudgetSpec().target
    assert config.execution.execution == hj.Execution().mode == "auto"
    assert config.training.client_lr == CLIENT_LEARNING_RATE
    rounds = inspect.signature(hj.make_program).parameters["num_rounds"].default
    assert config.training.num_rounds == rounds
    assert config.reporting.eval_every == 5
    assert config.model.model is None
    for factory in hj.MODELS.values():
        for name, parameter in inspect.signature(factory).parameters.items():
            named = {"embed": "embed_dim", "hidden": "hidden_dim", "feedforward": "feedforward_dim"}
            if name != "dtype":
                assert getattr(config.model, named.get(name, name)) == parameter.default


def test_scored_policies_are_those_of_the_library():
    options = {"fixed": {"widths": (1.0,)}}
    made = {name: make(**options.get(name, {})) for name, make in hj.POLICIES.items()}
    assert {name for name, policy in made.items() if policy.scored} == set(rooms.SCORED)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("num_rounds", 0, "between 1 and"),
        ("num_rounds", 2.5, "a whole number"),
        ("num_rounds", True, "a whole number"),
        ("num_rounds", "3", "a whole number"),
        ("client_lr", 0, "above 0"),
        ("client_lr", float("nan"), "finite"),
        ("client_dropout", 1.5, "between 0 and 1"),
        ("classes_per_client", 0, "at least 1"),
        ("method", "best", "use one of coordinate_median, fedavg"),
        ("label_split", 1, "true or false"),
        ("data_path", 3, "a text"),
        ("widths", 0.5, "a list"),
        ("widths", "0.5", "a list"),
        ("exit_widths", [0.5, "x"], "a number"),
        ("levels", [0.5, float("inf")], "finite"),
        ("model", "vgg", "use one of cnn"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(name, value, words):
    room = ROOMS[ROOM_OF[name]]
    with pytest.raises(hj.UserError, match=f"^`{name}` is .*{words}"):
        room(**{name: value})
    with pytest.raises(hj.UserError, match=f"^`{name}` is "):
        with_fields(RunConfig(), {name: value})
    with pytest.raises(hj.UserError, match=f"^`{name}` is "):
        dataclasses.replace(getattr(RunConfig(), ROOM_OF[name]), **{name: value})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dataset": "mnits"}, "did you mean mnist"),
        ({"seed": 2**32 - 2}, "2[*][*]32"),
        ({"policies": ()}, "`policies="),
        ({"policies": ("uniform", "uniform")}, "each once"),
        ({"policies": ("uniform@entropy",)}, "policy@score"),
        ({"methods": ("hasa:best",)}, "`methods=hasa:best`"),
        ({"eval_levels": (1, 1.0)}, "each of them once"),
        ({"eval_levels": (0,)}, r"levels are in \(0, 1\]"),
        ({"colour": "red"}, "no field 'colour'"),
    ],
)
def test_what_no_field_can_refuse_on_its_own(values, words):
    with pytest.raises(hj.UserError, match=words):
        with_fields(RunConfig(), values)


def test_values_come_in_the_types_of_their_fields(tmp_path):
    config = with_fields(RunConfig(), {"levels": [1, 0.5], "budget": 1, "data_path": tmp_path})
    assert config.allocation.levels == (1.0, 0.5)
    assert isinstance(config.allocation.budget, float)
    assert config.data.data_path == str(tmp_path)
    assert hash(config) != hash(RunConfig())


def test_json_and_back():
    config = with_fields(
        RunConfig(),
        {"levels": [0.1, 1], "model": "mlp", "label_split": False, "policies": ["hasa@entropy"]},
    )
    assert from_json(json.loads(json.dumps(to_json(config)))) == config
    assert from_json({}) == RunConfig()
    assert from_json({"model": {"model": "mlp"}}).model.model == "mlp"
    with pytest.raises(hj.UserError, match="no field 'model' in room 'data'"):
        from_json({"data": {"model": "mlp"}})
    with pytest.raises(hj.UserError, match="`num_rounds` is 0"):
        from_json({"training": {"num_rounds": 0}})


def test_what_results_do_not_depend_on_is_not_recorded():
    names = {name for room in deciding(RunConfig()).values() for name in room}
    assert names ^ set(ROOM_OF) == {
        "budgets",
        "clients_path",
        "image_channels",
        "macs_per_second",
        "measure_rate",
        "check",
        "checkpoint_every",
        "client_block",
        "compilation_cache",
        "coordinator",
        "dry_run",
        "host_devices",
        "join_seconds",
        "keep_checkpoints",
        "matched",
        "max_seeds",
        "mesh",
        "num_processes",
        "picture_formats",
        "pictures",
        "points_path",
        "process_id",
        "reference",
        "shard",
        "stream",
        "suite",
        "table_formats",
        "tracker",
        "until_halfwidth",
        "vary",
        "workdir",
    }
    assert not {"sweep", "advice"} & deciding(RunConfig()).keys()


@pytest.mark.parametrize("value", [1.0, 0.5, 0.0625, 1 / 3, 1e-8, 123456789.0])
def test_a_number_is_written_so_that_it_reads_back(value):
    assert float(rooms.number_text(value)) == value
    assert rooms.number_text(0.25) == "0.25"
    assert rooms.number_text(1.0) == "1"
