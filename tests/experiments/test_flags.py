"""Flags are made from the configuration and read into one; errors name flags."""

import json

import pytest
from absl import flags as absl_flags
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import fields
from experiments.config import ROOM_OF, ROOMS, RunConfig, to_json, with_fields
from experiments.flags import OTHER_NAMES, as_flags, config_from_flags, suggested
from hasa_jax import UserError

values = st.one_of(
    st.sampled_from(["", "0", "-1", "1", "nan", "inf", "1e999", "9" * 40, "true", "None", "a,b"]),
    st.text(max_size=8),
)


def read(*arguments):
    return config_from_flags(["train", *arguments])


def test_no_flag_is_every_default():
    assert read() == (RunConfig(), frozenset())


def test_every_field_has_a_flag_of_its_kind():
    config, given = read(
        "--num_rounds=3",
        "--budget=.25",
        "--method",
        "fjord",
        "--stream",
        "--nolabel_split",
        "--levels=1,.5",
        "--policies=uniform,hasa@entropy",
        "--capacities=",
        "--compilation_cache=",
    )
    assert given == {
        "num_rounds", "budget", "method", "stream", "label_split", "levels", "policies",
        "capacities", "compilation_cache",
    }  # fmt: skip
    expected = {
        "num_rounds": 3,
        "budget": 0.25,
        "method": "fjord",
        "stream": True,
        "label_split": False,
        "levels": (1.0, 0.5),
        "policies": ("uniform", "hasa@entropy"),
        "capacities": (),
        "compilation_cache": "",
    }
    assert config == with_fields(RunConfig(), expected)
    for name in ROOM_OF:
        # An unknown flag is another error than a value of another type.
        with pytest.raises((absl_flags.Error, UserError)) as caught:
            read(f"--{name}=\udcff", f"--{name}")
        assert "there is no flag" not in str(caught.value)


def test_a_default_that_is_given_counts_as_given():
    assert read("--num_rounds=15") == (RunConfig(), frozenset({"num_rounds"}))


def test_flags_of_a_file(tmp_path):
    (tmp_path / "a.flags").write_text("# comment\n--budget=.25\n--num_rounds=2\n")
    (tmp_path / "b.flags").write_text(f"--flagfile={tmp_path / 'a.flags'}\n--num_rounds=4\n")
    config, given = read(f"--flagfile={tmp_path / 'b.flags'}", "--seed=7")
    assert given == {"budget", "num_rounds", "seed"}
    assert (config.training.num_rounds, config.allocation.budget) == (4, 0.25)
    with pytest.raises(absl_flags.Error, match=r"no\.flags"):
        read("--flagfile=no.flags")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--wdith=1",), UserError, r"there is no flag --wdith: did you mean --widths\?"),
        (("--optimizer=sgd",), UserError, "mean --client_optimizer or --server_optimizer"),
        (("--zzz",), UserError, "there is no flag --zzz: --helpfull lists all flags"),
        (("--budget=half",), absl_flags.Error, "budget"),
        (("--num_rounds=0",), UserError, "`num_rounds` is 0"),
        (("--levels=.5,x",), UserError, "`levels=.5,x`: could not convert"),
        (("--levels=.5,inf",), UserError, "`levels` is inf"),
        (("hasa",), UserError, "unexpected argument 'hasa'"),
    ],
)
def test_bad_flags(arguments, error, words):
    with pytest.raises(error, match=words):
        read(*arguments)


