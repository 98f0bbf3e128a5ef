"""Which clients are others in every seed, and what is shown of them then."""

import numpy as np
import pytest

from experiments.analysis import results, table_need
from experiments.analysis.client_values import of_shown_seed, seed_note, shown_seed
from experiments.analysis.compared import compared_of
from experiments.analysis.dealt import BY_DESIGN, DRAWN, NAMED, dealt
from experiments.analysis.report import clients
from experiments.analysis.tables import tables_of
from experiments.rooms import ComparisonConfig
from experiments.study.manifest import Manifest
from hasa_jax.datasets import DATASETS
from hasa_jax.datasets.files import READERS
from hasa_jax.datasets.partition import PARTITIONS
from hasa_jax.simulation.run_json import LIBRARY
from tests.experiments.analysis.workdirs import DIRICHLET, dealt_workdir, records, write

NUMBERED = ("client_0", "client_1")
NAMES = ("city life", "client_1")


def of(names, script="compare", **data):
    return dealt(Manifest(script, {"data": data}, {}), names)


@pytest.mark.parametrize("partition", sorted(PARTITIONS))
def test_every_partition_but_the_natural_one_deals_anew(partition):
    found = of(NUMBERED, dataset="cifar10", partition=partition)
    expected = f"clients are dealt again for each seed (partition {partition})"
    assert found == ("" if partition == "natural" else expected)


def test_every_data_set_is_known():
    """Those that have no partition name their clients, have them by design, or draw them."""
    assert {*NAMED, *BY_DESIGN, *DRAWN} == set(DATASETS) - set(READERS)


@pytest.mark.parametrize(
    ("names", "data", "why"),
    [
        (NUMBERED, {"dataset": "synthetic_images"}, "synthetic_images draws other clients"),
        (NAMES, {"dataset": "synthetic_titles"}, ""),
        # Without a partition, clients that the data name are natural, and others are iid; a name
        # such as client_0 may be either.
        (NUMBERED, {"dataset": "cifar10"}, "no names of their own, so they may be others"),
        (NAMES, {"dataset": "csv"}, ""),
        (NUMBERED, {"dataset": "csv", "client_column": "who"}, ""),
        (NUMBERED, {"dataset": "titles", "client_column": "publication"}, ""),
        ((), {"dataset": "cifar10"}, ""),
    ],
)
def test_names_decide_where_no_partition_is_given(names, data, why):
    assert why in of(names, **data)
    assert bool(of(names, **data)) == bool(why)


def test_numbered_clients_of_the_library_may_be_others():
    assert "no names of their own" in of(NUMBERED, LIBRARY)
    assert of(NAMES, LIBRARY) == ""


def test_the_table_of_dealt_clients_is_of_one_seed(tmp_path):
    """The first that all arms have; its numbers are as they are, without intervals."""
    found = dealt_workdir(tmp_path / "w")
    assert shown_seed(found) == 3
    table = {own.name: own for own in tables_of(found, ComparisonConfig())}["clients"]
    rows = [[cell.text for cell in cells] for cells in table.rows]
    assert rows[0] == ["client_0", "40", "", "uniform", "0.750", "60.00", "reference"]
    assert rows[1] == ["client_0", "40", "0.3", "hasa", "0.750", "70.00", "+10.00"]
    assert rows[3] == ["client_1", "10", "0.35", "hasa", "0.250", "20.00", "+10.00"]
    assert table.notes == (seed_note(found),)
    assert table.notes[0] == (
        "Only clients of seed 3 are shown: clients are dealt again for each seed (partition "
        "dirichlet), so numbers of a client are not averaged over seeds."
    )


def test_the_report_has_dealt_clients_of_one_seed(tmp_path):
    compared = compared_of(dealt_workdir(tmp_path / "w"), ComparisonConfig())
    found = clients.clients_of(compared)
    assert found.accuracy[:, :, 0] == pytest.approx(np.array([[0.6, 0.1], [0.7, 0.2]]))
    assert found.examples["test"].tolist() == [40, 10]
    assert found.score[1].tolist() == [0.3, 0.35]
    assert found.width[1].tolist() == [[0.75] * 3, [0.25] * 3]
    assert str(found.half[0, 0, 0]) == "nan"
    assert "Only clients of seed 3" in found.note


def test_clients_that_stay_are_averaged(tmp_path):
    found = dealt_workdir(tmp_path / "w", {"data": {"dataset": "csv", "partition": "natural"}})
    assert shown_seed(found) is None
    assert of_shown_seed(found) is found
    assert seed_note(found) == ""
    table = {own.name: own for own in tables_of(found, ComparisonConfig())}["clients"]
    assert "\N{PLUS-MINUS SIGN}" in table.rows[1][-1].text
    assert clients.clients_of(compared_of(found, ComparisonConfig())).note == ""


def test_one_seed_needs_no_choice(tmp_path):
    found = results.read([write(tmp_path / "w", records("uniform", [0.1]), DIRICHLET)])
    assert found.dealt
    assert shown_seed(found) is None


def test_the_need_of_dealt_clients_is_of_one_seed():
    lines = [
        {"seed": seed, "fold": 0, "client": f"client_{number}", "score": 0.1 * seed + number}
        for seed in (1, 2)
        for number in (0, 1)
    ]
    scores, of_clients = table_need.tables_of(
        [own | {"entropy": own["score"]} for own in lines], "x"
    )
    assert [cells[0].text for cells in scores.rows] == ["entropy"]  # Other seeds say nothing.
    assert [cells[1].text for cells in of_clients.rows] == ["+10.00", "+110.00"]
    assert of_clients.notes == (
        "Only clients of seed 1 are shown: x, so they are not averaged over seeds.",
    )
    scores, of_clients = table_need.tables_of(lines, "")
    assert [cells[0].text for cells in scores.rows] == ["need in the other seeds"]
    assert of_clients.notes == ()
