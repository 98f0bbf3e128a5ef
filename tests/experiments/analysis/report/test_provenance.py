"""Settings, versions, hashes and remarks of workdirs."""

import shlex

import pytest

from experiments.analysis import results
from experiments.analysis.report import provenance
from experiments.config import deciding
from experiments.flags import config_from_flags
from hasa_jax import UserError
from tests.experiments.analysis.workdirs import write


def test_the_command_has_every_setting_that_is_no_default(tmp_path):
    argv = ["compare", "--hidden_dim=8", "--methods=hasa,fedavg", "--budget=0.25", "--model=mlp"]
    config = deciding(config_from_flags(argv)[0])
    (origin,) = provenance.origins_of([results.source_of(write(tmp_path / "w", config=config))])
    words = shlex.split(" ".join(origin.command))
    assert words[:3] == ["python", "-m", "experiments.compare"]
    assert sorted(words[3:]) == sorted(argv[1:])
    assert deciding(config_from_flags(words[2:])[0]) == config
    changed = {own.name for own in origin.settings if own.changed}
    assert changed == {"hidden_dim", "methods", "budget", "model"}


def test_files_have_their_names_beside_their_hashes(tmp_path):
    config = {"allocation": {"capacities": ["a" * 64], "score_path": "b" * 64, "widths": ["0.5"]}}
    folder = write(tmp_path / "w", config=config, files={"capacities": "my devices.csv"})
    (origin,) = provenance.origins_of([results.source_of(folder)])
    assert "'--capacities=my devices.csv'" in origin.command
    # Runs of earlier versions have no names.
    assert "--score_path=FILE" in origin.command
    values = {own.name: own.value for own in origin.settings if own.changed}
    assert values["capacities"] == f"my devices.csv (SHA-256 {'a' * 64})"
    assert values["score_path"] == f"FILE (SHA-256 {'b' * 64})"
    assert values["widths"] == "0.5"


def test_names_of_files_are_texts(tmp_path):
    with pytest.raises(UserError, match="is damaged"):
        results.source_of(write(tmp_path / "w", files={"capacities": 1}))


def test_hostile_values_stay_in_their_place(tmp_path):
    config = {"data": {"dataset": "csv", "data_path": "a b;\n$(x)\x1b.csv"}}
    source = results.source_of(write(tmp_path / "w", config=config))
    (origin,) = provenance.origins_of([source])
    assert not any("\n" in text or "\x1b" in text for text in origin.command)
    assert "'--data_path=a b; $(x)\\x1b.csv'" in origin.command


def test_notes_of_data_are_said_once(tmp_path):
    notes = {"0": ["2 rows were skipped", "a comma"], "1": ["2 rows were skipped"]}
    source = results.source_of(write(tmp_path / "w", data_notes=notes))
    found = provenance.remarks_of(results.merge([source]), [source])
    assert found[:2] == ("Data: 2 rows were skipped", "Data (seed 0): a comma")


def test_what_a_run_of_the_library_knows_is_there(tmp_path):
    folder = write(
        tmp_path / "w",
        script="simulate",
        config={"training": {"num_rounds": 3}},
        settings={"client_lr": 0.1},
        versions={"jax": "0.10.2"},
    )
    (origin,) = provenance.origins_of([results.source_of(folder)])
    assert (origin.command, origin.versions) == ((), {"jax": "0.10.2"})
    assert {(own.name, own.value) for own in origin.settings} == {
        ("num_rounds", "3"),
        ("client_lr", "0.1"),
    }
    assert origin.hashes == {"seed 0": "data of 0", "seed 1": "data of 1"}
