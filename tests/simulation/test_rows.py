"""Rows are the list of records that they stand for, and exact in JSON."""

import json

import numpy as np
import pytest

from hasa_jax.simulation.rows import Block, Named, Rows, from_json, joined, to_json

NAMES = ("ä", "b", "c", "d")
LISTED = [
    {"round": 1, "client": "ä", "loss": 0.1, "split": "test"},
    {"round": 1, "client": "d", "loss": 1 / 3, "split": "test"},
    {"round": 2, "client": "c", "loss": -0.0, "split": "validation"},
]


def rows():
    parts = [
        (2, {"round": 1, "client": named(0, 3), "loss": floats(0.1, 1 / 3), "split": "test"}),
        (0, {"round": 1, "client": named(), "loss": floats(), "split": "none"}),
        (1, {"round": 2, "client": named(2), "loss": floats(-0.0), "split": "validation"}),
    ]
    return Rows([Block(*part) for part in parts])


def named(*ids):
    return Named(NAMES, np.array(ids, np.int64))


def floats(*values):
    return np.array(values, np.float64)


def test_rows_are_their_records():
    found = rows()
    assert list(found) == LISTED
    assert found == LISTED
    assert found == rows()
    assert found != LISTED[:2]
    assert found != [*LISTED[:2], {}]
    assert len(found) == 3
    assert [found[i] for i in range(-3, 3)] == LISTED * 2
    assert found[1:] == LISTED[1:]
    assert found[::-1] == LISTED[::-1]
    with pytest.raises(IndexError):
        found[3]
    # Python's own numbers, which JSON and CSV write by their shortest text.
    assert {type(value) for record in found for value in record.values()} == {int, float, str}
    assert {type(value) for value in found[0].values()} == {int, float, str}


def test_no_rows_are_no_records():
    assert not Rows([])
    assert list(Rows([])) == []
    assert joined([]) == []


def test_rows_stay_columns_when_joined():
    found = joined([rows(), rows()])
    assert isinstance(found, Rows)
    assert found == LISTED * 2
    assert joined([LISTED, rows()]) == LISTED * 2
    assert isinstance(joined([LISTED, rows()]), list)


def test_json_holds_rows_to_the_bit_without_names():
    generator = np.random.default_rng(0)
    values = generator.standard_normal(50) * 10.0 ** generator.integers(-300, 300, 50)
    values[:3] = np.nan, np.inf, -np.inf
    whole = Rows([Block(50, {"client": named(*range(4), *[0] * 46), "loss": values, "size": 7})])
    text = json.dumps([{"metrics": whole, "summary": [{"a": 1.5}]}], default=to_json)
    assert "ä" not in text
    assert r"\u00e4" not in text
    (found,) = json.loads(text, object_hook=from_json)
    assert found["summary"] == [{"a": 1.5}]
    again = found["metrics"].with_names(NAMES)
    (block,) = again.blocks
    assert block.columns["loss"].tobytes() == values.tobytes()
    assert [record["client"] for record in again] == [*NAMES, *["ä"] * 46]
    assert {record["size"] for record in again} == {7}


def test_other_things_are_no_records():
    with pytest.raises(TypeError, match="no record"):
        json.dumps({1, 2}, default=to_json)
