"""Files of clients: what is read, and what is refused in one line."""

import numpy as np
import pytest

from experiments.advice.fleet import read_fleet
from hasa_jax.base import UserError

PLAIN = "client,examples,cap\na,10,0.5\nb,20,1\n"


def fleet_of(tmp_path, text, of_data=None, encoding="utf-8"):
    path = tmp_path / "clients.csv"
    path.write_text(text, encoding=encoding, newline="")
    return read_fleet(str(path), of_data)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (PLAIN, "utf-8"),
        (PLAIN.replace(",", ";").replace(".", ","), "utf-8-sig"),
        ("client; examples ;cap\r\na; 10 ;0,5\r\nb;20; 1,0 \r\n;;\r\n", "utf-8-sig"),
        ("sep=;\r\nclient;examples;cap\r\na;10;0,5\r\nb;20;1\r\n", "utf-8"),
        ('client,examples,cap\n"a","10","0,5"\nb,2e1,1.\n', "utf-8"),
        (PLAIN.replace(",", "\t"), "utf-16"),
    ],
)
def test_files_of_spreadsheets_are_read(tmp_path, text, encoding):
    found = fleet_of(tmp_path, text, encoding=encoding)
    assert found.names == ("a", "b")
    assert found.examples.tolist() == [10, 20]
    assert {name: own.tolist() for name, own in found.caps.items()} == {"cap": [0.5, 1.0]}
    assert found.scores is None
    assert found.rates is None


def test_all_columns_and_what_is_not_read(tmp_path):
    found = fleet_of(
        tmp_path,
        "client,city,examples,cap_params,cap_macs,score,macs_per_second\n"
        "a,Rome,10,1000,5000,-0.5,1e9\n,,,,,,\n",
    )
    assert list(found.caps) == ["cap_params", "cap_macs"]
    assert (found.scores.tolist(), found.rates.tolist()) == ([-0.5], [1e9])
    first, second = found.notes
    assert "clients.csv: columns that are not read, only copied: ['city']; those that are" in first
    assert found.others == {"city": ("Rome",)}
    assert second.endswith("clients.csv: 1 lines without a value were skipped")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty: it needs a header and rows"),
        ("client,examples\n", "has a header but no rows: add rows"),
        ("client,examples\n,\n", "names no client: add a line for each of them"),
        ("name,examples\na,3\n", "has no column client: name them so; its columns are ['name', "),
        ("a,b\na,3\n", "has no column client and no column examples: "),
        ("client,cap\na,1\n", "has no column examples: "),
        ("client,examples,Cap\na,3,1\n", "is column 'Cap' meant as cap? Name it so, or "),
        ("client,examples,caps\na,3,1\n", "is column 'caps' meant as cap?"),
        ("client,examples,cap macs\na,3,1\n", "is column 'cap macs' meant as cap_macs?"),
        ("client,examples\na,3\nb,-1\n", "line 3: examples is '-1': it must be an integer of 1"),
        ("client,examples\na,0\n", "line 2: examples is '0': it must be an integer of 1 or more"),
        ("client,examples\na,1.5\n", "line 2: examples is '1.5': it must be an integer"),
        ('client,examples\na,"1,234"\n', "line 2: examples is '1,234': it must be an integer"),
        ("client;examples\na;1.234\n", "line 2: examples is '1.234': it must be an integer"),
        ('client,examples,cap_params\na,2,"5,000"\n', "cap_params is '5,000': it must be an int"),
        (
            "client;examples;macs_per_second\na;2;5,000\n",
            "'5,000': it must be a number above 0",
        ),
        ("client,examples\na,1_000\n", "line 2: examples is '1_000': it must be an integer"),
        ("client,examples\na,many\n", "line 2: examples is 'many': it must be an integer"),
        ("client,examples\na,\n", "line 2: examples is '': it must be an integer"),
        ("client,examples\na,nan\n", "line 2: examples is 'nan': it must be an integer"),
        ("client,examples\na,1e300\n", "line 2: examples is '1e300': it must be an integer"),
        ("client,examples\na,3\nb,3\na,1\n", "line 4: client 'a' is there twice"),
        ("client,examples\n ,3\n", "line 2: the client has no name"),
        ("client,examples,cap\na,3,wide\n", "line 2: cap is 'wide': it must be a width in (0, 1]"),
        ("client,examples,cap\na,3,0\n", "line 2: cap is '0': it must be a width in (0, 1]"),
        ("client,examples,cap\na,3,50%\n", "line 2: cap is '50%': it must be a width in (0, 1]"),
        ("client,examples,cap\na,3,2\n", "line 2: cap is '2': it must be a width in (0, 1]"),
        ("client,examples,cap_macs\na,3,-2\n", "line 2: cap_macs is '-2': it must be an integer"),
        ("client,examples,score\na,3,inf\n", "line 2: score is 'inf': it must be a number"),
        ("client,examples,macs_per_second\na,3,0\n", "macs_per_second is '0': it must be a number"),
        ("client,examples,cap\na,3\n", "line 2 of "),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, text, expected):
    with pytest.raises(UserError) as caught:
        fleet_of(tmp_path, text)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_clients_of_a_data_set_have_its_order_and_examples(tmp_path):
    found = fleet_of(tmp_path, "client,cap\nb,1\na,0.5\n", {"a": 7, "b": 9})
    assert found.names == ("a", "b")
    assert found.examples.tolist() == [7, 9]
    assert found.caps["cap"].tolist() == [0.5, 1.0]


