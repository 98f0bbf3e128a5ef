"""Columns read as the list of their records, and are exact in JSON."""

import json

import numpy as np
import pytest

from hasa_jax.simulation.columns import Block, Columns, Named, from_json, joined, to_json

NAMES = ("ä", "b", "c", "d")
LISTED = [
    {"round": 1, "client": "ä", "loss": 0.1, "split": "test"},
    {"round": 1, "client": "d", "loss": 1 / 3, "split": "test"},
    {"round": 2, "client": "c", "loss": -0.0, "split": "validation"},
]


def stacked():
    parts = [
        (2, {"round": 1, "client": named(0, 3), "loss": floats(0.1, 1 / 3), "split": "test"}),
        (0, {"round": 1, "client": named(), "loss": floats(), "split": "none"}),
        (1, {"round": 2, "client": named(2), "loss": floats(-0.0), "split": "validation"}),
    ]
    return Columns([Block(*part) for part in parts])


def named(*ids):
    return Named(NAMES, np.array(ids, np.int64))


def floats(*values):
    return np.array(values, np.float64)


def test_columns_are_their_records():
    found = stacked()
    assert list(found) == LISTED
    assert found == LISTED
    assert found == stacked()
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


def test_no_columns_are_no_records():
    assert not Columns([])
    assert list(Columns([])) == []
    assert joined([]) == []


def test_columns_stay_columns_when_joined():
    found = joined([stacked(), stacked()])
    assert isinstance(found, Columns)
    assert found == LISTED * 2
    assert joined([LISTED, stacked()]) == LISTED * 2
    assert isinstance(joined([LISTED, stacked()]), list)


def test_json_holds_columns_to_the_bit_without_names():
    generator = np.random.default_rng(0)
    values = generator.standard_normal(50) * 10.0 ** generator.integers(-300, 300, 50)
    values[:3] = np.nan, np.inf, -np.inf
    all_records = Columns(
        [Block(50, {"client": named(*range(4), *[0] * 46), "loss": values, "size": 7})]
    )
    text = json.dumps([{"metrics": all_records, "summary": [{"a": 1.5}]}], default=to_json)
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