def test_arguments_without_a_flag_are_items_where_a_script_says_so():
    config, given = config_from_flags(["report", "a", "--matched=macs", "b/c"], "workdir")
    assert config.reporting.workdir == "a,b/c"
    assert given == {"workdir", "matched"}
    with pytest.raises(UserError, match="`workdir` is given as a flag and without one"):
        config_from_flags(["report", "a", "--workdir=b"], "workdir")


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("lr", "client_lr"),
        ("learning-rate", "client_lr"),
        ("rounds", "num_rounds"),
        ("comm_round", "num_rounds"),
        ("clients", "num_clients"),
        ("num_users", "num_clients"),
        ("epochs", "local_epochs"),
        ("local_ep", "local_epochs"),
        ("seeds", "num_seeds"),
        ("batch", "batch_size"),
        ("hidden_size", "hidden_dim"),
        ("weight_decay", "client_weight_decay"),
        ("output_dir", "workdir"),
        ("algorithm", "method"),
        ("lr_schedule", "lr_milestones"),
        ("lr-scheduler", "lr_milestones"),
        ("cosine", "lr_milestones"),
        # Arguments of the library.
        ("target", "budget"),
        ("proportions", "level_proportions"),
    ],
)
def test_words_of_other_tools_suggest_flags(unknown, meant):
    assert suggested(unknown)[0] == meant
    assert len(suggested(unknown)) <= 3


def test_flags_of_all_known_words_of_a_name_are_suggested():
    assert suggested("lr_schedule") == ["lr_milestones", "client_lr"]
    assert suggested("cosine") == ["lr_milestones"]


def test_every_suggestion_is_a_flag():
    words = [*ROOM_OF, "client_x", "eval", "max", "zzz", "", "_"]
    assert all(set(suggested(word)) <= set(ROOM_OF) for word in words)
    assert all(suggested(f"{name}s")[0] == name for name in ("alpha", "model", "measure"))


def test_paths_are_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config, _ = read("--workdir=~/a,b,~/c", "--data_path=~/t.csv", "--data_dir=~", "--score_path=x")
    assert config.reporting.workdir == f"{tmp_path}/a,b,{tmp_path}/c"
    assert (config.data.data_path, config.data.data_dir) == (f"{tmp_path}/t.csv", str(tmp_path))
    assert config.allocation.score_path == "x"
    assert read("--compilation_cache=~/x")[0].execution.compilation_cache == f"{tmp_path}/x"
    assert with_fields(RunConfig(), {"workdir": tmp_path}).reporting.workdir == str(tmp_path)
    assert read("--workdir=")[0] == RunConfig()
    with pytest.raises(UserError, match="names no home folder"):
        read("--workdir=~nobody-of-this-name/a")
    with pytest.raises(UserError, match="is not UTF-8"):
        read("--workdir=a\udcff")


def test_every_field_of_a_path_is_one():
    fields_of = [each for room in ROOMS.values() for each in fields.knobs(room).items()]
    named = {name for name, _ in fields_of if name.endswith(("_path", "_dir", "dir", "_cache"))}
    assert {name for name, about in fields_of if about.path} == named


def test_nothing_is_left_from_one_command_line_to_the_next():
    assert read("--num_rounds=3")[0] != read()[0] == RunConfig()
    assert not set(ROOM_OF) & set(absl_flags.FLAGS)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("lower `batch_size`", "lower --batch_size"),
        ("use `client_block=4`, or", "use --client_block=4, or"),
        ("a smaller `hidden`", "a smaller --hidden_dim"),
        ("`target` 2 is too large", "--budget 2 is too large"),
        ("`mode` auto", "--execution auto"),
        ("`seeds_per_program` 1", "--seeds_per_program 1"),
        ("give `context` a field", "give `context` a field"),
        ("an open ` and `batch_size`", "an open ` and --batch_size"),
        ("no argument", "no argument"),
    ],
)
def test_arguments_are_named_as_flags(message, expected):
    assert as_flags(message) == expected


def test_other_names_are_those_of_flags():
    assert set(OTHER_NAMES.values()) <= set(ROOM_OF)
    assert not set(OTHER_NAMES) & set(ROOM_OF)


@given(st.lists(st.tuples(st.sampled_from(sorted(ROOM_OF)), values), max_size=3))
@settings(max_examples=200)
def test_any_flags_are_read_or_refused(given_flags):
    try:
        config, given = read(*(f"--{name}={value}" for name, value in given_flags))
    except (absl_flags.Error, UserError):
        return
    assert given == {name for name, _ in given_flags}
    json.dumps(to_json(config))