def test_an_empty_cap_is_none_and_counted(tmp_path):
    found = fleet_of(tmp_path, "client;examples;cap;cap_params\na;100,0;;7\nb;9.0;0,5;\n")
    assert found.examples.tolist() == [100, 9]
    assert found.caps["cap"].tolist() == [1.0, 0.5]
    assert found.caps["cap_params"].tolist() == [7, np.inf]
    assert [note.partition(": ")[2] for note in found.notes] == [
        "1 cells of column 'cap' are empty: no cap",
        "1 cells of column 'cap_params' are empty: no cap",
    ]


def test_examples_and_scores_of_a_data_set_count(tmp_path):
    found = fleet_of(tmp_path, "client,examples,score\nb,1,2\na,1,3\n", {"a": 7, "b": 9})
    assert (found.examples.tolist(), found.scores) == ([7, 9], None)
    assert len(found.notes) == 2
    assert "'score' does not count" in found.notes[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "client,cap\na,1\nc,1\n",
            "1 of its clients are not in the data, ['c'], and 1 clients of the data are not in it, "
            "['b']: name the clients of the data, ['a', 'b']",
        ),
        (
            "client,cap\na,1\nb,1\nc,1\nd,1\n",
            "2 of its clients are not in the data, ['c', 'd']: remove their lines, or leave out "
            "`dataset` for advice on all clients of the file",
        ),
        (
            "client,cap\na,1\n",
            "1 clients of the data are not in it, ['b']: add a line for each of them",
        ),
    ],
)
def test_other_clients_than_those_of_the_data_are_refused(tmp_path, text, expected):
    with pytest.raises(UserError, match="csv does not fit the data: ") as caught:
        fleet_of(tmp_path, text, {"a": 7, "b": 9})
    assert expected in str(caught.value)


def test_a_subset_keeps_every_column(tmp_path):
    found = fleet_of(tmp_path, "client,examples,cap,score\na,1,0.5,3\nb,2,1,4\n")
    kept = found.subset(np.array([False, True]))
    assert (kept.names, kept.examples.tolist(), kept.scores.tolist()) == (("b",), [2], [4.0])
    assert kept.caps["cap"].tolist() == [1.0]


def test_columns_of_the_user_follow_their_clients(tmp_path):
    text = "client;note, free;city;city;class\na;x, y;1;2;low\nb;'=1;3;4;\n"
    found = fleet_of(tmp_path, text, {"b": 1, "a": 2})
    assert found.others == {"note, free": ("=1", "x, y"), "class": ("", "low")}
    assert found.subset(np.array([False, True])).others == {
        "note, free": ("x, y",),
        "class": ("low",),
    }
    assert found.notes[1].endswith("columns left out, as they are there twice: ['city']")


def test_a_comma_in_the_header_does_not_hide_caps(tmp_path):
    found = fleet_of(tmp_path, "client;examples;cap;note, free\na;3;0,5;x\n")
    assert found.caps["cap"].tolist() == [0.5]
