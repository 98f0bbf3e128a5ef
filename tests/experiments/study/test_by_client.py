"""Capacities and widths by the client's name, in client order, or from a file."""

import json

import pytest

from experiments.config import RunConfig, with_fields
from experiments.study.by_client import (
    cut_line,
    echo,
    named_numbers,
    numbers_by_client,
    recorded_numbers,
)
from experiments.study.manifest import files_of, recorded
from hasa_jax.base import UserError
from tests.support.scripts import run

CLIENTS = ("Better: Humans", "b", "c")


def test_names_may_come_in_any_order_and_hold_colons():
    given = ("c:.25", "Better: Humans:1", "b:.5")
    assert numbers_by_client("widths", given, CLIENTS) == (1, 0.5, 0.25)


def test_numbers_alone_are_in_client_order():
    assert numbers_by_client("widths", (".1", ".2"), CLIENTS) == (0.1, 0.2)
    assert numbers_by_client("widths", (), CLIENTS) is None


@pytest.mark.parametrize(
    "text",
    [
        "client,width\nc,.25\nBetter: Humans,1\nb,.5\n",
        "sep=;\r\nwidth;client;more\r\n.5;b;x\r\n.25;c;x\r\n1;Better: Humans;x\r\n",
        "\ufeffclient;examples;cap\r\nb;7;0,5\r\nc;8;0,25\r\nBetter: Humans;9;\r\n",
    ],
)
def test_a_file_names_the_clients(tmp_path, text):
    path = tmp_path / "devices.CSV"
    path.write_text(text, encoding="utf-8", newline="")
    assert numbers_by_client("capacities", (str(path),), CLIENTS) == (1, 0.5, 0.25)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("c:1", "b:1"), r"`widths` must name each client once; missing: \['Better: Humans'\]"),
        (("c:1", "b:1", "Better: Humans:1", "d:1"), r"unknown: \['d'\]; the clients are"),
        (("c:1", "c:1"), "names client 'c' twice"),
        (("c:1", "1"), "mixes numbers with NAME:NUMBER"),
        (("c:wide",), "'wide': it must be a finite number"),
        (("nan",), "'nan': it must be a finite number"),
        (("nowhere.csv",), "nowhere.csv"),
    ],
)
def test_what_names_no_number_of_every_client_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        numbers_by_client("widths", given, CLIENTS)


def test_the_line_of_a_bad_number_in_a_file_is_named(tmp_path):
    path = tmp_path / "devices.csv"
    path.write_text("client,width\nb,.5\nc,wide\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"devices.csv, line 3 has 'wide'"):
        numbers_by_client("widths", (str(path),), CLIENTS)


def test_caps_are_capacities_only_and_thousands_are_no_decimals(tmp_path):
    path = tmp_path / "devices.csv"
    path.write_text("client;cap\nb;0,5\nc;0,25\nBetter: Humans;10,000\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"devices.csv, line 4 has '10,000'"):
        numbers_by_client("capacities", (str(path),), CLIENTS)
    with pytest.raises(UserError, match="column 'width' is not there"):
        numbers_by_client("widths", (str(path),), CLIENTS)


def test_many_clients_are_echoed_in_part():
    line = echo("widths", {f"client {i}": 0.5 for i in range(12)})
    assert line.startswith("widths: ['client 0: 0.5', 'client 1: 0.5'")
    assert line.endswith("and 2 more")


def test_another_file_makes_another_run(tmp_path):
    one, other = tmp_path / "one.csv", tmp_path / "other.csv"
    one.write_text("client,width\n", encoding="utf-8")
    other.write_text("client,width\na,1\n", encoding="utf-8")
    configs = [with_fields(RunConfig(), {"capacities": (str(path),)}) for path in (one, other)]
    assert recorded(configs[0]) != recorded(configs[1])
    same = recorded(configs[0])
    moved = one.rename(tmp_path / "moved.csv")
    assert recorded(with_fields(RunConfig(), {"capacities": (str(moved),)})) == same


def test_files_are_named_without_their_folders(tmp_path):
    one = tmp_path / "one.csv"
    one.write_text("client,score\na,1\n", encoding="utf-8")
    values = {"score_path": str(one), "widths": (str(one),), "capacities": ("a:1", "b:.5")}
    assert files_of(with_fields(RunConfig(), values)) == {
        "score_path": "one.csv",
        "widths": "one.csv",
    }
    assert files_of(RunConfig()) == {}


def test_a_run_prints_and_keeps_who_has_which_capacity(tmp_path):
    vectors = ("--dataset=synthetic_images", "--num_images=60", "--image_size=4", "--num_clients=3")
    file = tmp_path / "devices.csv"
    file.write_text("client,width\nclient_2,.5\nclient_0,1\nclient_1,.75\n", encoding="utf-8")
    done = run(
        "train",
        *vectors,
        "--model=mlp",
        "--hidden_dim=4",
        "--num_rounds=1",
        f"--capacities={file}",
        f"--workdir={tmp_path / 'w'}",
    )
    assert done.returncode == 0, done.stderr
    assert "capacities: ['client_0: 1', 'client_1: 0.75', 'client_2: 0.5']" in done.stdout
    assert "--w_max 0.8 cuts what policies that follow a budget give: 1 of 3 devices" in done.stdout
    assert cut_line((0.3, 0.8), 0.8) == ""
    text = (tmp_path / "w" / "run.json").read_text(encoding="utf-8")
    manifest = json.loads(text)
    # The name of the file, and no folder of the user.
    assert manifest["files"] == {"capacities": "devices.csv"}
    assert str(tmp_path) not in text
    assert manifest["by_client"] == {
        "capacities": {"client_0": 1.0, "client_1": 0.75, "client_2": 0.5}
    }


def test_named_numbers_are_of_what_was_given():
    chosen = with_fields(RunConfig(), {"widths": ("1", ".5", ".25")}).allocation
    assert named_numbers(chosen, CLIENTS) == {
        "widths": {"Better: Humans": 1.0, "b": 0.5, "c": 0.25}
    }


def test_a_file_in_no_home_is_one_line():
    for read in (recorded_numbers, lambda given: numbers_by_client("widths", given, ("a",))):
        with pytest.raises(UserError, match="names no home folder"):
            read(["~no-such-user/w.csv"])
